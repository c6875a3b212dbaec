"""A channel's engine without Kafka: what a flow would do for it, kept in memory; and sinks made for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from hub.bus.flow import Flow
from hub.bus.records import Output, Record
from hub.disclosure import Capabilities, Order, Receipt, Result, Sink
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.engine import DisclosureEngine
from hub.disclosure.service import Means, channel_senders
from tests.support_contracts import catalog
from tests.support_outlets import NOW, OutletServer, Reply, Seen

PLACES = [("disclosure.orders.v1", 0)]
#: Tried again at once, for as long as a test lasts.
SOON = (0.001, 0.01)


def read(output: Output) -> dict[str, Any]:
    assert output.topic == "disclosure.receipts.v1"
    return catalog().decode(output.value or b"")[1]


def as_record(output: Output, offset: int = 0, timestamp: int = 0) -> Record:
    """An output as it stands on its topic."""
    return Record(output.topic, output.partition or 0, offset, timestamp, output.key, output.value, output.headers)


class InMemorySink(Sink):
    """Carries out everything, or what ``answer`` says; notes the batches that it was given."""

    def __init__(
        self, answer: Callable[[Sequence[Order]], Sequence[Result]] | None = None, **can: Any
    ) -> None:
        self.capabilities = Capabilities(**can)
        self.batches: list[list[Order]] = []
        self.late: dict[str, Receipt] = {}
        self.settled: list[str] = []
        self.is_closed = False
        self._answer = answer or (lambda orders: [done(order) for order in orders])

    @property
    def sent(self) -> list[str]:
        return [order.order_id for batch in self.batches for order in batch]

    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        self.batches.append(list(orders))
        await asyncio.sleep(0)
        return self._answer(orders)

    async def collect(self) -> Sequence[tuple[str, Receipt]]:
        return list(self.late.items())

    async def settle(self, order_ids: Collection[str]) -> None:
        for order_id in order_ids:
            self.settled.append(order_id)
            self.late.pop(order_id, None)

    async def close(self) -> None:
        self.is_closed = True


def done(order: Order) -> Receipt:
    status = {"publish": "published", "amend": "replaced", "withdraw": "withdrawn"}[order.action]
    return Receipt(status, f"GS-{order.correlation_id}", None, NOW)


class ChannelDesk:
    """An engine, with what a flow does for it: keeps what was written, and which records are finished."""

    def __init__(self, sink: Sink, channel: str = "website", **more: Any) -> None:
        more = {"waits": SOON, **more}
        self.sink, self.now = sink, NOW
        self.engine = DisclosureEngine(channel, sink, catalog(), lambda: self.now, **more)
        self.written: list[Output] = []
        self.of: dict[int, list[Output]] = {}
        self.is_writing = True
        self.failure: BaseException | None = None
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
            assert record.offset not in self.of, "a record is finished once"
            self.of[record.offset] = list(outputs)

    def fail(self, error: BaseException) -> None:
        self.failure = error

    async def write(self, outputs: Sequence[Output]) -> bool:
        if self.is_writing:
            self.written.extend(outputs)
        return self.is_writing

    def take(self, records: Sequence[Record]) -> None:
        self._runner.get_loop().call_soon(self.engine.take, records)

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        """Outputs of each record, once each is finished."""
        self.take(records)
        self.wait(lambda: all(record.offset in self.of for record in records))
        return [self.of[record.offset] for record in records]

    def wait(self, is_so: Callable[[], bool]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(20):
                while not is_so():
                    await asyncio.sleep(0.001)

        self._run(wait())

    def let_run(self, turns: int = 50) -> None:
        """Lets everything happen that can happen without time going by."""

        async def run() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._run(run())

    def revoke(self) -> None:
        self._run(self.engine.revoked(PLACES))

    def receipts(self) -> dict[str, dict[str, Any]]:
        """Order -> its receipt; there is one for each."""
        found = [read(output) for output in self.written if output.topic == "disclosure.receipts.v1"]
        assert len({receipt["order_id"] for receipt in found}) == len(found)
        return {receipt["order_id"]: receipt for receipt in found}

    def letters(self) -> list[Output]:
        return [output for output in self.written if output.topic == "disclosure.dead-letters.v1"]

    def close(self) -> None:
        self._run(self.engine.close())
        self._runner.close()


def platform(
    folder: Path, url: str, *, channel: str = "website", connector: str = "collaboration-platform", **settings: Any
) -> Sink:
    """A sink as the wiring makes it."""
    config = ChannelConfig.of(channel, "渠道", "public", connector, {"url": url, **settings}, folder)
    return build_sink(config, catalog(), folder, lambda: datetime.now(UTC))


@contextmanager
def desk_on(
    folder: Path, respond: Callable[[Seen, int], Reply], *, engine: dict[str, Any] | None = None, **settings: Any
) -> Iterator[tuple[ChannelDesk, OutletServer]]:
    """The engine of a channel on the platform, which answers as told."""
    with OutletServer(respond) as server:
        given = {"token": "token-of-the-website", "max_batch": 1, **settings}
        desk = ChannelDesk(platform(folder, server.url, **given), **(engine or {}))
        try:
            yield desk, server
        finally:
            desk.close()


@contextmanager
def serving(bootstrap: str, sinks: dict[str, Sink], known: Collection[str]) -> Iterator[None]:
    """The channels of these sinks on a real Kafka, as ``hub run disclosure`` serves them; ``known`` are the map's."""
    senders = channel_senders(sinks, known, Means(bootstrap, catalog(), lambda: datetime.now(UTC)))
    threads = [threading.Thread(target=sender.run) for sender in senders.values()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for sender in senders.values():
            sender.stop()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
