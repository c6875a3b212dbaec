"""The topics of the map and those of the live cluster: the difference, and how it is made so.

``plan`` only looks. ``apply`` creates topics, adds partitions and changes settings; it never deletes,
and refuses what would lose data or move keys to other partitions unless told so by the topic's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import KafkaError

from hub.bus.settling import settled
from hub.errors import BrokerError, HubError

_PATIENCE_MS = 30_000


class UnsafeChangeError(HubError):
    """A change of a topic would lose records or move keys; nothing was changed."""


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it should be. ``configs`` are Kafka's topic settings as text."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One difference. ``is_unsafe`` ones are made only for topics named on purpose."""

    topic: str
    kind: Literal["create", "partitions", "config", "replication", "unknown"]
    detail: str
    old: str = ""
    new: str = ""
    is_unsafe: bool = False

    def __str__(self) -> str:
        sign = {"create": "+", "unknown": "?"}.get(self.kind, "~")
        return f"{sign} {self.topic}: {self.detail}" + ("  [unsafe]" if self.is_unsafe else "")


@contextmanager
def admin(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """An admin client, closed at the end. Raises BrokerError where the cluster does not answer."""
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","), client_id="hub-topics", request_timeout_ms=_PATIENCE_MS
        )
    except KafkaError as error:
        raise BrokerError(f"{bootstrap} does not answer: {error}") from error
    try:
        yield client
    except KafkaError as error:
        raise BrokerError(f"{bootstrap}: {error}") from error
    finally:
        client.close()


def plan(client: KafkaAdminClient, wanted: Sequence[TopicSpec]) -> list[Change]:
    """Every difference between the specs and the cluster, in the order of the specs.

    Topics that the cluster has and the map does not are named, and left alone.
    """
    live = {topic["name"]: topic for topic in client.describe_topics()}
    known = [spec.name for spec in wanted if spec.name in live]
    configs = _configs(client, known)
    changes: list[Change] = []
    for spec in wanted:
        if spec.name not in live:
            settings = ", ".join(f"{name}={value}" for name, value in sorted(spec.configs.items()))
            changes.append(
                Change(
                    spec.name,
                    "create",
                    f"create, {spec.partitions} partitions, {spec.replication} replicas, {settings}",
                )
            )
            continue
        changes.extend(_of_topic(spec, live[spec.name], configs.get(spec.name, {})))
    extra = sorted(set(live) - {spec.name for spec in wanted})
    changes.extend(
        Change(name, "unknown", "is not in the map; left alone") for name in extra if not name.startswith("__")
    )
    return changes


def differences(client: KafkaAdminClient, wanted: Sequence[TopicSpec]) -> list[Change]:
    """What ``plan`` finds, without the topics that are not in the map."""
    return [change for change in plan(client, wanted) if change.kind != "unknown"]


def _of_topic(spec: TopicSpec, live: Mapping[str, Any], configs: Mapping[str, str]) -> Iterator[Change]:
    partitions = live["partitions"]
    if len(partitions) != spec.partitions:
        how = (
            "would move keys to other partitions"
            if spec.partitions > len(partitions)
            else "Kafka cannot take partitions away"
        )
        yield Change(
            spec.name,
            "partitions",
            f"partitions {len(partitions)} -> {spec.partitions}: {how}",
            str(len(partitions)),
            str(spec.partitions),
            is_unsafe=True,
        )
    replicas = min((len(_replicas(partition)) for partition in partitions), default=0)
    if replicas != spec.replication:
        yield Change(
            spec.name,
            "replication",
            f"replicas {replicas} -> {spec.replication}: to be moved with Kafka's reassignment tool",
            str(replicas),
            str(spec.replication),
            is_unsafe=True,
        )
    for name, value in sorted(spec.configs.items()):
        old = configs.get(name, "")
        if old != value:
            yield Change(
                spec.name,
                "config",
                f"{name} {old or '(default)'} -> {value}",
                old,
                value,
                is_unsafe=_loses_records(name, old, value),
            )


def _replicas(partition: Mapping[str, Any]) -> Sequence[int]:
    return partition.get("replicas") or partition.get("replica_nodes") or []


def _loses_records(name: str, old: str, new: str) -> bool:
    if name == "retention.ms" and old.lstrip("-").isdigit():
        is_forever, stays_forever = int(old) < 0, int(new) < 0
        return not stays_forever and (is_forever or int(new) < int(old))
    # Either way records go: all but the last of a key, or those that are older than the retention.
    return name == "cleanup.policy"


def _configs(client: KafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    found = client.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")
    of_topics = (value for kind, value in found.items() if str(kind).upper().endswith("TOPIC"))
    topics: Mapping[str, Any] = next(of_topics, {})
    return {
        name: {key: str(data["value"] if isinstance(data, dict) else data) for key, data in settings.items()}
        for name, settings in topics.items()
    }


def apply(client: KafkaAdminClient, wanted: Sequence[TopicSpec], allowed: Collection[str] = ()) -> list[Change]:
    """Makes the cluster as the specs say; returns what was changed (nothing the second time), once the cluster tells
    of it: whoever starts next finds every topic.

    Raises UnsafeChangeError before anything is changed, if an unsafe change is of a topic not in
    ``allowed``, or cannot be made at all; BrokerError where the cluster refuses a change or does not tell of it in
    time.
    """
    changes = differences(client, wanted)
    refused = [
        change for change in changes if change.is_unsafe and (change.topic not in allowed or not _is_possible(change))
    ]
    if refused:
        raise UnsafeChangeError("\n".join(["Nothing was changed. Refused:", *map(str, refused)]))
    specs = {spec.name: spec for spec in wanted}
    new = {change.topic: specs[change.topic] for change in changes if change.kind == "create"}
    if new:
        client.create_topics(
            {
                name: {
                    "num_partitions": spec.partitions,
                    "replication_factor": spec.replication,
                    "configs": dict(spec.configs),
                }
                for name, spec in new.items()
            },
            timeout_ms=_PATIENCE_MS,
        )
    for change in changes:
        if change.kind == "partitions":
            client.create_partitions({change.topic: int(change.new)})
    altered = {change.topic for change in changes if change.kind == "config"}
    if altered:
        answers = client.alter_configs(
            [
                ConfigResource(
                    "TOPIC",
                    name,
                    {
                        change.detail.split(" ", 1)[0]: change.new
                        for change in changes
                        if change.topic == name and change.kind == "config"
                    },
                )
                for name in sorted(altered)
            ]
        )
        # The client raises nothing here: what the broker refused stands in its answer.
        refusals = [f"{name}: {said}" for of_kind in answers.values() for name, said in of_kind.items() if said != "OK"]
        if refusals:
            raise BrokerError("settings were refused: " + "; ".join(refusals))
    if changes and (left := settled(lambda: differences(client, wanted), _PATIENCE_MS / 1000)):
        raise BrokerError(
            f"asked for {_PATIENCE_MS // 1000} s ago and not to be seen yet: " + "; ".join(map(str, left))
        )
    return changes


def _is_possible(change: Change) -> bool:
    if change.kind == "partitions":
        return int(change.new) > int(change.old)
    return change.kind == "config"
