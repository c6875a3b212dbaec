"""The due index made anew from ``clock.states.v1``, or held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from hub.clocks.loader import KafkaStateLoader
from hub.clocks.table import ClockTable
from hub.clocks.wire import state_from_value
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar
from hub.domain.clocks import ClockRule, ClockState

#: Ids that a difference names.
_NAMED = 5


class DueIndexContent(Protocol):
    """What a rebuild needs of an index; all raise IndexUnavailableError."""

    def replace(self, partition: int, moments: Mapping[str, datetime]) -> None: ...

    def put(self, partition: int, moments: Mapping[str, datetime | None]) -> None: ...

    def members(self, partition: int) -> Iterator[tuple[str, datetime]]: ...


class PartitionReport(NamedTuple):
    """One partition: how many clocks have a moment to come, and how index and topic differ.

    ``missing`` stand on the topic alone, ``extra`` in the index alone, ``moved`` at another moment: the first
    few ids of each, with how many there are.
    """

    partition: int
    clocks: int
    topic_digest: str
    index_digest: str
    missing: tuple[int, list[str]]
    extra: tuple[int, list[str]]
    moved: tuple[int, list[str]]

    @property
    def is_same(self) -> bool:
        return self.topic_digest == self.index_digest


class Rebuild:
    """Reads every partition once for each question. Raises BrokerError, IndexUnavailableError."""

    def __init__(
        self, *, loader: KafkaStateLoader, index: DueIndexContent, catalog: Catalog,
        rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar],
    ) -> None:
        self._loader = loader
        self._index = index
        self._catalog = catalog
        self._rules = rules
        self._calendars = calendars

    def partitions(self) -> range:
        return self._loader.partitions()

    def rebuild(self, partition: int, *, rounds: int = 5) -> int:
        """Replaces a partition of the index; returns how many clocks it holds.

        A stage that runs writes on meanwhile, and what it put between the reading and the replacing would
        be lost. So the topic is read again behind the write, and what changed since put in, until two
        readings say the same, at most ``rounds`` times. This does not cover a state that is in the index and
        not yet on the topic at the last reading: ``verify`` finds that.
        """
        before = self._moments(partition)
        self._index.replace(partition, before)
        for _ in range(rounds):
            after = self._moments(partition)
            changed: dict[str, datetime | None] = {
                clock_id: moment for clock_id, moment in after.items() if before.get(clock_id) != moment
            }
            changed.update({clock_id: None for clock_id in before.keys() - after.keys()})
            if not changed:
                break
            self._index.put(partition, changed)
            before = after
        return len(before)

    def verify(self, partition: int) -> PartitionReport:
        """Compares, writes nothing. While a stage works, a clock may differ that is just being written."""
        topic, index = self._moments(partition), dict(self._index.members(partition))
        return PartitionReport(
            partition, len(topic), digest(topic), digest(index),
            _some(topic.keys() - index.keys()), _some(index.keys() - topic.keys()),
            _some(each for each in topic.keys() & index.keys() if topic[each] != index[each]),
        )

    def _moments(self, partition: int) -> dict[str, datetime]:
        table = ClockTable(self._rules, self._calendars, self._decode)
        table.restore((key.decode(), value) for _, key, value in self._loader([partition]))
        return dict(table.moments())

    def _decode(self, value: bytes) -> ClockState:
        return state_from_value(self._catalog.decode(value)[1])


def digest(moments: Mapping[str, datetime]) -> str:
    """SHA-256 of all ids and moments, whatever their order."""
    made = hashlib.sha256()
    for clock_id in sorted(moments):
        made.update(f"{clock_id} {round(moments[clock_id].timestamp() * 1000)}\n".encode())
    return made.hexdigest()


def whole_digest(digests: Iterable[str]) -> str:
    """Of the digests of all partitions, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _some(clock_ids: Iterable[str]) -> tuple[int, list[str]]:
    found = sorted(clock_ids)
    return len(found), found[:_NAMED]
