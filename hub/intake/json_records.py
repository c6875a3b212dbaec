"""Records of JSON, for connectors: read strictly, and laid flat into columns with dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.contracts.strict_json import Doubled, faults_of, parse_strict
from hub.errors import InputError
from hub.intake.mapping.natives import as_text

_SEPARATOR = "、"


def parse_json(body: bytes) -> Any:
    """The value of a body in UTF-8; fractions as ``Decimal``. What is wrong inside is for ``json_faults``.

    :raises InputError: for what is no JSON.
    """
    return parse_strict(body)


def json_faults(value: Any) -> list[str]:
    """What no record may hold, a line each with its place: doubled names, control characters, halves of
    characters, values inside values without end. Twenty at most."""
    return [f"{found['pointer'] or '/'}: {found['detail']}" for found in faults_of(value)]


def doubled_names(value: Any) -> tuple[str, ...]:
    """Names that stand twice in this object itself."""
    return value.names if isinstance(value, Doubled) else ()


def look_up(value: Any, path: str) -> Any:
    """What stands at a dotted path; the value itself for "". ``None`` where the last name is not there.

    :raises InputError: where something on the way is no object, or not there.
    """
    names = path.split(".") if path else []
    for number, name in enumerate(names):
        if not isinstance(value, dict):
            raise InputError(f"{'.'.join(names[:number]) or 'the answer'} is no object, so it has no {name}")
        if name not in value and number + 1 < len(names):
            raise InputError(f"there is no {'.'.join(names[: number + 1])}")
        value = value.get(name)
    return value


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted path: ``{"party": {"name": "甲"}}`` is ``{"party.name": "甲"}``. Values keep their type.

    A list of plain values is their texts with 、 between them. A list of objects gives each of their names such a
    text, so that the columns of a mapping's group fit together. Of two values at one path the last counts. Call
    it with what ``json_faults`` found sound.
    """
    return dict(_flat(record, ""))


def _flat(record: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list):
            yield from _listed(value, path)
        else:
            yield path, value


def _listed(values: list[Any], path: str) -> Iterator[tuple[str, Any]]:
    if values and all(isinstance(value, dict) for value in values):
        columns: dict[str, list[str]] = {}
        for value in values:
            for name, content in _flat(value, f"{path}."):
                columns.setdefault(name, []).append(as_text(content))
        for name, texts in columns.items():
            yield name, _SEPARATOR.join(filter(None, texts)) or None
    else:
        yield path, _SEPARATOR.join(text for value in values if (text := as_text(value))) or None
