"""Reads topics from their beginning to their end of now, outside any group."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.records import Headers, Record
from hub.errors import BrokerError


@contextmanager
def _asking(bootstrap: str, about: str) -> Iterator[Consumer]:
    """A consumer for one question. What the client raises becomes a BrokerError that names what it is about."""
    consumer = new_consumer(bootstrap, group="hub-reader", client_id="reader")
    try:
        yield consumer
    except KafkaException as error:
        raise BrokerError(f"{about}: {error}") from error
    finally:
        consumer.close()


def partitions_of(bootstrap: str, topic: str) -> int:
    """How many partitions a topic has; 0 if there is none. Raises BrokerError."""
    with _asking(bootstrap, bootstrap) as consumer:
        return len(consumer.list_topics(topic, timeout=15).topics[topic].partitions)


def partitions_of_all(bootstrap: str, topics: Collection[str]) -> dict[str, int]:
    """Topic -> how many partitions it has, of those that there are. Raises BrokerError."""
    with _asking(bootstrap, bootstrap) as consumer:
        known = consumer.list_topics(timeout=15).topics
    return {name: len(known[name].partitions) for name in topics if name in known}


def end_of(bootstrap: str, topic: str, partition: int = 0) -> int:
    """The offset behind the last record of a partition. Raises BrokerError, also if there is no such topic."""
    with _asking(bootstrap, topic) as consumer:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=15)[1]


def read_after(
    bootstrap: str, offsets: Mapping[tuple[str, int], int], patience_seconds: float = 30.0
) -> Iterator[Record]:
    """All records from these offsets of (topic, partition) on, up to the ends of now. As :func:`read_topics`."""
    consumer = new_consumer(bootstrap, group="hub-reader", client_id="reader", **{"enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in offsets.items()])
        yield from _to_ends(consumer, bootstrap, set(offsets), patience_seconds)
    except KafkaException as error:
        raise BrokerError(f"{bootstrap}: {error}") from error
    finally:
        consumer.close()


def read_topics(
    bootstrap: str, topics: Sequence[str], partition: int | None = None, patience_seconds: float = 30.0,
    *, since: datetime | None = None,
) -> Iterator[Record]:
    """All records of the topics (or of one partition of each), in no order between partitions; with ``since`` those
    that were written from then on.

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
        places = [TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in open_places]
        if since is not None and places:
            moment = int(since.timestamp() * 1000)
            asked = [TopicPartition(place.topic, place.partition, moment) for place in places]
            # Where nothing is as young, the offset is that of the end.
            places = consumer.offsets_for_times(asked, timeout=15)
        consumer.assign(places)
        yield from _to_ends(consumer, bootstrap, open_places, patience_seconds)
    except KafkaException as error:
        raise BrokerError(f"{bootstrap}: {error}") from error
    finally:
        consumer.close()


def _to_ends(
    consumer: Consumer, bootstrap: str, open_places: set[tuple[str, int]], patience_seconds: float
) -> Iterator[Record]:
    heard_at = time.monotonic()
    while open_places:
        # It waits so long for a full batch, also when the end has been reached.
        messages = consumer.consume(5000, 0.1)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > patience_seconds:
            raise BrokerError(f"{bootstrap}: nothing heard for {patience_seconds:.0f} s")
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
