"""Reads topics from their beginning to their end of now, outside any group."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.batch import Place
from hub.bus.clients import new_consumer
from hub.bus.records import Headers, Record
from hub.errors import BrokerError


def partitions_of(bootstrap: str, topic: str) -> int:
    """How many partitions a topic has; 0 if there is none. Raises BrokerError."""
    consumer = new_consumer(bootstrap, group="hub-reader", client_id="reader")
    try:
        return len(consumer.list_topics(topic, timeout=15).topics[topic].partitions)
    except KafkaException as error:
        raise BrokerError(f"{bootstrap}: {error}") from error
    finally:
        consumer.close()


def read_topics(
    bootstrap: str, topics: Sequence[str], partition: int | None = None, patience_seconds: float = 30.0
) -> Iterator[Record]:
    """All records of the topics (or of one partition of each), in no order between partitions.

    Joins no group, commits nothing. Raises BrokerError if nothing is heard for ``patience_seconds``.
    """
    consumer = new_consumer(bootstrap, group="hub-reader", client_id="reader", **{"enable.partition.eof": True})
    try:
        known = consumer.list_topics(timeout=15).topics
        open_places = {
            (topic, number)
            for topic in topics
            if topic in known
            for number in known[topic].partitions
            if partition is None or number == partition
        }
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in open_places])
        yield from _until_end(consumer, open_places, patience_seconds)
    except KafkaException as error:
        raise BrokerError(f"{bootstrap}: {error}") from error
    finally:
        consumer.close()


class Backlog:
    """What a group has still to read of a topic, to look ahead. Joins no group, commits nothing.

    Called with partitions it gives the records of each from the group's commit to the end of now, in their order.
    Raises BrokerError.
    """

    def __init__(self, bootstrap: str, *, topic: str, group: str, patience_seconds: float = 30.0) -> None:
        self._bootstrap, self._topic, self._group = bootstrap, topic, group
        self._patience_seconds = patience_seconds

    def __call__(self, partitions: Collection[int]) -> Iterator[Record]:
        consumer = new_consumer(
            self._bootstrap, group=self._group, client_id="backlog", **{"enable.partition.eof": True}
        )
        try:
            places = [TopicPartition(self._topic, number) for number in partitions]
            unread = []
            for place in consumer.committed(places, timeout=self._patience_seconds):
                low, high = consumer.get_watermark_offsets(place, timeout=self._patience_seconds)
                start = max(low, place.offset)  # without a commit its offset is below zero
                if start < high:
                    unread.append(TopicPartition(self._topic, place.partition, start))
            if unread:
                consumer.assign(unread)
                yield from _until_end(
                    consumer, {(self._topic, place.partition) for place in unread}, self._patience_seconds
                )
        except KafkaException as error:
            raise BrokerError(f"{self._topic}: {error}") from error
        finally:
            consumer.close()


def _until_end(consumer: Consumer, open_places: set[Place], patience_seconds: float) -> Iterator[Record]:
    """The records of what is assigned, until the broker says of each place that it ends there."""
    heard_at = time.monotonic()
    while open_places:
        messages = consumer.consume(5000, 0.5)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > patience_seconds:
            raise BrokerError(f"nothing heard for {patience_seconds:.0f} s")
        for m in messages:
            error = m.error()
            if error is None:
                yield Record(
                    m.topic() or "",
                    m.partition() or 0,
                    m.offset() or 0,
                    m.timestamp()[1],
                    m.key(),
                    m.value(),
                    cast(Headers, m.headers() or []),
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                open_places.discard((m.topic() or "", m.partition() or 0))
            elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                raise BrokerError(f"{m.topic()}: {error.str()}")
