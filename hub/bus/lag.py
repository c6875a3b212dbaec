"""How far each group is behind, in records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError

from hub.domain.lag import Place, PlaceLook
from hub.errors import BrokerError

T = TypeVar("T")
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


class Offsets(NamedTuple):
    """What the broker says of some topics and groups: places by topic, (start, end) by place, commits by group."""

    places: Mapping[str, Sequence[Place]]
    ranges: Mapping[Place, tuple[int, int]]
    committed: Mapping[str, Mapping[Place, int]]


def read_offsets(client: KafkaAdminClient, readers: Mapping[str, Sequence[str]]) -> Offsets:
    """Of all groups and the topics that they read; a topic that is not there has no places.

    Commits are asked for before the ends: nobody is ever ahead of what is there.
    """
    topics = sorted({topic for names in readers.values() for topic in names})
    live = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(topics)}
    committed = {group: _committed(client, group) for group in readers}
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(live.get(topic, 0))]
    starts = client.list_partition_offsets({place: OffsetSpec.EARLIEST for place in partitions})
    ends = client.list_partition_offsets({place: OffsetSpec.LATEST for place in partitions})
    return Offsets(
        {topic: [(topic, number) for number in range(live.get(topic, 0))] for topic in topics},
        {(place.topic, place.partition): (starts[place].offset, ends[place].offset) for place in partitions},
        committed,
    )


def read_lag(client: KafkaAdminClient, readers: Mapping[str, Sequence[str]]) -> list[PartitionLag]:
    """Lag of every group on every partition of the topics that it reads."""
    offsets = read_offsets(client, readers)
    result: list[PartitionLag] = []
    for group, names in readers.items():
        for place in (place for topic in sorted(set(names)) for place in offsets.places[topic]):
            look = PlaceLook(*place, *offsets.ranges[place], offsets.committed[group].get(place))
            result.append(PartitionLag(group, *place, look.committed, look.end, look.lag))
    return result


def read_ends(client: KafkaAdminClient, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """(topic, partition) -> the offset behind its last record, of those topics that there are."""
    live = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics(list(topics))}
    places = [TopicPartition(topic, number) for topic, count in live.items() for number in range(count)]
    found = client.list_partition_offsets({place: OffsetSpec.LATEST for place in places})
    return {(place.topic, place.partition): answer.offset for place, answer in found.items()}


def _committed(client: KafkaAdminClient, group: str) -> Mapping[Place, int]:
    """The commits of a group; none where no broker coordinates it, as on a cluster without any group."""
    none: Mapping[Any, Any] = {}
    found = wait_for_coordinator(lambda: client.list_group_offsets({group: None}).get(group, none), none)
    return {(place.topic, place.partition): at.offset for place, at in found.items() if at.offset >= 0}


def wait_for_coordinator(ask: Callable[[], T], otherwise: T) -> T:
    """What ``ask`` gives, asked again while no broker coordinates groups; ``otherwise`` if none ever does.

    A broker that is just about to coordinate them has their commits and cannot tell them yet: it is waited for as long,
    and then its error passes.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            return ask()
        except CoordinatorNotAvailableError:
            continue
        except (NotCoordinatorError, CoordinatorLoadInProgressError):
            if attempt == _ATTEMPTS - 1:
                raise
    return otherwise


def has_members(bootstrap: str, group: str) -> bool:
    """Whether any process is in the group now. Raises BrokerError if the broker does not answer."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    try:
        found = admin.describe_consumer_groups([group], request_timeout=15)[group].result()
    except KafkaException as error:
        raise BrokerError(f"group {group}: {error}") from error
    return bool(found.members)
