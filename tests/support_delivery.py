"""A delivery engine without Kafka: what a flow would do for it, kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, cast

from hub.bus.flow import Flow
from hub.bus.records import Output, Record
from hub.delivery.engine import DeliveryEngine
from hub.delivery.waits import Waiting, WaitLog
from hub.errors import IndexUnavailableError
from hub.state.notice_index import Notice
from tests.support_contracts import catalog

PLACES = [("inbox.procurement", 0), ("delivery.commands.v1", 0)]


def read(output: Output) -> dict[str, Any]:
    assert output.topic == "delivery.receipts.v1"
    return catalog().decode(output.value or b"")[1]


class EveryDay:
    """A calendar on which every day is worked: a test must not depend on the day on which it runs."""

    def is_working_day(self, day: date) -> bool:
        return True

    def before(self, day: date, n: int) -> date:
        return day - timedelta(days=n)


class NoIndex:
    """Takes every notice and keeps none: the index has tests of its own."""

    def put(self, notices: Sequence[Notice]) -> None: ...


class InMemoryNotices:
    """Stands for the index; ``is_down`` makes it fail."""

    def __init__(self) -> None:
        self.found: dict[str, Notice] = {}
        self.is_down = False

    def put(self, notices: Sequence[Notice]) -> None:
        if self.is_down:
            raise IndexUnavailableError
        self.found.update({item.notice_id: item for item in notices})


class Desk:
    """An engine, with what a flow does for it: keeps what was written, and which records are finished."""

    def __init__(self, engine: DeliveryEngine) -> None:
        self.engine = engine
        self.written: list[Output] = []
        self.of: dict[tuple[str, int, int], list[Output]] = {}
        self.failed: BaseException | None = None
        self._runner = asyncio.Runner()
        self._run(self._begin())

    async def _begin(self) -> None:
        self.engine.attach(cast("Flow", self))
        await self.engine.assigned(PLACES)

    def _run(self, work: Any) -> None:
        self._runner.run(work)

    def finish(self, record: Record | None, outputs: Sequence[Output]) -> None:
        self.written.extend(outputs)
        if record is not None:
            place = record[:3]
            assert place not in self.of, "a record is finished once"
            self.of[place] = list(outputs)

    def fail(self, error: BaseException) -> None:
        self.failed = error

    def take(self, records: Sequence[Record]) -> None:
        self._runner.get_loop().call_soon(self.engine.take, records)

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        """Outputs of each record, once each is finished."""
        self.take(records)
        places = [record[:3] for record in records]
        self.wait(lambda: all(place in self.of for place in places))
        return [self.of[place] for place in places]

    def wait(self, is_so: Callable[[], bool]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(20):
                while not is_so():
                    await asyncio.sleep(0.001)

        self._run(wait())

    def revoke(self) -> None:
        self._run(self.engine.revoked(PLACES))

    def ends(self) -> dict[str, str]:
        """Notice -> last receipt."""
        receipts = [read(output) for output in self.written if output.topic == "delivery.receipts.v1"]
        return {receipt["notice_id"]: receipt["status"] for receipt in receipts}

    def waiting(self) -> list[Waiting]:
        """What stands on the topic of waits."""
        return list(WaitLog(catalog()).load(self.load, [0]))

    def load(self, partitions: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
        for output in self.written:
            if output.topic == "delivery.waits.v1":
                assert output.partition is not None and output.key is not None
                yield output.partition, output.key, output.value

    def close(self) -> None:
        self._run(self.engine.close())
        self._runner.close()
