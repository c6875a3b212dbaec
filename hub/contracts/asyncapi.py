"""The hub's topics as an AsyncAPI 3.0 document, out of the map and the schemas: nothing in it is written by hand.

Kafka binding 0.5.0: a channel is a topic of the map with its partitions, replicas and settings, an operation a
group that reads it or the stage that writes it, a message the events that it carries, with the CloudEvents headers
and the Avro schema under the id that stands in its bytes. The application described is the hub: it *receives* what its
groups read and *sends* what it writes. Webhooks stand beside, as HTTP channels: their address is each department's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hub.contracts.asyncapi_parts import AVRO, HEADERS, KEYS, WEBHOOK_HEADERS, WEBHOOK_OTHERS, webhook_payload
from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.map import HubMap
from hub.contracts.map_models import TopicModel
from hub.domain.direct import answers_of, inbox_of, is_departments, problems_of

VERSION = "3.0.0"
KAFKA_BINDING, HTTP_BINDING = "0.5.0", "0.3.0"
#: The read-only registry of the web side speaks the interface that Karapace speaks.
REGISTRY_VENDOR = "karapace"
_LIST_SETTINGS, _NUMBER_SETTINGS = ("cleanup.policy",), ("retention.ms", "max.message.bytes", "min.insync.replicas")


class LiveTopic(NamedTuple):
    """A topic as the cluster has it. ``configs`` are Kafka's settings as text."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]


class Surroundings(NamedTuple):
    """What the map alone does not say: the cluster's topics by name, the registry's subjects with their ids (the
    latest version last), consumer groups with their topics, and where all of it is."""

    topics: Mapping[str, LiveTopic]
    subjects: Mapping[str, Sequence[int]]
    groups: Mapping[str, Sequence[str]]
    kafka: str
    departments_kafka: str | None
    registry_url: str


def describe(hub_map: HubMap, catalog: Catalog, around: Surroundings) -> dict[str, Any]:
    """The document, ready for JSON or YAML. The same input gives the same document."""
    channels: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for name, topic in sorted(hub_map.topics.items()):
        channels[name] = _channel(name, topic, hub_map, around)
        messages[name] = _message(name, topic, catalog, around.subjects)
    operations = {**_received(around.groups, hub_map), **_sent(hub_map)}
    schemas = {_schema_name(schema): _payload(schema) for schema in catalog.schemas}
    for name, entry in sorted(hub_map.subscriptions.items()):
        if entry.delivery == "webhook":
            schema = catalog.schema(str(hub_map.topics[entry.from_].schema_), view=entry.view)
            channels[f"webhook.{name}"] = _webhook_channel(name, entry.title)
            messages[f"webhook.{name}"] = _webhook_message(
                f"webhook.{name}", f"{entry.title} 通知", webhook_payload(schema, catalog.codes)
            )
            messages |= {other: _webhook_message(other, *told) for other, told in WEBHOOK_OTHERS.items()}
            operations[f"post-webhook.{name}"] = {
                "action": "send", "channel": _ref("channels", f"webhook.{name}"), "title": f"{entry.title} 推送",
                "bindings": {"http": {"method": "POST", "bindingVersion": HTTP_BINDING}},
            }
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "甘南州市场监管事件枢纽 / event hub",
            "version": hub_map.version,
            "description": (
                "Topics of the hub and the webhooks that it sends. The version is that of the map, a digest of what "
                "topics.yaml means. Values are Avro in the Confluent wire format; `data` of an inbox record holds the "
                "event in the subscription's view, framed the same way."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/avro",
        "servers": _servers(around),
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _servers(around: Surroundings) -> dict[str, Any]:
    binding = {"kafka": {
        "schemaRegistryUrl": around.registry_url, "schemaRegistryVendor": REGISTRY_VENDOR,
        "bindingVersion": KAFKA_BINDING,
    }}
    servers: dict[str, Any] = {"kafka": {
        "host": around.kafka, "protocol": "kafka", "title": "The hub's own listener", "bindings": binding,
    }}
    if around.departments_kafka:
        servers["departments"] = {
            "host": around.departments_kafka, "protocol": "kafka", "title": "The departments' listener",
            "security": [{"type": "scramSha512", "description": "dept-<subscription>, with TLS in production"}],
            "bindings": binding,
        }
    servers["endpoint"] = {
        "host": "{host}", "protocol": "https", "title": "A department's endpoint",
        "variables": {"host": {"description": "Host and port that a department set as its address."}},
    }
    return servers


def _channel(name: str, topic: TopicModel, hub_map: HubMap, around: Surroundings) -> dict[str, Any]:
    live = around.topics[name]
    direct = {make(each) for each in hub_map.delivered_by("kafka") for make in (inbox_of, answers_of, problems_of)}
    servers = ["kafka", *(["departments"] if name in direct and around.departments_kafka else [])]
    owner = hub_map.departments[topic.owner]["name"]
    return {
        "address": name,
        "title": topic.title,
        "description": f"归口部门 {owner} ({topic.owner}).",
        "messages": {name: _ref("components/messages", name)},
        "servers": [_ref("servers", server) for server in servers],
        "bindings": {"kafka": {
            "topic": name, "partitions": live.partitions, "replicas": live.replicas,
            "topicConfiguration": {key: _setting(key, value) for key, value in sorted(live.configs.items())},
            "bindingVersion": KAFKA_BINDING,
        }},
    }


def _setting(name: str, value: str) -> Any:
    if name in _LIST_SETTINGS:
        return value.split(",")
    return int(value) if name in _NUMBER_SETTINGS else value


def _message(
    name: str, topic: TopicModel, catalog: Catalog, subjects: Mapping[str, Sequence[int]]
) -> dict[str, Any]:
    key = {"type": "string", "description": KEYS.get(topic.key, f"Id of the {topic.key}.")}
    found: dict[str, Any] = {
        "name": name, "title": topic.title,
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}},
    }
    if topic.schema_ is None:
        content_type, summary = _WITHOUT_SCHEMA[_kind_of(name)]
        return {**found, "contentType": content_type, "summary": summary}
    schema = catalog.by_id(subjects[f"{name}-value"][-1])
    found["bindings"]["kafka"] |= {
        "schemaIdLocation": "payload", "schemaIdPayloadEncoding": "4",
        "schemaLookupStrategy": "TopicNameStrategy",
    }
    events = ", ".join(topic.events) or "subscription's events"
    return {
        **found,
        "summary": schema.definition["doc"],
        "description": f"Event types: {events}.",
        "contentType": "application/avro",
        "headers": {**HEADERS, "properties": HEADERS["properties"] | _type_of(topic)},
        "payload": _ref("components/schemas", _schema_name(schema)),
        "x-schema-id": schema.id,
        "x-schema-subject": f"{name}-value",
    }


_WITHOUT_SCHEMA = {
    "answers": ("application/json", "An answer, as POST /v1/feedback takes it."),
    "problems": ("application/problem+json", "What was wrong with an answer (RFC 9457)."),
    "bytes": (
        "application/octet-stream",
        "A record that a stage cannot process, byte for byte, with the reason in its headers.",
    ),
}


def _kind_of(topic: str) -> str:
    if is_departments(topic):
        return "answers"
    return "problems" if topic.startswith(problems_of("")) else "bytes"


def _type_of(topic: TopicModel) -> dict[str, Any]:
    """An inbox carries events of the topics that it subscribes to."""
    return {"ce_type": {"type": "string", "enum": list(topic.events)}} if topic.events else {}


def _payload(schema: Schema) -> dict[str, Any]:
    return {"schemaFormat": AVRO, "schema": schema.definition, "x-schema-id": schema.id}


def _received(groups: Mapping[str, Sequence[str]], hub_map: HubMap) -> dict[str, Any]:
    return {
        f"{group}.receive.{topic}": {
            "action": "receive", "channel": _ref("channels", topic), "title": f"{group} reads {topic}",
            "bindings": {"kafka": {
                "groupId": {"type": "string", "enum": [group]}, "bindingVersion": KAFKA_BINDING,
            }},
        }
        for group, topics in sorted(groups.items()) for topic in sorted(topics) if topic in hub_map.topics
    }


def _sent(hub_map: HubMap) -> dict[str, Any]:
    answers = set(map(answers_of, hub_map.delivered_by("kafka")))
    return {
        f"send.{name}": {"action": "send", "channel": _ref("channels", name), "title": f"the hub writes {name}"}
        for name in sorted(hub_map.topics) if name not in answers
    }


def _webhook_message(name: str, title: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "title": title, "contentType": "application/json", "headers": WEBHOOK_HEADERS, "payload": payload,
    }


def _webhook_channel(subscription: str, title: str) -> dict[str, Any]:
    return {
        # Unknown until the department sets it.
        "address": None,
        "title": f"{title} 推送",
        "description": "Standard Webhooks 1.0: any 2xx acknowledges; other answers are tried again.",
        "messages": {
            name: _ref("components/messages", name) for name in (f"webhook.{subscription}", *WEBHOOK_OTHERS)
        },
        "servers": [_ref("servers", "endpoint")],
    }


def _schema_name(schema: Schema) -> str:
    return f"{schema.name.replace('/', '.')}.v{schema.version}" + ("" if schema.view == "full" else f".{schema.view}")


def _ref(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name.replace('~', '~0').replace('/', '~1')}"}
