"""The clocks stage on a real Kafka and Valkey: written, restored, indexed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.bus.clients import new_producer
from hub.bus.lane import Lane
from hub.bus.records import Output, Record
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.stage import ClocksStage
from hub.clocks.view import ClocksView
from hub.clocks.wire import INPUTS
from hub.domain.clocks import Status
from hub.errors import BrokerError, IndexUnavailableError
from hub.state.due_index import DueIndex
from tests.support_clocks import CALENDARS, RULES, Feed, at, milliseconds, signal
from tests.support_contracts import catalog

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

START = signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30")


def write(bootstrap: str, records: list[Output]) -> None:
    producer = new_producer(bootstrap, client_id="test")
    for topic, key, value, headers, partition in records:
        producer.produce(topic, value, key, -1 if partition is None else partition, headers=list(headers))
    assert producer.flush(30) == 0


def as_output(record: Record) -> Output:
    return Output(record.topic, record.key, record.value, record.headers, record.partition)


def test_the_loader_reads_one_partition_with_its_tombstones(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name()
    create_topics(topic, partitions=3, config={"cleanup.policy": "compact"})
    loader = KafkaStateLoader(kafka.bootstrap, topic=topic)
    assert loader.partitions() == range(3)
    assert list(loader([1])) == []
    records = [(b"a", b"1", 1), (b"b", b"2", 2), (b"a", b"3", 1), (b"c", None, 1)]
    write(kafka.bootstrap, [Output(topic, key, value, [], partition) for key, value, partition in records])
    assert list(loader([1])) == [(1, b"a", b"1"), (1, b"a", b"3"), (1, b"c", None)]
    assert sorted(loader(range(3)))[-1] == (2, b"b", b"2")


def test_the_loader_says_when_there_is_no_broker() -> None:
    with pytest.raises(BrokerError):
        list(KafkaStateLoader("127.0.0.1:1", patience_seconds=1)([0]))


def test_a_clock_lives_through_a_restart_of_its_stage(
    kafka: KafkaLike, create_topics: CreateTopics, redis_client: redis.Redis
) -> None:
    create_topics(*INPUTS, "clock.alerts.v1", "clocks.dead-letters.v1")
    create_topics("clock.states.v1", config={"cleanup.policy": "compact"})
    loader = KafkaStateLoader(kafka.bootstrap)
    index = DueIndex(redis_client)
    feed = Feed()

    def run_until(records: int, now: str) -> ClocksView:
        stage = ClocksStage(
            rules=RULES, calendars=CALENDARS, catalog=catalog(), loader=loader, index=index,
            map_version="m1",
        )
        lane = Lane(
            stage, name="clocks", topics=INPUTS, group="clocks-test", bootstrap=kafka.bootstrap,
            now=lambda: at(now), stop_when=lambda metrics: metrics.records >= records,
        )
        lane.run()
        return ClocksView.read(loader, catalog(), RULES, CALENDARS)

    write(kafka.bootstrap, [as_output(feed.signal(START))])
    (running,) = run_until(1, "2026-10-01").find()
    assert running.status is Status.RUNNING
    assert index.due_before(3, at("2026-12-31")) == [(running.clock_id, at("2026-10-27T16:00"))]

    # A new stage knows the clock from the topic alone: the start is committed and not read again.
    redis_client.flushdb()
    write(kafka.bootstrap, [as_output(feed.published("r1", "2026-10-12"))])
    (met,) = run_until(1, "2026-10-13").find()
    assert (met.status, met.clock_id, met.due_at) == (Status.MET, running.clock_id, running.due_at)
    assert [line.change for line in met.history] == ["started", "met"]
    assert index.count(3) == 0


class TestDueIndex:
    def test_gives_what_is_due_in_order(self, redis_client: redis.Redis) -> None:
        index = DueIndex(redis_client)
        start = datetime.fromisoformat("2026-10-01T00:00:00.001Z")
        start_ms = milliseconds("2026-10-01") + 1
        index.put(0, {f"c{hours}": start_ms + hours * 3_600_000 for hours in range(5)})
        index.put(0, {"c1": None, "c4": start_ms, "c9": None})
        due = index.due_before(0, start + timedelta(hours=2))
        assert due == [("c0", start), ("c4", start), ("c2", start + timedelta(hours=2))]
        assert (index.count(0), index.count(1)) == (4, 0)
        assert len(index.due_before(0, start, limit=1)) == 1

    def test_is_replaced_whole(self, redis_client: redis.Redis) -> None:
        index = DueIndex(redis_client)
        index.put(0, {"old": milliseconds("2026-10-01")})
        index.replace(0, {"new": milliseconds("2026-10-02")})
        assert index.due_before(0, at("2027-01-01")) == [("new", at("2026-10-02"))]
        index.replace(0, {})
        assert index.count(0) == 0

    def test_says_when_redis_does_not_answer(self) -> None:
        with redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as client:
            with pytest.raises(IndexUnavailableError):
                DueIndex(client).put(0, {"c": milliseconds("2026-10-01")})
            with pytest.raises(IndexUnavailableError):
                DueIndex(client).count(0)
