"""How far each group is behind, in records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import CoordinatorNotAvailableError

from hub.errors import BrokerError

#: A fresh cluster has no coordinator until its first group was asked for; it takes a moment to make one.
_ATTEMPTS, _PAUSE_SECONDS = 8, 0.25


class PartitionLag(NamedTuple):
    """Lag of one group on one partition, in records; an uncommitted partition is behind by all it has."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int


def read_lag(client: KafkaAdminClient, readers: Mapping[str, Sequence[str]]) -> list[PartitionLag]:
    """Lag of every group on every partition of the topics that it reads."""
    topics = sorted({topic for names in readers.values() for topic in names})
    live = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(topics)}
    places = [TopicPartition(topic, number) for topic in topics for number in range(live.get(topic, 0))]
    ends = client.list_partition_offsets({place: OffsetSpec.LATEST for place in places})
    starts = client.list_partition_offsets({place: OffsetSpec.EARLIEST for place in places})
    result: list[PartitionLag] = []
    for group, names in readers.items():
        committed = _committed(client, group)
        for place in places:
            if place.topic in names:
                found = committed.get(place)
                at = found.offset if found is not None and found.offset >= 0 else None
                end = ends[place].offset
                behind = end - max(at if at is not None else 0, starts[place].offset)
                result.append(PartitionLag(group, place.topic, place.partition, at, end, max(behind, 0)))
    return result


def read_ends(client: KafkaAdminClient, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """(topic, partition) -> the offset behind its last record, of those topics that there are."""
    live = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(list(topics))}
    places = [TopicPartition(topic, number) for topic, count in live.items() for number in range(count)]
    found = client.list_partition_offsets({place: OffsetSpec.LATEST for place in places})
    return {(place.topic, place.partition): answer.offset for place, answer in found.items()}


def _committed(client: KafkaAdminClient, group: str) -> Mapping[TopicPartition, Any]:
    """The commits of a group; none where no broker coordinates it, as on a cluster without any group."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            found: Mapping[TopicPartition, Any] = client.list_group_offsets({group: None}).get(group, {})
            return found
        except CoordinatorNotAvailableError:
            continue
    return {}


def has_members(bootstrap: str, group: str) -> bool:
    """Whether any process is in the group now. Raises BrokerError if the broker does not answer."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    try:
        found = admin.describe_consumer_groups([group], request_timeout=15)[group].result()
    except KafkaException as error:
        raise BrokerError(f"group {group}: {error}") from error
    return bool(found.members)
