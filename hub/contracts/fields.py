"""Fields of a schema: what its ``.avsc`` file says of each, beyond what Avro needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hub.errors import ContractError

Privacy = Literal["public", "internal", "personal", "sensitive"]
_PRIVACIES = frozenset(get_args(Privacy))
_LOGICAL = {"date": "date", "decimal": "decimal", "timestamp-millis": "timestamp"}
_PLAIN = frozenset({"string", "boolean", "int", "long", "bytes"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    ``type`` is string, boolean, int, long, bytes, date, decimal, timestamp or record; with ``is_array``
    it is the type of the elements. ``privacy_natural_person`` replaces ``privacy`` where the party is a
    natural person. ``mask`` names the function of ``hub.contracts.views`` that makes the value fit to
    leave. ``is_scrubbed`` marks free text, out of which personal numbers and names are taken before it
    leaves. ``standard`` is the column or field of the national standard. ``max_length`` is in characters.
    """

    name: str
    title: str
    doc: str
    type: str
    privacy: Privacy
    is_nullable: bool = False
    is_array: bool = False
    has_default: bool = False
    default: Any = None
    privacy_natural_person: Privacy | None = None
    unit: str | None = None
    code_list: str | None = None
    max_length: int | None = None
    mask: str | None = None
    is_scrubbed: bool = False
    standard: str | None = None
    items: tuple[Field, ...] = ()


def parse_fields(definition: Mapping[str, Any], label: str) -> tuple[Field, ...]:
    """The fields of a record definition. Raises ContractError naming ``label`` and the field."""
    return tuple(_parse(raw, f"{label}: field {raw.get('name', '?')}") for raw in definition["fields"])


def _parse(raw: Mapping[str, Any], label: str) -> Field:
    for key in ("name", "type", "title", "doc", "privacy"):
        if not raw.get(key):
            raise ContractError(f"{label}: has no {key}")
    for key in ("privacy", "privacy_natural_person"):
        if raw.get(key, "public") not in _PRIVACIES:
            raise ContractError(f"{label}: {key} has to be one of {', '.join(get_args(Privacy))}")
    kind, is_nullable = _without_null(raw["type"], label)
    is_array = isinstance(kind, dict) and kind.get("type") == "array"
    if is_array:
        kind = kind["items"]
    is_record = isinstance(kind, dict) and kind.get("type") == "record"
    if is_nullable and raw.get("default", ...) is not None:
        raise ContractError(f"{label}: may be null and so needs the default null, or it cannot evolve")
    return Field(
        name=raw["name"],
        title=raw["title"],
        doc=raw["doc"],
        type="record" if is_record else _type_name(kind, label),
        privacy=raw["privacy"],
        is_nullable=is_nullable,
        is_array=is_array,
        has_default="default" in raw,
        default=raw.get("default"),
        privacy_natural_person=raw.get("privacy_natural_person"),
        unit=raw.get("unit"),
        code_list=raw.get("codes"),
        max_length=raw.get("max_length"),
        mask=raw.get("mask"),
        is_scrubbed=bool(raw.get("scrub", False)),
        standard=raw.get("standard"),
        items=parse_fields(kind, label) if is_record else (),
    )


def _without_null(kind: Any, label: str) -> tuple[Any, bool]:
    if not isinstance(kind, list):
        return kind, False
    if len(kind) == 2 and kind[0] == "null":
        return kind[1], True
    raise ContractError(f"{label}: the only union is null with one other type, null first")


def _type_name(kind: Any, label: str) -> str:
    if isinstance(kind, str) and kind in _PLAIN:
        return kind
    if isinstance(kind, dict):
        logical = _LOGICAL.get(kind.get("logicalType", ""))
        if logical:
            return logical
    raise ContractError(f"{label}: has a type that the hub does not use: {kind}")
