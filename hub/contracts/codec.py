"""One schema in one view: Avro behind the five bytes of the Confluent wire format.

The hot path is thin on purpose: Avro is about half of what a record costs. fastavro does the
work; what it refuses is looked at a second time, slowly, to name the field.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from io import BytesIO
from typing import Any, cast

import fastavro
from fastavro import schemaless_reader, schemaless_writer

from hub.contracts.check import Check, FieldFault, compile_check
from hub.contracts.codes import CodeList
from hub.contracts.fields import Field, parse_fields
from hub.contracts.leading import Read, compile_leading
from hub.errors import ContractError, PoisonError

#: Byte 0 of the Confluent wire format; the id follows, big-endian.
MAGIC = b"\x00"
#: First bytes of Avro's single-object encoding; the fingerprint follows, little-endian.
SINGLE_OBJECT_MAGIC = b"\xc3\x01"
_PREFIX_LENGTH = 5
#: Faults that keep a record from being written; the others are intake's to refuse.
_REFUSED_BY_AVRO = frozenset({"missing", "type", "precision", "unknown"})

#: Where fastavro would take what it should not: any text as true, a text as a list of its characters.
_LENIENT: dict[str, tuple[type, ...]] = {
    "boolean": (bool,), "date": (date,), "timestamp": (datetime,), "int": (int,), "long": (int,),
}


def _guard(field: Field) -> tuple[type, ...]:
    """The Python types that may stand in the field; empty where fastavro looks itself."""
    types: tuple[type, ...] = (list, tuple) if field.is_array else _LENIENT.get(field.type, ())
    return (*types, type(None)) if types and field.is_nullable else types


class Schema:
    """A schema that can read and write records. Safe to share between threads.

    ``definition`` is the Avro definition with the hub's further attributes; ``fingerprint`` the
    CRC-64-AVRO of its parsing canonical form, as 16 hex digits of the number.
    """

    __slots__ = (
        "_check", "_guarded", "_parsed", "_prefix", "definition", "fields", "fingerprint", "id", "name",
        "version", "view",
    )

    def __init__(
        self, *, id: int, name: str, version: int, view: str, fingerprint: str,
        definition: dict[str, Any], code_lists: Mapping[str, CodeList],
    ) -> None:
        self.id = id
        self.name = name
        self.version = version
        self.view = view
        self.fingerprint = fingerprint
        self.definition = definition
        self.fields: tuple[Field, ...] = parse_fields(definition, f"{name} v{version}")
        self._parsed = fastavro.parse_schema(definition)
        self._prefix = MAGIC + struct.pack(">I", id)
        self._guarded = tuple((field.name, types) for field in self.fields if (types := _guard(field)))
        self._check: Check = compile_check(self.fields, code_lists)

    def __repr__(self) -> str:
        return f"<Schema {self.label} id={self.id}>"

    @property
    def label(self) -> str:
        """Name, version and view for messages, e.g. ``inspection/result v1 (public)``."""
        return f"{self.name} v{self.version}" + ("" if self.view == "full" else f" ({self.view})")

    def check(self, value: Mapping[str, Any]) -> list[FieldFault]:
        """All faults of a record: content, types, lengths, codes. Empty if it may be accepted."""
        return self._check(value)

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """The record in the wire format.

        A field with a default may be absent. Raises ContractError naming the field that does not fit or
        is not of the schema; never its content, which may be an identity number. Lengths and code lists
        are not looked at here: see ``check``.
        """
        buffer = BytesIO()
        buffer.write(self._prefix)
        try:
            for name, types in self._guarded:
                if name in value and not isinstance(value[name], types):
                    raise TypeError(name)
            schemaless_writer(buffer, self._parsed, value, strict_allow_default=True)
        except Exception as error:
            raise self._unfit(value, error) from error
        return buffer.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        """The record out of its wire format.

        Raises ContractError if another schema wrote it, PoisonError if the bytes are not a whole record.
        """
        if data[:_PREFIX_LENGTH] != self._prefix:
            raise ContractError(f"the record was not written with {self.label}, id {self.id}")
        return self.decode_body(data, _PREFIX_LENGTH)

    def decode_body(self, data: bytes, start: int) -> dict[str, Any]:
        """The record whose Avro body begins at byte ``start``. Raises PoisonError as ``decode`` does."""
        buffer = BytesIO(data)
        buffer.seek(start)
        try:
            value = schemaless_reader(buffer, self._parsed, None)
        except Exception as error:
            cause = type(error).__name__
            raise PoisonError(f"the bytes are not a record of {self.label}: {cause}") from error
        if buffer.tell() != len(data):
            raise PoisonError(f"the bytes go on behind the end of a record of {self.label}")
        return value  # type: ignore[return-value]  # a record schema reads as a dict

    def prefix(self, field_names: Iterable[str]) -> Callable[[bytes], dict[str, Any]]:
        """A reader of these fields; those between them are stepped over, those behind them not even looked at.

        The reader takes the wire format. It does not see whether what it does not give is whole. Avro has no index,
        so that early fields are the cheap ones. Raises ContractError for a name that the schema does not have.
        """
        wanted = frozenset(field_names)
        unknown = wanted - {field.name for field in self.fields}
        if unknown:
            raise ContractError(f"{self.label} has no field {', '.join(sorted(unknown))}")
        frame, label = self._prefix, self.label
        found = compile_leading(self.fields, wanted) or self._general(wanted)

        def read(data: bytes) -> dict[str, Any]:
            if data[:_PREFIX_LENGTH] != frame:
                raise ContractError(f"the record was not written with {label}")
            try:
                return found(data, _PREFIX_LENGTH)
            except Exception as error:
                raise PoisonError(f"the bytes are not a record of {label}: {type(error).__name__}") from error

        return read

    def _general(self, wanted: frozenset[str]) -> Read:
        """By fastavro. A named type is defined where it first stands, so that leaving the end off leaves none
        undefined."""
        count = max((i + 1 for i, field in enumerate(self.fields) if field.name in wanted), default=0)
        parsed = fastavro.parse_schema({**self.definition, "fields": self.definition["fields"][:count]})

        def read(data: bytes, start: int) -> dict[str, Any]:
            buffer = BytesIO(data)
            buffer.seek(start)
            value = cast("dict[str, Any]", schemaless_reader(buffer, parsed, None))
            return {name: content for name, content in value.items() if name in wanted}

        return read

    def _unfit(self, value: Mapping[str, Any], error: Exception) -> ContractError:
        if not isinstance(value, Mapping):
            return ContractError(f"{self.label}: a record has to be a mapping, not {type(value).__name__}")
        names = [fault.field for fault in self._check(value) if fault.code in _REFUSED_BY_AVRO]
        cause = ", ".join(f"field {name}" for name in names) or type(error).__name__
        return ContractError(f"{self.label}: does not fit the schema: {cause}")
