"""Lag as seen from outside beside Kafka's own tool: on a live run, at rest, after a restart, with holes, cut short."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported untyped
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from kafka import TopicPartition as AdminPlace

from hub.bus.clients import new_consumer, new_producer
from hub.bus.lag_look import LagObserver
from hub.bus.lane import Lane
from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.bus.topics import admin
from hub.domain.lag import COMMIT_RHYTHM_SECONDS, GroupLag, GroupLook, PlaceLook, Verdict, judge
from tests.conftest import CreateTopics, KafkaLike
from tests.support_kafka_tools import describe_groups
from tests.support_served import wait_until

PARTITIONS = 3


class Reading(Stage):
    """Reads, and takes its time for it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        time.sleep(self._seconds)
        return [[] for _ in records]


@contextlib.contextmanager
def reading(kafka: KafkaLike, group: str, topic: str, seconds: float = 0.0) -> Iterator[Lane]:
    lane = Lane(
        Reading(seconds), name=f"reader-{group}", topics=[topic], group=group, bootstrap=kafka.bootstrap, max_batch=5,
        commit_seconds=0.05,
    )
    thread = threading.Thread(target=lane.run)
    thread.start()
    try:
        wait_until(lane.assigned.is_set, "the reader's partitions")
        yield lane
    finally:
        lane.stop()
        thread.join(30)


@contextlib.contextmanager
def observing(kafka: KafkaLike, group: str, topic: str) -> Iterator[Callable[[], GroupLook]]:
    observer = LagObserver(kafka.bootstrap, {group: [topic]})
    try:
        yield lambda: observer.look()[0]
    finally:
        observer.close()


def agree(kafka: KafkaLike, looks: Sequence[GroupLook]) -> None:
    """Every figure that the tool prints of groups that stand still."""
    said = describe_groups(kafka.bootstrap, *(look.group for look in looks))
    for look in looks:
        for each in look.places:
            line = said[look.group].get(each.place)
            if each.committed is None:
                assert line is None or line.committed is None
                continue
            assert line is not None
            assert (line.committed, line.end, line.lag) == (each.committed, each.end, each.lag + each.lost), each


def settle(look: Callable[[], GroupLook], holds: Callable[[GroupLag], bool], what: str) -> GroupLag:
    """Looks until what was seen holds; all looks are judged together."""
    looks: list[GroupLook] = []

    def is_so() -> bool:
        looks.append(look())
        return holds(judge(looks))

    wait_until(is_so, what)
    return judge(looks)


def commit(kafka: KafkaLike, group: str, offsets: dict[tuple[str, int], int]) -> None:
    consumer = new_consumer(kafka.bootstrap, group=group, client_id="test")
    consumer.commit(offsets=[TopicPartition(*place, at) for place, at in offsets.items()], asynchronous=False)
    consumer.close()


def write(producer: Producer, topic: str, count: int, *, partition: int = -1, **more: Any) -> None:
    for number in range(count):
        producer.produce(topic, b"x", str(number).encode(), partition, **more)
    assert producer.flush(30) == 0


class Start(Protocol):
    def __call__(self, **config: str) -> tuple[str, str]: ...


@pytest.fixture
def start(create_topics: CreateTopics, topic_name: Callable[..., str]) -> Start:
    """A topic and a group that nobody else has."""

    def make(**config: str) -> tuple[str, str]:
        topic = topic_name("lag")
        create_topics(topic, partitions=PARTITIONS, config=config)
        return topic, f"group-{uuid.uuid4().hex[:8]}"

    return make


def test_a_live_run_lies_between_two_looks(kafka: KafkaLike, start: Start) -> None:
    topic, group = start()
    write(new_producer(kafka.bootstrap, client_id="test"), topic, 900)
    with observing(kafka, group, topic) as look:
        assert judge([look()]).verdict == Verdict.STOPPED
        with reading(kafka, group, topic, seconds=0.15):
            behind = settle(look, lambda lag: bool(lag.drain_rate), "progress")
            assert behind.verdict == Verdict.BEHIND and behind.drain_seconds and len(behind.members) == 1
            before, lines, after = look(), describe_groups(kafka.bootstrap, group)[group], look()
            assert before.places[0].committed != after.places[0].committed or before.places != after.places
            for early, late in zip(before.places, after.places, strict=True):
                line = lines[early.place]
                assert (early.committed or 0) <= (line.committed or 0) <= (late.committed or 0)
                assert line.end == early.end and line.lag in (None, early.end - (line.committed or 0))
                (member,) = before.members
                assert (line.consumer, line.host, line.client) == (member.member_id, member.host, member.client_id)
                assert early.place in member.places


def test_at_rest_after_a_restart_with_holes_and_cut_short_it_is_what_kafka_s_own_tool_says(
    kafka: KafkaLike, start: Start
) -> None:
    situations = [
        at_rest(kafka, *start()), restarted(kafka, *start()), truncated(kafka, *start()), emptied(kafka, *start()),
        with_a_hole_at_the_end(kafka, *start()), compacted(kafka, *start(**COMPACT)),
    ]  # fmt: skip
    agree(kafka, situations)


def at_rest(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    write(new_producer(kafka.bootstrap, client_id="test"), topic, 60)
    with observing(kafka, group, topic) as look:
        with reading(kafka, group, topic):
            settle(look, lambda lag: lag.unread == 0, "the end of the topic")
        rest = judge([look()])
        assert (rest.verdict, rest.unread, rest.seconds, rest.members) == (Verdict.OK, 0, 0.0, ())
        return look()


def restarted(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    """Read, stopped, written to, read on by another process, written to; and the observer is a new one each time."""
    producer = new_producer(kafka.bootstrap, client_id="test")
    for _ in range(2):
        write(producer, topic, 30)
        with observing(kafka, group, topic) as look, reading(kafka, group, topic):
            settle(look, lambda lag: lag.unread == 0, "the end of the topic")
    write(producer, topic, 7)
    with observing(kafka, group, topic) as look:
        stopped = judge([look()])
        assert (stopped.verdict, stopped.unread) == (Verdict.STOPPED, 7)
        return look()


def truncated(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    write(new_producer(kafka.bootstrap, client_id="test"), topic, 10, partition=0)
    commit(kafka, group, {(topic, 0): 3})
    delete_before(kafka, topic, 6)
    with observing(kafka, group, topic) as look:
        assert _figures(look().places[0]) == (3, 6, 10, 4, 3, 6)
        return look()


def emptied(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    write(new_producer(kafka.bootstrap, client_id="test"), topic, 10, partition=0)
    commit(kafka, group, {(topic, 0): 3})
    delete_before(kafka, topic, 10)
    with observing(kafka, group, topic) as look:
        nothing = judge([look()])
        assert (nothing.unread, nothing.lost, nothing.verdict, nothing.seconds) == (0, 7, Verdict.OK, 0.0)
        # A new group begins where the topic does: nothing was lost to it.
        with observing(kafka, f"{group}-new", topic) as other:
            assert _figures(other().places[0]) == (None, 10, 10, 0, 0, None)
        return look()


def with_a_hole_at_the_end(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    """An offset that is lag to Kafka and no record to anybody."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": group, "log_level": 2})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.commit_transaction(30)  # the mark of its end takes an offset and is no record
    commit(kafka, group, {(topic, 0): 1})
    with observing(kafka, group, topic) as look:
        assert _figures(look().places[0]) == (1, 0, 2, 1, 0, None)
        assert judge([look()]).verdict == Verdict.OK
        return look()


COMPACT = {"cleanup.policy": "compact", "segment.bytes": str(1024 * 1024), "min.cleanable.dirty.ratio": "0.001"}


def compacted(kafka: KafkaLike, topic: str, group: str) -> GroupLook:
    """The oldest record that is unread lies behind the hole that compaction left at the commit."""
    producer = new_producer(kafka.bootstrap, client_id="test")
    early, late = int(time.time() * 1000) - 5_000_000, int(time.time() * 1000) - 200_000
    for number in range(15):
        # The active segment is not compacted: what replaces the oldest records must not stand in it.
        key, at = (b"key-a", early if number < 2 else late) if number < 3 else (b"key-b", late)
        producer.produce(topic, bytes([number]) + random.randbytes(200_000), key, 0, timestamp=at)
        assert producer.flush(30) == 0  # a batch each
    commit(kafka, group, {(topic, 0): 0})

    def look() -> GroupLook:
        # One observer remembers for a while what it found: each look is a new one's.
        with observing(kafka, group, topic) as fresh:
            return fresh()

    assert look().places[0].oldest_at == datetime.fromtimestamp(early / 1000, UTC)
    with quick_cleaner(kafka):
        wait_until(lambda: (look().places[0].oldest_offset or 0) > 1, "compaction")
    found = look().places[0]
    assert found.oldest_at == datetime.fromtimestamp(late / 1000, UTC)
    assert (found.position, found.lag, found.lost) == (0, 15, 0)
    return look()


def test_a_group_that_holds_its_record_is_stalled_and_the_age_is_that_record_s(kafka: KafkaLike, start: Start) -> None:
    topic, group = start()
    written = int(time.time() * 1000) - 3_600_000
    write(new_producer(kafka.bootstrap, client_id="test"), topic, 4, partition=1, timestamp=written)
    commit(kafka, group, {(topic, 1): 1})
    consumer = new_consumer(kafka.bootstrap, group=group, client_id="holder")
    try:
        consumer.subscribe([topic])
        wait_until(lambda: consumer.poll(0.05) is not None, "the first record")
        with observing(kafka, group, topic) as look:
            first = look()
            found = judge([first._replace(at=first.at - timedelta(seconds=COMMIT_RHYTHM_SECONDS)), look()])
    finally:
        consumer.close()
    assert (found.verdict, found.unread, found.drain_seconds) == (Verdict.STALLED, 3, None)
    assert found.places[1].look.oldest_at == datetime.fromtimestamp(written / 1000, UTC)
    assert (found.seconds or 0) >= 3600 and found.places[1].is_still


def test_groups_at_different_places_of_a_partition_see_each_its_own_oldest_record(
    kafka: KafkaLike, start: Start
) -> None:
    topic, group = start()
    producer = new_producer(kafka.bootstrap, client_id="test")
    began = int(time.time() * 1000) - 100_000
    for number in range(4):
        write(producer, topic, 1, partition=2, timestamp=began + number)
    names = [f"{group}-{number}" for number in range(4)]
    for number, name in enumerate(names):
        commit(kafka, name, {(topic, 2): number})
    observer = LagObserver(kafka.bootstrap, {name: [topic] for name in names})
    try:
        for _ in range(2):  # the second time from memory
            found = [look.places[2] for look in observer.look()]
            assert [each.oldest_offset for each in found] == [0, 1, 2, 3]
            assert [each.oldest_at.timestamp() * 1000 - began for each in found if each.oldest_at] == [0, 1, 2, 3]
    finally:
        observer.close()


def delete_before(kafka: KafkaLike, topic: str, offset: int) -> None:
    with admin(kafka.bootstrap) as client:
        client.delete_records({AdminPlace(topic, 0): offset})


def _figures(look: PlaceLook) -> tuple[int | None, int, int, int, int, int | None]:
    return look.committed, look.start, look.end, look.lag, look.lost, look.oldest_offset


@contextlib.contextmanager
def quick_cleaner(kafka: KafkaLike) -> Iterator[None]:
    """The broker looks for what to compact every 0.2 s instead of every 15."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 2})
    brokers = [str(number) for number in client.list_topics(timeout=15).brokers]

    def alter(operation: Any, value: str | None) -> None:
        for broker in brokers:
            entry = ConfigEntry("log.cleaner.backoff.ms", value, incremental_operation=operation)
            resource = ConfigResource("broker", broker, incremental_configs=[entry])
            for future in client.incremental_alter_configs([resource]).values():
                future.result(30)

    alter(AlterConfigOpType.SET, "200")
    try:
        yield
    finally:
        alter(AlterConfigOpType.DELETE, None)
