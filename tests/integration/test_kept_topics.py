"""Small topics that are read on: each question is as exact as reading all of it again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic, TopicPartition

from hub.bus.clients import new_producer
from hub.bus.kept_topics import KeptTable, KeptTopics
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.domain.acts import Actor
from hub.errors import BrokerError
from hub.ops.acts import ACTS_TOPIC, ActsDesk
from tests.conftest import KafkaLike
from tests.support_contracts import catalog
from tests.support_topics import having


def text_of(record: Record) -> str | None:
    return None if record.value is None else record.value.decode()


def writer(bootstrap: str, topic: str) -> Callable[[int, bytes, bytes | None], None]:
    producer = new_producer(bootstrap, client_id="test")

    def write(partition: int, key: bytes, value: bytes | None) -> None:
        producer.produce(topic, value, key, partition=partition)
        assert producer.flush(30) == 0

    return write


@pytest.mark.parametrize("partitions", [1, 12])
def test_what_came_since_is_there_and_what_age_removed_is_not(kafka: KafkaLike, partitions: int) -> None:
    topic = f"kept-{uuid.uuid4()}"
    with having(kafka.bootstrap, [], NewTopic(topic, partitions, 1)):
        write, last = writer(kafka.bootstrap, topic), partitions - 1
        calls: list[str] = []

        def read(record: Record) -> str | None:
            calls.append(f"{record.partition}:{record.offset}")
            return text_of(record)

        kept = KeptTopics(Tail(kafka.bootstrap, [topic, f"{topic}-none"], is_whole=True), read)
        assert kept.all() == []
        write(0, b"k", b"a")
        write(last, b"k", b"b")
        assert sorted(kept.all()) == ["a", "b"] == sorted(kept.all())
        write(last, b"k", None)
        write(last, b"k", b"c")
        assert sorted(kept.all()) == ["a", "b", "c"]
        assert len(calls) == len(set(calls)) == 4
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for future in admin.delete_records([TopicPartition(topic, 0, 1)]).values():
            future.result()
        assert sorted(kept.all()) == ["b", "c"]


def test_a_table_has_the_latest_of_each_key(kafka: KafkaLike) -> None:
    topic = f"kept-{uuid.uuid4()}"
    with having(kafka.bootstrap, [], NewTopic(topic, 3, 1)):
        write, table = writer(kafka.bootstrap, topic), KeptTable(Tail(kafka.bootstrap, [topic], is_whole=True))
        write(0, b"a", b"1")
        write(2, b"b", b"1")
        assert sorted(table(range(3))) == [(0, b"a", b"1"), (2, b"b", b"1")]
        write(0, b"a", b"2")
        write(2, b"b", None)
        assert list(table(range(3))) == [(0, b"a", b"2")] and list(table([2])) == []


def test_a_broker_that_is_away_is_said_and_everything_is_read_anew(kafka: KafkaLike) -> None:
    topic = f"kept-{uuid.uuid4()}"
    with having(kafka.bootstrap, [], NewTopic(topic, 1, 1)):
        tail = Tail(kafka.bootstrap, [topic])
        kept = KeptTopics(tail, text_of)
        writer(kafka.bootstrap, topic)(0, b"k", b"a")
        assert kept.all() == ["a"]
        tail.close()
        assert kept.all() == ["a"]
    with pytest.raises(BrokerError):
        KeptTopics(Tail("127.0.0.1:1", [topic]), text_of).all()


def test_a_desk_that_reads_on_sees_what_others_did_at_once(kafka: KafkaLike) -> None:
    with having(kafka.bootstrap, [], NewTopic(ACTS_TOPIC, 1, 1)):
        publisher = KafkaPublisher(kafka.bootstrap, client_id="test")
        try:
            def desk(tail: Tail | None) -> ActsDesk:
                return ActsDesk(kafka.bootstrap, publisher, catalog(), lambda: datetime.now(UTC), tail)

            kept, other = desk(Tail(kafka.bootstrap, [ACTS_TOPIC])), desk(None)
            assert kept.read() == []
            one, two = Actor("night-watch", "console"), Actor("day-watch", "console")
            asked = other.ask("notices.replay", one, "government-procurement", "对端恢复", needs_second=True)
            assert [each.state for each in kept.read()] == ["asked"]
            assert kept.approve(asked.asked.request_id, two, "已核实").state == "approved"
            assert kept.read() == other.read()
        finally:
            publisher.close()
