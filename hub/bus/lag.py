"""How far each group is behind, in records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec


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
        committed = client.list_group_offsets({group: None}).get(group, {})
        for place in places:
            if place.topic in names:
                found = committed.get(place)
                at = found.offset if found is not None and found.offset >= 0 else None
                end = ends[place].offset
                behind = end - max(at if at is not None else 0, starts[place].offset)
                result.append(PartitionLag(group, place.topic, place.partition, at, end, max(behind, 0)))
    return result
