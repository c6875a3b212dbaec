"""``POST /v1/events`` as the OpenAPI document describes it: three modes, one event's or a batch's results."""

from __future__ import annotations

from typing import Any, NamedTuple

from hub.contracts.cloudevents_http import BATCH, BINARY, MAX_EVENTS, STRUCTURED
from hub.web.problem import problem_schema


class Description(NamedTuple):
    request: dict[str, Any]
    responses: dict[int | str, dict[str, Any]]


_TEXT = {"type": "string", "maxLength": 500}
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "specversion": {"type": "string", "enum": ["1.0"]},
    "id": {**_TEXT, "minLength": 1, "description": "names the event; the natural key where naturalkey is not given"},
    "source": {**_TEXT, "minLength": 1, "description": "/sources/NAME, the source that the key is for"},
    "type": {**_TEXT, "minLength": 1, "examples": ["inspection.result.recorded"]},
    "naturalkey": {
        "type": "string", "minLength": 1, "maxLength": 200,
        "description": "names the record in its source for ever, over all its versions",
    },
    "sequence": {
        "type": "string", "pattern": "^[1-9][0-9]{0,9}$",
        "description": "the version that this is to become, from 1; 409 if it would be another",
    },
    "time": {"type": "string", "format": "date-time"},
    "datacontenttype": {"type": "string", "enum": ["application/json"]},
}
_REQUIRED = ["specversion", "id", "source", "type"]
_DATA = {"type": "object", "description": "the fields of the schema of the event's topic"}
_EVENT: dict[str, Any] = {
    "type": "object", "required": [*_REQUIRED, "data"], "properties": {**_ATTRIBUTES, "data": _DATA},
}
_FAULTS = {
    "type": "array",
    "items": {
        "type": "object", "required": ["pointer", "detail"],
        "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
    },
}
_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "index": {"type": "integer", "description": "place in the batch, from 0"},
        "id": {"type": ["string", "null"], "description": "as it was sent"},
        "status": {
            "type": "string", "enum": ["accepted", "waiting", "witness", "repeated", "refused"],
            "description": "what this request did",
        },
        "state": {
            "type": "string", "enum": ["accepted", "waiting", "witness", "rejected"],
            "description": "where the content stands: its own event, waiting until a person says whose it is, witness "
            "of another source's fact, rejected by a person",
        },
        "event_id": {
            "type": "string", "format": "uuid",
            "description": "of the event on the log; of what waits, the id that it will have",
        },
        "version": {"type": "integer", "minimum": 1},
        "type": {"type": "string", "description": "of the event that was published"},
        "wait_id": {"type": "string", "format": "uuid", "description": "of what waits or was rejected"},
        "witness_of": {"type": "string", "format": "uuid", "description": "the event that counts"},
        "differs": {
            "type": "array", "items": {"type": "string"}, "description": "fields that the witness says otherwise",
        },
        "warnings": _FAULTS,
        "problem": problem_schema(),
    },
}
_COUNTS = ("accepted", "waiting", "witness", "repeated", "refused")
_BATCH_RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["status", "accepted", "waiting", "witness", "repeated", "refused", "results"],
    "properties": {
        "status": {"type": "string", "enum": ["accepted", "repeated", "partial", "refused", "empty"]},
        **{name: {"type": "integer", "minimum": 0} for name in _COUNTS},
        "results": {"type": "array", "items": _RESULT},
    },
}


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, "schema": schema, "description": description}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


DESCRIPTION = Description(
    request={
        "parameters": [
            *(_parameter(f"ce-{name}", schema, "binary mode alone") for name, schema in _ATTRIBUTES.items()),
            _parameter(
                "Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255},
                "the same request under the same key gets the same answer for a day",
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _EVENT},
                BATCH: {"schema": {"type": "array", "maxItems": MAX_EVENTS, "items": _EVENT}},
                BINARY: {"schema": _DATA},
            },
        },
    },
    responses={
        200: _answer("nothing new: all of it was handed in before", {"oneOf": [_RESULT, _BATCH_RESULT]}),
        202: _answer("accepted: all in-sync replicas have it", {"oneOf": [_RESULT, _BATCH_RESULT]}),
        207: _answer("a batch of which some or all events were refused, each with its problem", _BATCH_RESULT),
    },
)
