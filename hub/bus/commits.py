"""What groups have committed, seen and set from outside of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Self

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from hub.bus.batch import Place
from hub.bus.clients import new_consumer
from hub.errors import BrokerError

_PATIENCE_SECONDS = 10.0


class Position:
    """The commits of one group on one topic, outside of it: it joins nothing. Raises BrokerError.

    By a consumer, where GroupOffsets asks for many groups at once: librdkafka's admin client reads a null pointer where
    the coordinator is just moving, and that ends the process.
    """

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._consumer = new_consumer(bootstrap, group=group, client_id="position")
        self._group, self._topic = group, topic

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def partitions(self) -> list[int]:
        """The partitions that the topic has; none where it is not there."""
        try:
            known = self._consumer.list_topics(self._topic, timeout=_PATIENCE_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise BrokerError(f"{self._topic}: {error.args[0].str()}") from error
        return list(known.partitions)

    def read(self, partitions: Collection[int] | None = None) -> dict[Place, int]:
        """Place -> offset that a next owner would read, of some partitions or of all; what was never committed is not
        there."""
        try:
            if partitions is None:
                partitions = self.partitions()
            asked = [TopicPartition(self._topic, number) for number in partitions]
            found = self._consumer.committed(asked, timeout=_PATIENCE_SECONDS)
        except KafkaException as error:
            raise BrokerError(f"group {self._group}: {error.args[0].str()}") from error
        for each in found:
            if each.error is not None:
                raise BrokerError(f"group {self._group}, {each.topic}/{each.partition}: {each.error.str()}")
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def write(self, offsets: Mapping[Place, int]) -> None:
        """Commits for the group, in which no process may be."""
        try:
            self._consumer.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in offsets.items()], asynchronous=False
            )
        except KafkaException as error:
            raise BrokerError(f"group {self._group}: {error.args[0].str()}") from error


class GroupOffsets:
    """Commits of any groups, by place. All methods raise BrokerError. Thread-safe as the client is."""

    def __init__(self, bootstrap: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "client.id": "hub-commits", "log_level": 2})

    def read(self, groups: Collection[str]) -> dict[str, dict[Place, int]]:
        """Group -> place -> offset that a next owner would read; what was never committed is not there."""
        # The client takes one group a call; all calls are under way at once.
        asked = {
            group: self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=_PATIENCE_SECONDS
            )[group]
            for group in groups
        }
        found: dict[str, dict[Place, int]] = {}
        for group, answer in asked.items():
            try:
                partitions = answer.result().topic_partitions or []
            except KafkaException as error:
                raise BrokerError(f"group {group}: {error.args[0].str()}") from error
            found[group] = {(each.topic, each.partition): each.offset for each in partitions if each.offset >= 0}
        return found

    def write(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commits for a group in which no process is."""
        partitions = [TopicPartition(*place, offset) for place, offset in offsets.items()]
        asked = self._admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, partitions)], request_timeout=_PATIENCE_SECONDS
        )
        try:
            answered = asked[group].result().topic_partitions or []
        except KafkaException as error:
            raise BrokerError(f"group {group}: {error.args[0].str()}") from error
        for each in answered:
            if each.error is not None:
                raise BrokerError(f"group {group}, {each.topic}/{each.partition}: {each.error.str()}")
