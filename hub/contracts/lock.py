"""``schemas/lock.json``: the id and the fingerprints of every schema version in every view.

An id stands in every record that was ever written, and so its meaning can never change: ids are
only ever appended. A file that differs from its lock is refused; a change is a new version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastavro.schema import fingerprint, to_parsing_canonical_form

from hub.contracts.compatibility import full_transitive
from hub.contracts.views import DERIVED_VIEWS, derive_definition
from hub.errors import ContractError

LOCK_FILE = Path("schemas") / "lock.json"
_FILE_NAME = re.compile(r"v([1-9][0-9]*)\.avsc")
#: The hub's own records never leave in a view; their folder.
_OWN = "hub/"


@dataclass(frozen=True, slots=True)
class Locked:
    """One line of the lock. ``fingerprint`` is CRC-64-AVRO of the parsing canonical form; ``sha256`` is
    of the file, or for a derived view of its definition as compact JSON."""

    id: int
    name: str
    version: int
    view: str
    fingerprint: str
    sha256: str

    @property
    def key(self) -> tuple[str, int, str]:
        return self.name, self.version, self.view


@dataclass(frozen=True, slots=True)
class Variant:
    """One schema version in one view, as the files have it now."""

    name: str
    version: int
    view: str
    definition: dict[str, Any]
    fingerprint: str
    sha256: str

    @property
    def key(self) -> tuple[str, int, str]:
        return self.name, self.version, self.view


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """What is wrong with the schemas. ``field`` is empty where the whole schema is meant."""

    schema: str
    field: str
    problem: str


def read_variants(root: Path) -> list[Variant]:
    """All schemas below ``root/schemas`` in all their views. Raises ContractError naming the file."""
    folder = root / "schemas"
    paths = sorted(folder.glob("*/*/*.avsc"), key=lambda path: (path.parent, len(path.name), path.name))
    if not paths:
        raise ContractError(f"there are no schemas below {folder}")
    return [variant for path in paths for variant in _variants(path, folder)]


def _variants(path: Path, folder: Path) -> Iterator[Variant]:
    name = path.parent.relative_to(folder).as_posix()
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ContractError(f"{name}/{path.name}: a schema file is called v1.avsc, v2.avsc, ...")
    version = int(match[1])
    content = path.read_bytes()
    try:
        definition = json.loads(content)
        yield _variant(name, version, "full", definition, hashlib.sha256(content).hexdigest())
        if not name.startswith(_OWN):
            for view in DERIVED_VIEWS:
                derived = derive_definition(definition, f"{name} v{version}", view)
                digest = hashlib.sha256(definition_text(derived).encode()).hexdigest()
                yield _variant(name, version, view, derived, digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{name}/{path.name}: not an Avro record schema: {error}") from error


def definition_text(definition: dict[str, Any]) -> str:
    """A definition as compact JSON, which is also what the registry serves."""
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":"))


def _variant(name: str, version: int, view: str, definition: dict[str, Any], sha256: str) -> Variant:
    # fastavro gives the eight bytes in little-endian order; here stands the number, as in the Avro text.
    little = fingerprint(to_parsing_canonical_form(definition), "CRC-64-AVRO")
    return Variant(name, version, view, definition, bytes.fromhex(little)[::-1].hex(), sha256)


def read_lock(root: Path) -> dict[tuple[str, int, str], Locked]:
    """The lock by (name, version, view); empty where there is none. Raises ContractError if it is damaged."""
    path = root / LOCK_FILE
    if not path.exists():
        return {}
    try:
        lines = [Locked(**line) for line in json.loads(path.read_text(encoding="utf-8"))["schemas"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{LOCK_FILE}: cannot be read: {error}") from error
    by_key = {line.key: line for line in lines}
    if len({line.id for line in lines}) != len(lines) or len(by_key) != len(lines):
        raise ContractError(f"{LOCK_FILE}: an id or a schema stands there twice")
    return by_key


def check_schemas(root: Path) -> list[SchemaFault]:
    """Everything that is wrong between the files, the lock and the versions of each schema."""
    variants, locked = read_variants(root), read_lock(root)
    faults = [*_changed(variants, locked), *_incompatible(variants)]
    faults += [
        SchemaFault(_label(*variant.key), "", "has no id in the lock; run hub schemas check --update-lock")
        for variant in variants
        if variant.key not in locked
    ]
    return faults


def update_lock(root: Path) -> list[Locked]:
    """Gives an id to every variant that has none, and returns these.

    Raises ContractError, and writes nothing, where a locked schema changed or versions do not fit
    together: a lock that moved with its schema would lock nothing.
    """
    variants, locked = read_variants(root), read_lock(root)
    faults = [*_changed(variants, locked), *_incompatible(variants)]
    if faults:
        raise ContractError("; ".join(f"{fault.schema}: {fault.problem}" for fault in faults))
    last = max((line.id for line in locked.values()), default=0)
    fresh = [variant for variant in variants if variant.key not in locked]
    added = [
        Locked(id, variant.name, variant.version, variant.view, variant.fingerprint, variant.sha256)
        for id, variant in enumerate(fresh, last + 1)
    ]
    if added:
        lines = [json.dumps(asdict(line)) for line in (*locked.values(), *added)]
        text = '{"schemas": [\n  ' + ",\n  ".join(lines) + "\n]}\n"
        (root / LOCK_FILE).write_text(text, encoding="utf-8")
    return added


def _changed(variants: list[Variant], locked: dict[tuple[str, int, str], Locked]) -> Iterator[SchemaFault]:
    present = {variant.key for variant in variants}
    for variant in variants:
        line = locked.get(variant.key)
        if line and (line.sha256, line.fingerprint) != (variant.sha256, variant.fingerprint):
            yield SchemaFault(
                _label(*variant.key), "",
                f"changed although id {line.id} is locked to it; put the file back and write "
                f"v{variant.version + 1}.avsc beside it",
            )
    for key, line in locked.items():
        if key not in present:
            yield SchemaFault(_label(*key), "", f"is gone although id {line.id} is locked to it")


def _incompatible(variants: list[Variant]) -> Iterator[SchemaFault]:
    versions: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for variant in variants:
        versions.setdefault((variant.name, variant.view), []).append((variant.version, variant.definition))
    for (name, view), several in versions.items():
        for fault in full_transitive(several):
            yield SchemaFault(_label(name, fault.reader, view), fault.field, str(fault))


def _label(name: str, version: int, view: str) -> str:
    return f"{name} v{version}" + ("" if view == "full" else f" ({view})")
