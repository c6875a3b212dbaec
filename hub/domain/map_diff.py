"""What differs between two maps, for lawyers and engineers: entries added, removed, changed by field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

#: Sections whose entries have names, in the order in which people ask for them.
SECTIONS = ("subscriptions", "channels", "routes", "clocks", "topics")
ChangeKind = Literal["added", "removed", "changed"]


class FieldChange(NamedTuple):
    """A field before and after; an empty text where it was not there, or is no more."""

    field: str
    before: str
    after: str


class MapChange(NamedTuple):
    """One entry of a section; ``fields`` are named of changed ones alone. The section ``map`` holds the map's own
    fields."""

    section: str
    name: str
    title: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...] = ()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[MapChange]:
    """What makes ``after`` of ``before``; both as the map's model gives them in JSON. By section, then by name."""
    found: list[MapChange] = []
    for section in SECTIONS:
        old, new = before.get(section) or {}, after.get(section) or {}
        for name in sorted(old.keys() | new.keys()):
            if name not in old:
                found.append(MapChange(section, name, _title(new[name]), "added"))
            elif name not in new:
                found.append(MapChange(section, name, _title(old[name]), "removed"))
            elif fields := tuple(_fields(old[name], new[name])):
                found.append(MapChange(section, name, _title(new[name]), "changed", fields))
    own = [{name: each[name] for name in each if name not in SECTIONS} for each in (before, after)]
    if fields := tuple(_fields(*own)):
        found.append(MapChange("map", "map", "", "changed", fields))
    return found


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield FieldChange(name, _text(old.get(name)), _text(new.get(name)))


def _title(entry: Mapping[str, Any]) -> str:
    return str(entry.get("title") or "")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
