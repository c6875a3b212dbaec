"""The due index made anew from ``clock.states.v1``, or held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    def replace(self, partition: int, moments: Mapping[str, int]) -> None: ...

    def drop(self, partitions: Sequence[int]) -> None: ...

    def members(self, partition: int) -> Iterator[tuple[str, int]]: ...


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
    """Reads the topic once for each question. Raises BrokerError, IndexUnavailableError.

    ``is_stage_running`` says whether any process has the partitions now.
    """

    def __init__(
        self, *, loader: KafkaStateLoader, index: DueIndexContent, catalog: Catalog,
        rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar], is_stage_running: Callable[[], bool],
    ) -> None:
        self._loader = loader
        self._index = index
        self._catalog = catalog
        self._rules = rules
        self._calendars = calendars
        self._is_stage_running = is_stage_running

    def rebuild(self) -> bool:
        """Makes the index anew; returns whether that is done already.

        The stage that has a partition is the only one who knows what is on its way to the topic: beside it the
        index is only dropped, and the stage, which looks after it every few seconds, writes it. Where none
        runs, what the topic says is written here.
        """
        partitions = self._loader.partitions()
        if self._is_stage_running():
            self._index.drop(partitions)
            return False
        for partition, moments in self._moments().items():
            self._index.replace(partition, moments)
        return True

    def verify(self) -> list[PartitionReport]:
        """Compares, writes nothing. While a stage works, a clock may differ that is just being written."""
        return [self._compare(partition, topic) for partition, topic in self._moments().items()]

    def _compare(self, partition: int, topic: Mapping[str, int]) -> PartitionReport:
        index = dict(self._index.members(partition))
        return PartitionReport(
            partition, len(topic), digest(topic), digest(index),
            _some(topic.keys() - index.keys()), _some(index.keys() - topic.keys()),
            _some(each for each in topic.keys() & index.keys() if topic[each] != index[each]),
        )

    def _moments(self) -> dict[int, dict[str, int]]:
        partitions = self._loader.partitions()
        values: dict[int, list[tuple[str, bytes | None]]] = {partition: [] for partition in partitions}
        for partition, key, value in self._loader(partitions):
            values[partition].append((key.decode(), value))
        moments: dict[int, dict[str, int]] = {}
        for partition, found in values.items():
            table = ClockTable(self._rules, self._calendars, self._decode)
            table.restore(found)
            moments[partition] = table.moments()
        return moments

    def _decode(self, value: bytes) -> ClockState:
        return state_from_value(self._catalog.decode(value)[1])


def digest(moments: Mapping[str, int]) -> str:
    """SHA-256 of all ids and moments, whatever their order."""
    made = hashlib.sha256()
    for clock_id in sorted(moments):
        made.update(f"{clock_id} {moments[clock_id]}\n".encode())
    return made.hexdigest()


def whole_digest(digests: Iterable[str]) -> str:
    """Of the digests of all partitions, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _some(clock_ids: Iterable[str]) -> tuple[int, list[str]]:
    found = sorted(clock_ids)
    return len(found), found[:_NAMED]
