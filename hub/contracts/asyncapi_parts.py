"""What the AsyncAPI document says of headers, keys and webhooks: the same for every topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.contracts.codec import Schema
from hub.contracts.codes import CodeList
from hub.contracts.json_schema import record_schema

#: The Avro specification that AsyncAPI 3.0 names; ours uses nothing newer.
AVRO = "application/vnd.apache.avro;version=1.9.0"
_TEXT = {"type": "string"}

#: CloudEvents 1.0 in Kafka's binary mode, as ``hub.contracts.cloudevents`` writes and reads it.
HEADERS: Mapping[str, Any] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_correlationid"],
    "properties": {
        "ce_specversion": {"type": "string", "enum": ["1.0"]},
        "ce_id": {**_TEXT, "description": "UUIDv5 of what it follows from: a repeat has the same."},
        "ce_source": {**_TEXT, "description": "URI reference of who wrote it, e.g. /sources/NAME."},
        "ce_type": {**_TEXT, "description": "<domain>.<noun>.<past-tense>"},
        "ce_subject": {**_TEXT, "description": "The enterprise or person, or what else the topic is keyed by."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_correlationid": {**_TEXT, "description": "The row that all its versions and their ends speak of."},
        "ce_causationid": {**_TEXT, "description": "Id of the record that brought it about."},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]+$", "description": "Version of the row, from 1."},
        "ce_naturalkey": {**_TEXT, "description": "By what its source knows the row."},
        "ce_digest": {**_TEXT, "description": "Digest of the row's content; tells a repeat from a version."},
        "content-type": {"type": "string", "enum": ["application/avro"]},
        "traceparent": {**_TEXT, "description": "W3C trace context."},
    },
}

#: By what a topic's records are keyed: ``key`` of the map.
KEYS: Mapping[str, str] = {
    "subject": "The enterprise: USCC, else registration number, else a keyed hash. One subject is one partition.",
    "clock": "Id of the clock.",
    "source": "Name of the source.",
    "endpoint": "Name of the endpoint.",
    "calendar": "Name of the calendar.",
    "subscription": "Name of the subscription.",
    "notice": "Id of the notice.",
    "fact": "Topic and correlation id of the row.",
    "enterprise": "Code of the enterprise.",
    "act": "Id of the request that the act is a step of.",
    "account": "Name of the account.",
    "report": "Id of the report.",
    "access-key": "Id of the key.",
    "map": "Always `map`: there is one.",
}

#: Standard Webhooks 1.0.
WEBHOOK_HEADERS: Mapping[str, Any] = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {**_TEXT, "description": "Id of the notice, the same on every attempt."},
        "webhook-timestamp": {"type": "string", "pattern": "^[0-9]+$", "description": "Unix seconds of the attempt."},
        "webhook-signature": {
            **_TEXT, "description": "Space-separated v1,<HMAC-SHA256> or v1a,<ed25519> over id.timestamp.body.",
        },
        "traceparent": _TEXT,
    },
}


def _closed(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object of these properties and no others."""
    return {
        "type": "object", "required": list(required), "additionalProperties": False,
        "properties": {**required, **(optional or {})},
    }


def _posted(type_: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return _closed({"type": type_, "timestamp": {"type": "string", "format": "date-time"}, "data": data})


def webhook_payload(schema: Schema, codes: Mapping[str, CodeList]) -> dict[str, Any]:
    """JSON Schema of a notice's body, whose record is of ``schema``: what ``hub.delivery.message`` makes."""
    data: dict[str, Any] = {
        name: dict(_TEXT)
        for name in (
            "notice_id", "event_id", "event_type", "correlation_id", "subject", "subscription", "view", "action",
        )
    }
    data["action"]["enum"] = ["apply", "amend", "lift"]
    data["view"]["enum"] = [schema.view]
    data |= {
        "expected_measures": {"type": "array", "items": _TEXT},
        "legal_basis": {"type": ["string", "null"]},
        "issued_at": {"type": "string", "format": "date-time"},
        "sequence": {"type": "integer", "minimum": 1},
        "record": record_schema(schema, codes),
    }
    replay = _closed({"request_id": {**_TEXT, "description": "Id of the request by which it is sent again."}})
    return _posted(
        {**_TEXT, "description": "Event type."}, _closed(data, {"replay": {**replay, "description": "Only where the "
         "notice is sent again on request: what its first sending said, once more."}}),
    )


#: What else is posted to an address, by the name of its message: title, and the body.
WEBHOOK_OTHERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "webhook-verification": ("地址确认", _posted(
        {**_TEXT, "enum": ["hub.endpoint.verification"]},
        _closed({
            "subscription": _TEXT,
            "challenge": {**_TEXT, "description": "The answer is 2xx with {\"challenge\": …}, the same text."},
        }),
    )),
    "webhook-test": ("测试事件", _posted(
        {**_TEXT, "enum": ["hub.endpoint.test"]}, _closed({"subscription": _TEXT, "test_id": _TEXT, "note": _TEXT}),
    )),
}
