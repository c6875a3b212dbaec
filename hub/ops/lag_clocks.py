"""The clocks that run, as the log has them: read once, then only what is new."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hub.bus.spans import Span, SpanReader
from hub.contracts.catalog import Catalog
from hub.domain.at_risk import ClockKey, OpenClock
from hub.domain.lag import Place

STATES = "clock.states.v1"
_FIELDS = ("clock_id", "rule", "subject", "status", "due_at")


class OpenClocks:
    """Of ``clock.states.v1``: of each clock that runs its rule, subject and due time; the others leave no trace.

    A suspended clock does not fall due, and one without a due time cannot.
    """

    def __init__(self, catalog: Catalog, *, topic: str = STATES) -> None:
        self._catalog, self._topic = catalog, topic
        self._clocks: dict[ClockKey, OpenClock] = {}
        self._read_to: dict[Place, int] = {}
        self._readers: dict[int, Callable[[bytes], dict[str, Any]]] = {}

    def look(self, reader: SpanReader, only: Collection[ClockKey] | None = None) -> dict[ClockKey, OpenClock]:
        """The clocks as they are on the log now; of ``only`` those, where it is given. Raises BrokerError."""
        spans: dict[Place, Span] = {}
        count = reader.partitions_of([self._topic]).get(self._topic, 0)
        for place, end in reader.ends_of([(self._topic, number) for number in range(count)]).items():
            begin = self._read_to.get(place)
            if begin is None or end < begin:  # new to us, or another topic of the same name
                begin = 0
            if end > begin:
                spans[place] = Span(begin or None, end)
        for records in reader.read(spans) if spans else ():
            for record in records:
                key = record.partition, (record.key or b"").decode()
                if only is None or key in only:
                    self._take(key, record.value)
        self._read_to |= {place: span.end for place, span in spans.items()}
        return self._clocks

    def _take(self, key: ClockKey, value: bytes | None) -> None:
        self._clocks.pop(key, None)
        if value is None:
            return
        schema = self._catalog.identify(value)
        read = self._readers.get(schema.id)
        if read is None:
            # The history of a clock stands behind these, and is most of it.
            read = self._readers[schema.id] = schema.prefix(_FIELDS)
        found = read(value)
        if found["status"] == "running" and found["due_at"] is not None:
            self._clocks[key] = OpenClock(key[1], found["rule"], found["subject"], found["due_at"])
