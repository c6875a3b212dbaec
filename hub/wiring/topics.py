"""The topics of the map as Kafka knows them."""

from __future__ import annotations

from datetime import timedelta

from hub.bus.clients import DEAD_LETTER_BYTES
from hub.bus.topics import TopicSpec
from hub.contracts.map import HubMap
from hub.domain.direct import is_departments
from hub.settings import Settings

#: What departments write is small. Kafka weighs records as they are packed: where they may not be packed, a small
#: record cannot unfold into a large one. The time of an answer is the broker's, since a deadline is met by it.
_OF_DEPARTMENTS = {
    "max.message.bytes": str(128 * 1024), "compression.type": "uncompressed", "message.timestamp.type": "LogAppendTime",
}


def topic_specs(settings: Settings, hub_map: HubMap) -> list[TopicSpec]:
    """The topics of the map as Kafka knows them."""
    replication = settings.copies or hub_map.model.replication
    in_sync = min(hub_map.model.min_in_sync, replication)
    specs = []
    for name, topic in hub_map.topics.items():
        configs = {"cleanup.policy": topic.cleanup, "min.insync.replicas": str(in_sync)}
        if topic.cleanup == "delete":
            is_forever = topic.retention == timedelta.max
            configs["retention.ms"] = "-1" if is_forever else str(int(topic.retention.total_seconds() * 1000))
        if name.endswith(".dead-letters.v1"):
            configs["max.message.bytes"] = str(DEAD_LETTER_BYTES)
        if is_departments(name):
            configs |= _OF_DEPARTMENTS
        specs.append(TopicSpec(name, topic.partitions, replication, configs))
    return specs
