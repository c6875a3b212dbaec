"""A record's schema as JSON Schema: how it looks where it leaves as JSON, e.g. in a webhook's body.

Moments and dates are texts there and decimals too (see ``hub.domain.plain``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.contracts.codec import Schema
from hub.contracts.codes import CodeList
from hub.contracts.fields import Field

_TYPES: Mapping[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer"},
    "long": {"type": "integer"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
}


def record_schema(schema: Schema, codes: Mapping[str, CodeList]) -> dict[str, Any]:
    """Draft-07 JSON Schema of the records of ``schema``, titles in Chinese. Raises KeyError for a field of raw
    bytes: such fields never leave as JSON."""
    definition = schema.definition
    return {
        "title": definition["title"], "description": definition["doc"], **_object(schema.fields, codes),
    }


def _object(fields: Sequence[Field], codes: Mapping[str, CodeList]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        # A field with a default may be absent from what a writer gives, never from what was decoded.
        "required": [field.name for field in fields],
        "properties": {field.name: _property(field, codes) for field in fields},
    }


def _property(field: Field, codes: Mapping[str, CodeList]) -> dict[str, Any]:
    one = _object(field.items, codes) if field.items else dict(_TYPES[field.type])
    if field.max_length is not None and field.type == "string":
        one["maxLength"] = field.max_length
    doc = field.doc
    if field.code_list is not None:
        # Lists grow by new versions, so the codes of today are told and not demanded.
        entries = codes[field.code_list].entries.values()
        doc += f" Codes of {field.code_list}: " + ", ".join(f"{each.code} {each.title}" for each in entries)
    if field.is_array:
        one = {"type": "array", "items": one}
    elif field.is_nullable:
        one["type"] = [one["type"], "null"]
    return {"title": field.title, "description": doc, **one}
