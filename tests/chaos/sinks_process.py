"""A channel's engine and its sink as a process of their own, to be killed; the log is files that outlive it."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from hub.bus.flow import Flow
from hub.bus.records import Output, Record
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.engine import DisclosureEngine
from tests.support_contracts import catalog
from tests.support_disclosure import SOON, read

CHANNEL = "channel"
#: How many records go by between two commits: what lies between is read again after a kill.
COMMIT_EVERY = 50


class FileLog:
    """Orders, receipts and the position in a folder; a receipt is written when its line is whole."""

    def __init__(self, folder: Path) -> None:
        self.orders: list[Record] = pickle.loads((folder / "orders.pickle").read_bytes())
        self._position, self._receipts = folder / "position", folder / "receipts"
        self.position = int(self._position.read_text()) if self._position.exists() else 0
        self._done: set[int] = set()
        self._cut()

    def _cut(self) -> None:
        """Takes away half of a line that a kill left behind."""
        content = self._receipts.read_bytes() if self._receipts.exists() else b""
        self._receipts.write_bytes(content[: content.rfind(b"\n") + 1])

    def receipts(self) -> list[tuple[int, dict[str, Any]]]:
        """Offset of the order, and its receipt; in the order in which they were written."""
        lines = self._receipts.read_bytes().splitlines() if self._receipts.exists() else []
        return [
            (int(offset), catalog().decode(bytes.fromhex(value.decode()))[1])
            for offset, value in (line.split() for line in lines)
        ]

    def append(self, offset: int, outputs: Sequence[Output]) -> None:
        if not outputs:
            return
        assert all(read(output) for output in outputs), "only receipts are written here"
        with self._receipts.open("ab") as file:
            file.writelines(f"{offset} {(output.value or b'').hex()}\n".encode() for output in outputs)

    def finish(self, offset: int) -> None:
        self._done.add(offset)
        while self.position in self._done:
            self._done.discard(self.position)
            self.position += 1
            if self.position % COMMIT_EVERY == 0 or self.position == len(self.orders):
                part = self._position.with_suffix(".part")
                part.write_text(str(self.position))
                part.replace(self._position)


class FileFlow:
    """What a flow does for an engine, on a FileLog."""

    def __init__(self, log: FileLog) -> None:
        self.log, self.open, self.finished = log, 0, 0
        self._offset_of = {read_order_id(record): record.offset for record in log.orders}

    def finish(self, record: Record, outputs: Sequence[Output]) -> None:
        self.log.append(record.offset, outputs)
        self.log.finish(record.offset)
        self.open -= 1
        self.finished += 1
        if self.finished % 20 == 0:
            print(self.finished, flush=True)

    async def write(self, outputs: Sequence[Output]) -> bool:
        for output in outputs:
            self.log.append(self._offset_of[read(output)["order_id"]], [output])
        return True


def read_order_id(record: Record) -> str:
    return str(catalog().decode(record.value or b"")[1]["order_id"])


async def run(job: dict[str, Any]) -> None:
    base = Path(job["base"])
    log = FileLog(base)
    config = ChannelConfig.of(CHANNEL, "渠道", "public", job["connector"], job["settings"], base)
    sink = build_sink(config, catalog(), base / "data", lambda: datetime.now(UTC))
    written = log.receipts()
    answered = {offset for offset, _ in written}

    def backlog(partitions: Collection[int]) -> Iterator[Record]:
        # Of what is to be read only what has its receipt: nothing is overtaken before its turn.
        return (record for record in log.orders[log.position:] if record.offset in answered)

    def receipts(partitions: Collection[int], since: int) -> Iterator[Record]:
        for offset, receipt in written:
            value = catalog().schema("hub/disclosure-receipt").encode(receipt)
            yield Record("disclosure.receipts.v1", 0, offset, 0, b"", value, [])

    flow = FileFlow(log)
    engine = DisclosureEngine(
        CHANNEL, sink, catalog(), lambda: datetime.now(UTC), backlog=backlog, load_receipts=receipts, waits=SOON
    )
    engine.attach(cast("Flow", flow))
    await engine.assigned([("disclosure.orders.v1", 0)])
    print("begun", flush=True)
    following = log.position
    while log.position < len(log.orders):
        if engine.wants_more() and flow.open < 500 and following < len(log.orders):
            part = log.orders[following:following + 100]
            following += len(part)
            flow.open += len(part)
            engine.take(part)
        await asyncio.sleep(0.005)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(run(json.load(sys.stdin)))
