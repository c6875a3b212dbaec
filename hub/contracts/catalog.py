"""All schemas of a hub by name and by id, with the ids of the lock.

Loaded once at start, then only read. A hub does not start on a schema that differs from its lock:
it would write records that no other reader understands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.contracts.codec import MAGIC, SINGLE_OBJECT_MAGIC, Schema
from hub.contracts.codes import CodeList, load_code_lists
from hub.contracts.lock import LOCK_FILE, read_lock, read_variants
from hub.contracts.views import VIEWS, Projection
from hub.errors import ContractError, PoisonError


class Catalog:
    """Schemas, their views and the code lists. Safe to share between threads."""

    def __init__(self, schemas: tuple[Schema, ...], codes: Mapping[str, CodeList]) -> None:
        self.schemas = schemas
        self.codes = codes
        self._by_id = {schema.id: schema for schema in schemas}
        self._by_key = {(schema.name, schema.version, schema.view): schema for schema in schemas}
        self._latest: dict[str, int] = {}
        for schema in schemas:
            self._latest[schema.name] = max(schema.version, self._latest.get(schema.name, 0))
        # A view that drops nothing has its schema's fingerprint: the whole schema wins, its bytes are equal.
        ordered = sorted(schemas, key=lambda schema: schema.view == "full")
        self._by_fingerprint = {bytes.fromhex(schema.fingerprint)[::-1]: schema for schema in ordered}
        self._projections: dict[tuple[int, str], Projection] = {}

    @classmethod
    def load(cls, root: Path) -> Catalog:
        """Reads ``root/schemas`` and ``root/reference/codes``.

        Raises ContractError where a file is wrong, differs from the lock or is not in it.
        """
        codes, locked = load_code_lists(root), read_lock(root)
        schemas = []
        for variant in read_variants(root):
            line = locked.get(variant.key)
            if line is None or (line.sha256, line.fingerprint) != (variant.sha256, variant.fingerprint):
                state = "is not in" if line is None else "differs from"
                label = f"{variant.name} v{variant.version} ({variant.view})"
                raise ContractError(f"{label} {state} {LOCK_FILE}: see hub schemas check")
            schemas.append(
                Schema(
                    id=line.id, name=variant.name, version=variant.version, view=variant.view,
                    fingerprint=variant.fingerprint, definition=variant.definition, code_lists=codes,
                )
            )
        return cls(tuple(sorted(schemas, key=lambda schema: schema.id)), codes)

    def schema(self, name: str, version: int | None = None, view: str | None = None) -> Schema:
        """A schema by name: its latest version and the view ``full`` unless said.

        Raises ContractError if there is none, naming what there is.
        """
        wanted = version if version is not None else self._latest.get(name, 0)
        try:
            return self._by_key[name, wanted, view or "full"]
        except KeyError:
            pass
        if name not in self._latest:
            raise ContractError(f"there is no schema {name}; known are {', '.join(sorted(self._latest))}")
        if view not in (None, *VIEWS):
            raise ContractError(f"there is no view {view}; known are {', '.join(VIEWS)}")
        raise ContractError(f"schema {name} has no v{wanted} with the view {view or 'full'}")

    def by_id(self, id: int) -> Schema:
        """The schema of an id of the wire format. Raises ContractError if unknown."""
        try:
            return self._by_id[id]
        except KeyError:
            raise ContractError(f"there is no schema with the id {id}") from None

    def identify(self, data: bytes) -> Schema:
        """The schema that wrote ``data``, from its frame alone; nothing is decoded.

        Raises PoisonError where there is no frame, ContractError where its schema is unknown.
        """
        return self._frame(data)[0]

    def decode(self, data: bytes) -> tuple[Schema, dict[str, Any]]:
        """Writer's schema and record, from the Confluent wire format or Avro's single-object encoding.

        Raises PoisonError where the bytes are no record, ContractError where their schema is unknown.
        """
        schema, start = self._frame(data)
        return schema, schema.decode_body(data, start)

    def projection(self, source: str | Schema, view: str) -> Projection:
        """From a schema (by name: its latest version) to one of its views. ContractError if unknown."""
        schema = self.schema(source) if isinstance(source, str) else source
        if schema.view != "full":
            raise ContractError(f"{schema.label} is a view already; project from the whole schema")
        key = (schema.id, view)
        found = self._projections.get(key)
        if found is None:
            target = schema if view == "full" else self.schema(schema.name, schema.version, view)
            found = self._projections[key] = Projection(schema, target)
        return found

    def _frame(self, data: bytes) -> tuple[Schema, int]:
        if data[:1] == MAGIC and len(data) >= 5:
            return self.by_id(int.from_bytes(data[1:5], "big")), 5
        if data[:2] == SINGLE_OBJECT_MAGIC and len(data) >= 10:
            schema = self._by_fingerprint.get(data[2:10])
            if schema is None:
                raise ContractError(f"there is no schema with the fingerprint {data[9:1:-1].hex()}")
            return schema, 10
        raise PoisonError("the value has no frame: neither a schema id nor a fingerprint stands before it")
