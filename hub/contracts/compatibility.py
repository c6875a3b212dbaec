"""FULL_TRANSITIVE: every version of a schema reads what every other version wrote.

Follows the schema resolution of Avro 1.12, for the part of Avro that the hub uses, and without the
promotions that work one way only (int to long): what is read both ways may not be promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Definition = Mapping[str, Any]


class Incompatibility(NamedTuple):
    """``reader`` cannot read ``field`` of what ``writer`` wrote (both are version numbers)."""

    reader: int
    writer: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"v{self.reader} cannot read v{self.writer}: field {self.field}: {self.problem}"


def full_transitive(versions: Sequence[tuple[int, Definition]]) -> list[Incompatibility]:
    """Faults between all pairs of versions, in both directions."""
    return [
        Incompatibility(reader, writer, field, problem)
        for reader, reads in versions
        for writer, writes in versions
        if reader != writer
        for field, problem in cannot_read(reads, writes)
    ]


def cannot_read(reader: Definition, writer: Definition, path: str = "") -> Iterable[tuple[str, str]]:
    """(field, problem) for each field that keeps ``reader`` from reading records of ``writer``."""
    if _short_name(reader) != _short_name(writer):
        yield path or "(record)", f"record is called {_short_name(reader)}, was {_short_name(writer)}"
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        name = f"{path}.{field['name']}" if path else field["name"]
        origin = written.get(field["name"])
        if origin is not None:
            yield from _type_faults(field["type"], origin["type"], name)
        elif "default" not in field:
            yield name, "is absent in the other version and has no default"


def _short_name(definition: Definition) -> str:
    return str(definition.get("name", "")).rsplit(".", 1)[-1]


def _type_faults(reader: Any, writer: Any, name: str) -> Iterable[tuple[str, str]]:
    read, written = _members(reader), _members(writer)
    for kind, branch in written.items():
        if kind not in read:
            yield name, f"does not take {kind}, which the other version may hold"
        elif kind == "record":
            yield from cannot_read(read[kind], branch, name)
        elif kind == "array":
            yield from _type_faults(read[kind]["items"], branch["items"], f"{name}[]")
        elif kind == "enum":
            missing = set(branch["symbols"]) - set(read[kind]["symbols"])
            if missing and "default" not in read[kind]:
                yield name, f"does not know {', '.join(sorted(missing))} and has no default symbol"


def _members(kind: Any) -> dict[str, Any]:
    """The branches of a type by what they hold; a decimal's precision and scale are part of that."""
    branches = kind if isinstance(kind, list) else [kind]
    return {_describe(branch): branch for branch in branches}


def _describe(branch: Any) -> str:
    if not isinstance(branch, Mapping):
        return str(branch)
    logical = branch.get("logicalType")
    if logical == "decimal":
        return f"decimal({branch.get('precision')},{branch.get('scale', 0)})"
    return f"{branch['type']} {logical}" if logical else str(branch["type"])
