"""Records by their positions: scattered, close together, gone, and asked for by several threads at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import TopicPartition

from hub.bus.clients import new_producer, produce
from hub.bus.log_reader import LogReader, Position
from hub.errors import BrokerError

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

COUNT = 3000


@pytest.fixture
def topic(kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]) -> str:
    name = topic_name()
    create_topics(name, partitions=3)
    producer = new_producer(kafka.bootstrap, client_id="test")
    for number in range(COUNT):
        produce(producer, name, b"%d" % number, b"k", headers=[("ce_id", b"x")], partition=number % 3)
    assert producer.flush(60) == 0
    return name


def test_records_are_found_wherever_they_stand_and_what_is_gone_is_missing(kafka: KafkaLike, topic: str) -> None:
    chance, reader = random.Random(1), LogReader(kafka.bootstrap)
    try:
        for _ in range(3):
            wanted = [Position(topic, chance.randrange(3), chance.randrange(COUNT // 3)) for _ in range(12)]
            wanted += [Position(topic, 0, 10), Position(topic, 0, 11), Position(topic, 0, 999)]
            # Behind the end, on a partition and on a topic that are not there.
            gone = [Position(topic, 0, 5000), Position(topic, 1, 1_000_000)]
            found = reader.fetch([*wanted, *gone])
            assert found.keys() == set(wanted)
            assert all(record.value == b"%d" % (at.offset * 3 + at.partition) for at, record in found.items())
        assert reader.fetch([]) == {}
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda at: reader.fetch([Position(topic, 1, at)]), range(0, 800, 100))
            assert [next(iter(answer.values())).offset for answer in answers] == list(range(0, 800, 100))
        # What age has removed.
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for future in admin.delete_records([TopicPartition(topic, 2, 500)]).values():
            future.result()
        found = reader.fetch([Position(topic, 2, 20), Position(topic, 2, 700)])
        assert [at.offset for at in found] == [700]
    finally:
        reader.close()


def test_a_broker_that_does_not_answer_is_an_error() -> None:
    reader = LogReader("127.0.0.1:1", patience_seconds=0.5)
    try:
        with pytest.raises(BrokerError):
            reader.fetch([Position("nowhere", 0, 1)])
    finally:
        reader.close()
