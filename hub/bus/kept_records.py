"""Records that were read by their positions, for whoever asks for the same ones again.

What stands at a position never changes, so what is kept needs no question whether it is still right. It may have been
removed meanwhile, by age or by compaction: after ten minutes it is looked for again, and what is gone is gone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from hub.bus.records import Record

#: Of keys, values and headers together; the memory that they take is about twice as much.
MOST_BYTES = 16 * 1024 * 1024
KEEP_SECONDS = 600.0
#: What a record takes beside its bytes: places, names and lengths.
_BESIDE = 400


class Position(NamedTuple):
    """Where a record stands on the log."""

    topic: str
    partition: int
    offset: int


class KeptRecords:
    """The records that were asked for last, up to so many bytes; each for a while. Threads may share it."""

    def __init__(
        self, monotonic: Callable[[], float], *, most_bytes: int = MOST_BYTES, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        self._monotonic, self._most, self._keep = monotonic, most_bytes, keep_seconds
        self._lock = threading.Lock()
        self._found: OrderedDict[Position, tuple[float, Record]] = OrderedDict()
        #: Of all that is kept, as ``_size`` counts.
        self.bytes = 0

    def get(self, positions: Collection[Position]) -> dict[Position, Record]:
        """Those of them that are kept."""
        found: dict[Position, Record] = {}
        since = self._monotonic() - self._keep
        with self._lock:
            for position in positions:
                read_at, record = self._found.get(position, (0.0, None))
                if record is None:
                    continue
                if read_at < since:
                    self._drop(position)
                else:
                    self._found.move_to_end(position)
                    found[position] = record
        return found

    def put(self, records: Mapping[Position, Record]) -> None:
        """Keeps them, in the place of those that nobody has asked for the longest."""
        now = self._monotonic()
        with self._lock:
            for position, record in records.items():
                if position in self._found:
                    self._drop(position)
                self._found[position] = (now, record)
                self.bytes += _size(record)
            while self.bytes > self._most:
                self._drop(next(iter(self._found)))

    def _drop(self, position: Position) -> None:
        self.bytes -= _size(self._found.pop(position)[1])


def _size(record: Record) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return _BESIDE + len(record.key or b"") + len(record.value or b"") + headers
