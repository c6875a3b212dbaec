"""Reads spans of partitions: from an offset up to another, outside any group."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.batch import Place
from hub.bus.bounds import Bounds
from hub.bus.clients import new_consumer
from hub.bus.commits import Position
from hub.bus.records import Headers, Record
from hub.errors import BrokerError

_BATCH = 1000


class Span(NamedTuple):
    """From ``start`` on (``None``: from the oldest record that is left) up to ``end``, without it."""

    start: int | None
    end: int


class SpanReader:
    """Keeps one consumer. One object serves one thread."""

    def __init__(self, bootstrap: str, *, patience_seconds: float = 30.0) -> None:
        self._bootstrap, self._patience_seconds = bootstrap, patience_seconds
        self._consumer: Consumer | None = None
        self._bounds = Bounds(bootstrap, client_id="span-reader")

    def ends_of(self, places: Collection[Place]) -> dict[Place, int]:
        """The offset that the next record of each partition gets. Raises BrokerError."""
        return self._bounds.ends(places)

    def counts_of(self, topics: Collection[str]) -> dict[str, int]:
        """How many offsets each topic holds; 0 where it is not there. Raises BrokerError."""
        places = [(topic, number) for topic, count in self.partitions_of(topics).items() for number in range(count)]
        starts, ends = self._bounds.starts(places), self._bounds.ends(places)
        counts = dict.fromkeys(topics, 0)
        for place in places:
            counts[place[0]] += ends[place] - starts[place]
        return counts

    def partitions_of(self, topics: Collection[str]) -> dict[str, int]:
        """Topic -> how many partitions it has, of those that there are. Raises BrokerError."""
        try:
            known = self._open().list_topics(timeout=self._patience_seconds).topics
        except KafkaException as error:
            raise BrokerError(f"{self._bootstrap}: {error}") from error
        return {name: len(known[name].partitions) for name in topics if name in known}

    def spans_since(self, milliseconds: int, ends: Mapping[Place, int]) -> dict[Place, Span]:
        """From the first record of each partition that is of that moment or later (milliseconds since the epoch) up
        to its end, of those that have one before it. Raises BrokerError."""
        if not ends:
            return {}
        try:
            asked = [TopicPartition(*place, milliseconds) for place in ends]
            found = self._open().offsets_for_times(asked, timeout=self._patience_seconds)
        except KafkaException as error:
            raise BrokerError(f"{self._bootstrap}: {error}") from error
        spans: dict[Place, Span] = {}
        for each in found:
            if each.error is not None:
                raise BrokerError(f"{each.topic}/{each.partition}: {each.error.str()}")
            place = (each.topic, each.partition)
            if 0 <= each.offset < ends[place]:
                spans[place] = Span(each.offset, ends[place])
        return spans

    def read(self, spans: Mapping[Place, Span]) -> Iterator[list[Record]]:
        """Records batch by batch, those of a partition in its order. Raises BrokerError if nothing is heard for
        ``patience_seconds``. What retention has taken is passed over."""
        consumer, left = self._open(), dict(spans)
        try:
            consumer.assign([
                TopicPartition(*place, OFFSET_BEGINNING if span.start is None else span.start)
                for place, span in left.items()
            ])
            heard_at = time.monotonic()
            while left:
                records: list[Record] = []
                asked = set(left)
                for message in consumer.consume(_BATCH, 0.2):
                    place, error = (message.topic() or "", message.partition() or 0), message.error()
                    heard_at = time.monotonic()
                    if place not in left:
                        continue
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:
                            del left[place]
                        elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                            raise BrokerError(f"{place[0]}: {error.str()}")
                        continue
                    offset = message.offset() or 0
                    if offset < left[place].end:
                        records.append(Record(
                            *place, offset, message.timestamp()[1], message.key(), message.value(),
                            cast(Headers, message.headers() or []),
                        ))
                    if offset >= left[place].end - 1:
                        del left[place]
                if left and (done := asked.difference(left)):
                    # What lies behind a span would be fetched before what is wanted of the others.
                    consumer.incremental_unassign([TopicPartition(*place) for place in done])
                if records:
                    yield records
                elif time.monotonic() - heard_at > self._patience_seconds:
                    raise BrokerError(f"{self._bootstrap}: nothing heard for {self._patience_seconds:.0f} s")
        except KafkaException as error:
            raise BrokerError(f"{self._bootstrap}: {error}") from error
        finally:
            consumer.unassign()

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._bounds.close()

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = new_consumer(
                self._bootstrap, group="hub-reader", client_id="span-reader",
                # Small fetches: what lies behind a span is not wanted. A partition of which enough is here is asked
                # again at once when it is not: the client would let it rest for a second.
                **{
                    "enable.partition.eof": True, "queued.min.messages": _BATCH, "queued.max.messages.kbytes": 4096,
                    "fetch.queue.backoff.ms": 2,
                },
            )
        return self._consumer


class Backlog:
    """What a group has still to read of a topic, to look ahead; it joins no group and commits nothing.

    Called with partitions it gives the records of each from the group's commit to the end of now, in their order.
    Raises BrokerError.
    """

    def __init__(self, bootstrap: str, *, topic: str, group: str) -> None:
        self._bootstrap, self._topic, self._group = bootstrap, topic, group

    def __call__(self, partitions: Collection[int]) -> Iterator[Record]:
        with Position(self._bootstrap, self._group, self._topic) as position:
            committed = position.read(partitions)
        reader = SpanReader(self._bootstrap)
        try:
            ends = reader.ends_of([(self._topic, number) for number in partitions])
            spans = {
                place: Span(committed.get(place), end)
                for place, end in ends.items() if end > (committed.get(place) or 0)
            }
            for records in reader.read(spans) if spans else ():
                yield from records
        finally:
            reader.close()


class Stretches:
    """Parts of a topic read again. Called with partition -> (first offset, offset behind the last). Raises BrokerError.
    """

    def __init__(self, bootstrap: str, *, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic

    def __call__(self, spans: Mapping[int, tuple[int, int]]) -> Iterator[Record]:
        reader = SpanReader(self._bootstrap)
        try:
            wanted = {(self._topic, number): Span(start, end) for number, (start, end) in spans.items()}
            for records in reader.read(wanted) if wanted else ():
                yield from records
        finally:
            reader.close()


class Since:
    """What was written to a topic since a moment; it joins no group and commits nothing.

    Called with partitions and milliseconds since the epoch. Raises BrokerError.
    """

    def __init__(self, bootstrap: str, *, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic

    def __call__(self, partitions: Collection[int], milliseconds: int) -> Iterator[Record]:
        reader = SpanReader(self._bootstrap)
        try:
            places = [(self._topic, number) for number in partitions]
            spans = reader.spans_since(milliseconds, reader.ends_of(places))
            for records in reader.read(spans) if spans else ():
                yield from records
        finally:
            reader.close()
