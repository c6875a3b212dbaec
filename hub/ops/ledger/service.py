"""The stage ``ledger``: follows all topics of the map and keeps the index, from where the index itself says it is.

Its position stands in Redis beside what it has written and moves in one step with it: a kill between the two does not
exist, and an index that was wiped has no position and is filled from the beginning. The group ``hub-ledger`` is told
the position as well, for ``hub lag`` alone. One process at a time writes: a second one waits until the first has said
nothing for a lease, and then goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import commit, new_consumer
from hub.bus.reader import partitions_of_all
from hub.bus.records import Headers, Record
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.retry import doubled
from hub.errors import BrokerError, IndexUnavailableError
from hub.ops.ledger.desks import Desks
from hub.ops.ledger.giving_way import GivingWay, lower_priority
from hub.ops.ledger.reading import RecordReader, followed_topics
from hub.state.desk_index import DeskIndex
from hub.state.ledger_index import LedgerIndex

log = structlog.get_logger()
GROUP = "hub-ledger"
#: Records of one step: some 15 ms of the index' server, which others ask meanwhile.
_BATCH = 2000
_COMMIT_SECONDS = 2.0
#: An index above its bound is brought below this part of it.
_EVICT_TO = 0.97
_SWEEP_SECONDS = 5.0
_BACKOFF_SECONDS = (0.2, 10.0)
_GONE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)


class LedgerService:
    """A service: ``run`` blocks until ``stop``, from any thread. It outlives a broker or an index that is away."""

    def __init__(
        self, hub_map: HubMap, catalog: Catalog, bootstrap: str, index: LedgerIndex, desk_index: DeskIndex,
        channels: DeskIndex, *, most_bytes: int, now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_nice: bool = True,
    ) -> None:
        self._map, self._catalog, self._bootstrap = hub_map, catalog, bootstrap
        self._index, self._desks, self._channels = index, Desks(desk_index), Desks(channels)
        self._most_bytes, self._now, self._is_nice = most_bytes, now, is_nice
        self._topics = followed_topics(hub_map)
        self._owner = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._fault: IndexUnavailableError | None = None
        #: Partitions whose end has not been met yet; ``None`` until they are known.
        self._unended: set[tuple[str, int]] | None = None
        #: Records that were taken since the start.
        self.records = 0

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        if self._is_nice:
            lower_priority()
        failed = 0
        log.info("ledger started", topics=len(self._topics), most_bytes=self._most_bytes)
        while not self._stopping.is_set():
            before = self.records
            try:
                self._session()
            except (IndexUnavailableError, BrokerError, KafkaException) as error:
                failed = 0 if self.records > before else failed + 1
                delay = doubled(failed, first=_BACKOFF_SECONDS[0], longest=_BACKOFF_SECONDS[1])
                log.warning("ledger cannot go on, trying again", error=str(error), delay_seconds=round(delay, 2))
                self._stopping.wait(delay)
        log.info("ledger stopped", records=self.records)

    def _session(self) -> None:
        """From taking the index over to the next fault."""
        while not self._index.begin(self._owner):
            if self._stopping.wait(0.1):
                return
        for desks in (self._desks, self._channels):
            desks.begin()
        numbers = self._index.number_topics(self._topics)
        reader = RecordReader(self._map, self._catalog, numbers)
        consumer = new_consumer(
            self._bootstrap, group=GROUP, client_id="ledger",
            # Where age has left nothing before the end, the end is how far it has been read.
            **{"enable.partition.eof": True, "group.instance.id": self._instance()},
        )
        self._fault = None
        try:
            consumer.subscribe(self._topics, on_assign=self._on_assign)
            self._follow(consumer, reader)
        finally:
            consumer.close()
        self._index.end()

    def _instance(self) -> str:
        """Whose place in the group this process takes: that of one before it which saw the same partitions.

        So a process that is started after a kill goes on at once. A place comes with the partitions that it was given,
        and nobody looks at them again; where there are others now, it is another place, and the group is divided anew
        as soon as it has given the one before up. Raises BrokerError.
        """
        seen = sorted(partitions_of_all(self._bootstrap, self._topics).items())
        return f"{GROUP}-{hashlib.sha256(repr(seen).encode()).hexdigest()[:12]}"

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begins where the index stands, whatever the group was told."""
        try:
            at = self._index.offsets()
        except IndexUnavailableError as error:
            # An error that leaves a callback would be lost.
            self._fault, at, partitions = error, {}, []
        for each in partitions:
            each.offset = at.get((each.topic, each.partition), OFFSET_BEGINNING)
        self._unended = {(each.topic, each.partition) for each in partitions}
        consumer.assign(partitions)

    def _follow(self, consumer: Consumer, reader: RecordReader) -> None:
        offsets: dict[tuple[str, int], int] = {}
        # So that a lease is held from the first moment, also on an empty log.
        self._index.write(b"", (), (), {})
        committed_at = swept_at = time.monotonic()
        giving_way = GivingWay() if self._is_nice else None
        while not self._stopping.is_set():
            messages = consumer.consume(_BATCH, 0.2)
            records, moved = to_records(messages)
            if self._fault is not None:
                raise self._fault
            batch = reader.read(records)
            commands = self._desks.commands(batch.facts) + self._channels.commands(batch.facts)
            if self._has_just_ended(messages):
                commands.append(self._index.filled_command())
            self._index.write(batch.items, batch.departments, commands, moved)
            self.records += len(records)
            offsets |= moved
            if giving_way is not None and (rest := giving_way.rest_seconds(records)):
                self._stopping.wait(rest)
            clock = time.monotonic()
            if batch.items:
                self._index.evict(self._most_bytes, int(self._most_bytes * _EVICT_TO))
            if offsets and clock - committed_at > _COMMIT_SECONDS:
                commit(consumer, offsets, is_waiting=False, log=log)
                offsets, committed_at = {}, clock
            if clock - swept_at > _SWEEP_SECONDS and not records:
                swept_at = clock
                if swept := self._desks.sweep(self._now()):
                    self._index.write(b"", (), swept, {})
        if offsets:
            commit(consumer, offsets, is_waiting=True, log=log)

    def _has_just_ended(self, messages: Sequence[Any]) -> bool:
        """Whether with these the end of every partition has been met once: nothing older is missing."""
        if not self._unended:
            return False
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._unended.discard((message.topic(), message.partition()))
        return not self._unended


def to_records(messages: Sequence[Any]) -> tuple[list[Record], dict[tuple[str, int], int]]:
    """The records among the messages, and how far they bring us.

    Raises BrokerError for what the client does not mend by itself.
    """
    found: list[Record] = []
    moved: dict[tuple[str, int], int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            moved[message.topic(), message.partition()] = message.offset() + 1
            found.append(Record(
                message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
                message.value(), cast(Headers, message.headers() or []),
            ))
        elif error.code() == KafkaError._PARTITION_EOF:
            moved[message.topic(), message.partition()] = message.offset()
        elif error.code() in _GONE:
            continue  # the map is ahead of the cluster; the client looks for it again by itself
        elif not error.retriable() and error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            raise BrokerError(error.str())
    return found, moved
