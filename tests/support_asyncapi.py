"""An AsyncAPI document beside the cluster that it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafka.admin import ConfigResource

from hub.bus.topics import admin


def as_described(document: Mapping[str, Any]) -> dict[str, Any]:
    """Topic -> partitions, replicas and settings, as the document says."""
    bindings = [channel["bindings"]["kafka"] for channel in document["channels"].values() if "bindings" in channel]
    return {
        each["topic"]: (each["partitions"], {each["replicas"]}, {
            key: ",".join(value) if isinstance(value, list) else str(value)
            for key, value in each["topicConfiguration"].items()
        })
        for each in bindings
    }


def as_live(bootstrap: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """The same of every topic of the cluster that is the hub's, as the broker says; of settings those described."""
    with admin(bootstrap) as client:
        topics = {topic["name"]: topic["partitions"] for topic in client.describe_topics()}
        names = sorted(name for name in topics if name in described)
        if not names:
            return {}  # the controller may have them, and this broker not yet
        found = client.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")
    (settings,) = found.values()
    return {
        name: (
            len(topics[name]),
            {len(each.get("replicas") or each.get("replica_nodes") or ()) for each in topics[name]},
            {key: _text(settings[name][key]) for key in described[name][2]},
        )
        for name in names
    }


def _text(value: Any) -> str:
    return str(value["value"] if isinstance(value, dict) else value)
