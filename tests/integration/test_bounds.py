"""Where partitions begin and end, as a real Kafka tells it of many at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not in the package's types

from hub.bus.bounds import Bounds
from hub.bus.spans import Span, SpanReader
from hub.errors import BrokerError
from tests.conftest import KafkaLike
from tests.support_topics import having

PARTITIONS = 12


class Log:
    """A topic of twelve partitions."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap, self.topic = bootstrap, f"bounds-{uuid.uuid4()}"
        self.places = [(self.topic, number) for number in range(PARTITIONS)]
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})

    def write(self, number: int, count: int, *, at: int = 0) -> None:
        for _ in range(count):
            self._producer.produce(self.topic, b"v", partition=number, timestamp=at)
        assert self._producer.flush(20) == 0


@pytest.fixture
def log(kafka: KafkaLike) -> Iterator[Log]:
    made = Log(kafka.bootstrap)
    with having(kafka.bootstrap, [], NewTopic(made.topic, PARTITIONS, 1)):
        yield made


def test_bounds_of_many_places_are_those_of_each(log: Log) -> None:
    for number in range(0, PARTITIONS, 2):
        log.write(number, number + 1)
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    for future in admin.delete_records([TopicPartition(log.topic, 4, 3)]).values():
        future.result()
    bounds = Bounds(log.bootstrap, client_id="test")
    assert bounds.ends(log.places) == {
        place: 0 if place[1] % 2 else place[1] + 1 for place in log.places
    }
    assert bounds.starts(log.places) == {place: 3 if place[1] == 4 else 0 for place in log.places}
    assert bounds.ends(log.places[4:5]) == {(log.topic, 4): 5} and bounds.ends([]) == {}
    bounds.close()
    assert bounds.starts(log.places[4:5]) == {(log.topic, 4): 3}, "a new connection"


def test_an_open_transaction_is_no_part_of_it(log: Log) -> None:
    log.write(0, 2)
    producer = Producer({"bootstrap.servers": log.bootstrap, "transactional.id": log.topic, "log_level": 0})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(log.topic, b"v", partition=0)
    assert producer.flush(20) == 0
    bounds = Bounds(log.bootstrap, client_id="test")
    assert bounds.ends(log.places[:1]) == {(log.topic, 0): 2}
    producer.commit_transaction(20)
    until = time.monotonic() + 10
    while (found := bounds.ends(log.places[:1])) != {(log.topic, 0): 4} and time.monotonic() < until:
        time.sleep(0.05)  # its mark is written behind the answer
    assert found == {(log.topic, 0): 4}, "the record and the mark behind it"


def test_what_cannot_be_told_is_an_error(log: Log) -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1"):
        Bounds(log.bootstrap, client_id="test", patience_seconds=0.5).ends([(f"{log.topic}-none", 0), *log.places])
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        Bounds("127.0.0.1:1", client_id="test", patience_seconds=0.5).ends(log.places)


def test_topics_are_counted_by_what_is_left_of_them(log: Log) -> None:
    log.write(0, 5)
    log.write(7, 3)
    admin = AdminClient({"bootstrap.servers": log.bootstrap})
    for future in admin.delete_records([TopicPartition(log.topic, 0, 2)]).values():
        future.result()
    reader, none = SpanReader(log.bootstrap), f"{log.topic}-none"
    try:
        assert reader.counts_of([log.topic, none]) == {log.topic: 6, none: 0} and reader.counts_of([]) == {}
        assert reader.partitions_of([log.topic, none]) == {log.topic: PARTITIONS}
    finally:
        reader.close()


def test_spans_begin_with_the_first_record_of_a_moment(log: Log) -> None:
    now = int(time.time() * 1000)
    for at in (now - 2000, now - 1000, now):
        log.write(0, 2, at=at)
    log.write(1, 4, at=now - 5000)
    reader = SpanReader(log.bootstrap)
    try:
        ends = reader.ends_of(log.places)
        assert reader.spans_since(now - 1000, ends) == {(log.topic, 0): Span(2, 6)}
        assert reader.spans_since(now - 9000, ends) == {(log.topic, 0): Span(0, 6), (log.topic, 1): Span(0, 4)}
        assert reader.spans_since(now - 1000, ends | {(log.topic, 0): 2}) == {}, "it is behind that end"
        assert reader.spans_since(now - 1000, {}) == {}
    finally:
        reader.close()
