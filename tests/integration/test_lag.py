"""How far groups are behind, from the broker's own numbers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition
from kafka import TopicPartition as Place
from kafka.errors import CoordinatorNotAvailableError

from hub.bus.clients import new_consumer, new_producer
from hub.bus.lag import PartitionLag, read_lag
from hub.bus.topics import admin

if TYPE_CHECKING:
    import pytest

    from tests.conftest import CreateTopics, KafkaLike


def test_lag_is_counted_from_the_commit_or_from_what_is_there(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic, other = topic_name(), topic_name()
    create_topics(topic, other, partitions=2)
    producer = new_producer(kafka.bootstrap, client_id="test")
    for partition, count in ((0, 10), (1, 4)):
        for _ in range(count):
            producer.produce(topic, b"x", partition=partition)
    assert producer.flush(30) == 0
    group, silent = (f"group-{uuid.uuid4().hex[:8]}" for _ in range(2))
    consumer = new_consumer(kafka.bootstrap, group=group, client_id="test")
    consumer.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    consumer.close()
    with admin(kafka.bootstrap) as client:
        client.delete_records({Place(topic, 1): 1})
        found = read_lag(client, {group: [topic, other], silent: [topic]})
    assert sorted(found) == sorted(
        [
            PartitionLag(group, topic, 0, 7, 10, 3),
            PartitionLag(group, topic, 1, None, 4, 3),  # one is gone already: nobody can be behind by it
            PartitionLag(group, other, 0, None, 0, 0),
            PartitionLag(group, other, 1, None, 0, 0),
            PartitionLag(silent, topic, 0, None, 10, 10),
            PartitionLag(silent, topic, 1, None, 4, 3),
        ]
    )


class FreshCluster:
    """An admin client whose cluster makes its coordinator only after so many questions."""

    def __init__(self, client: Any, refusals: int) -> None:
        self._client, self.refusals = client, refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_group_offsets(self, groups: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise CoordinatorNotAvailableError()
        return self._client.list_group_offsets(groups)


def test_a_cluster_without_a_coordinator_is_asked_again_and_then_has_no_commits(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.bus.lag._PAUSE_SECONDS", 0)
    topic = topic_name()
    create_topics(topic, partitions=1)
    group = f"group-{uuid.uuid4().hex[:8]}"
    consumer = new_consumer(kafka.bootstrap, group=group, client_id="test")
    consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    consumer.close()
    with admin(kafka.bootstrap) as client:
        soon: Any = FreshCluster(client, 3)
        assert read_lag(soon, {group: [topic]}) == [PartitionLag(group, topic, 0, 0, 0, 0)]
        never: Any = FreshCluster(client, 1000)
        assert read_lag(never, {group: [topic]}) == [PartitionLag(group, topic, 0, None, 0, 0)]


def test_a_topic_that_is_not_there_has_no_lag(kafka: KafkaLike) -> None:
    with admin(kafka.bootstrap) as client:
        assert read_lag(client, {"nobody": [f"absent.{uuid.uuid4().hex}.v1"]}) == []
