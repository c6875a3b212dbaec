"""Writes the hub's own flat records from parts that are bytes already.

The routing stage writes two and more records an event, most of whose fields are the same for every event
of a rule or come as bytes out of headers. A general Avro writer decodes, looks up and encodes each again;
this one encodes the constant fields once and only joins. What it writes is what ``Schema.encode`` writes,
byte for byte (a test holds it), for the types of the hub's own records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from io import BytesIO
from typing import Any, cast

import fastavro

from hub.contracts.codec import MAGIC, Schema
from hub.errors import ContractError

#: Takes the values of a record in order.
Writer = Callable[[Sequence[Any]], bytes]
_EPOCH = date(1970, 1, 1).toordinal()
_START, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def zigzag(number: int) -> bytes:
    """An Avro int or long."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    if 1 << 35 <= number < 1 << 42:  # a moment between 1971 and 2039: six bytes, without a loop
        return bytes((
            number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14 & 0x7F | 0x80, number >> 21 & 0x7F | 0x80,
            number >> 28 & 0x7F | 0x80, number >> 35,
        ))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


#: Lengths and small numbers, which is nearly all of them, encoded.
SMALL = tuple(zigzag(number) for number in range(4096))


def text(value: bytes) -> bytes:
    """An Avro string or bytes, from its bytes."""
    length = len(value)
    return (SMALL[length] if length < 4096 else zigzag(length)) + value


def utf8(value: str | None) -> bytes | None:
    """A text as a writer takes it."""
    return None if value is None else value.encode()


def millis(moment: datetime | None) -> int | None:
    """An aware moment as a writer takes it: whole milliseconds since the epoch."""
    return None if moment is None else (moment - _START) // _MILLISECOND


def array(items: Sequence[bytes]) -> bytes:
    """An Avro array, from its encoded items."""
    return zigzag(len(items)) + b"".join(items) + b"\x00" if items else b"\x00"


#: The moment of a batch stands in each of its records, several times.
_large = lru_cache(maxsize=1024)(zigzag)


def number(value: int) -> bytes:
    """An Avro int or long, looked up where it is small or came just before."""
    return SMALL[value] if 0 <= value < 4096 else _large(value)


@lru_cache(maxsize=1 << 16)  # all days of a century and a half
def _date(value: date) -> bytes:
    return zigzag(value.toordinal() - _EPOCH)


#: Avro type -> expression over ``v`` that makes its bytes.
_TEXT = "(small[len(v)] if len(v) < 4096 else zigzag(len(v))) + v"
_EXPRESSIONS: Mapping[str, str] = {
    "string": _TEXT,
    "bytes": _TEXT,
    "int": "number(v)",
    "long": "number(v)",
    "boolean": "(TRUE if v else FALSE)",
    "date": "day(v)",
    "array": "v",
}
_NAMES: Mapping[str, Any] = {
    "small": SMALL, "zigzag": zigzag, "number": number, "day": _date,
    "NULL": b"\x00", "SOME": b"\x02", "TRUE": b"\x01", "FALSE": b"\x00",
}


def _expression(schema: Schema, name: str, type_: Any, variable: str) -> str:
    """How a field's value becomes bytes: texts come as bytes, instants as milliseconds, arrays encoded."""
    if isinstance(type_, list) and len(type_) == 2 and type_[0] == "null":
        inner = _expression(schema, name, type_[1], variable)
        return f"(NULL if {variable} is None else SOME + {inner})"
    kind = type_
    if isinstance(type_, dict):
        kind = "date" if type_.get("logicalType") == "date" else type_["type"]
    if not isinstance(kind, str) or kind not in _EXPRESSIONS:
        raise ContractError(f"{schema.label}: field {name} is not flat")
    return re.sub(r"\bv\b", variable, _EXPRESSIONS[kind])


def _compile(parts: Sequence[str], count: int, constants: Mapping[str, bytes]) -> Writer:
    """One expression over all values, made once: a loop over fields with a call for each takes twice as long."""
    given = ", ".join(f"v{number}" for number in range(count))
    source = f"def write(values):\n    ({given},) = values\n    return b''.join(({', '.join(parts)},))\n"
    space: dict[str, Any] = {**_NAMES, **constants}
    exec(compile(source, "<flat record>", "exec"), space)  # of a schema under lock, nothing from outside
    return cast("Writer", space["write"])


def compile_writer(schema: Schema, constants: Mapping[str, Any], variables: Sequence[str]) -> Writer:
    """A writer of framed records that takes the values of ``variables``, in the order of the schema.

    ``constants`` are given as to ``Schema.encode``. Texts among the variables are UTF-8 bytes, instants
    milliseconds since the epoch, arrays their Avro encoding. Raises ContractError if a field is named
    twice, missing, or of a type that is not flat; values are not checked.
    """
    names = [field["name"] for field in schema.definition["fields"]]
    if sorted([*constants, *variables]) != sorted(names) or [n for n in names if n in set(variables)] != [*variables]:
        raise ContractError(f"{schema.label}: constants and variables are not its fields in their order")
    # Neighbouring constants are one piece.
    pieces: dict[str, bytes] = {"c0": MAGIC + schema.id.to_bytes(4, "big")}
    parts, count = ["c0"], 0
    for field in schema.definition["fields"]:
        name = field["name"]
        if name not in constants:
            parts.append(_expression(schema, name, field["type"], f"v{count}"))
            count += 1
        elif parts[-1] in pieces:
            pieces[parts[-1]] += encode_field(schema, name, constants[name])
        else:
            parts.append(f"c{len(pieces)}")
            pieces[parts[-1]] = encode_field(schema, name, constants[name])
    return _compile(parts, count, pieces)


def compile_item(schema: Schema, name: str) -> Writer:
    """A writer of one item of the array field ``name``, whose items are flat records: takes all their values in order.

    Values are given as to :func:`compile_writer`. Raises ContractError if the items are not flat.
    """
    (field,) = (field for field in schema.definition["fields"] if field["name"] == name)
    fields = field["type"]["items"]["fields"]
    parts = [_expression(schema, f"{name}.{part['name']}", part["type"], f"v{n}") for n, part in enumerate(fields)]
    return _compile(parts, len(parts), {})


def encode_field(schema: Schema, name: str, value: Any) -> bytes:
    """One field of a record, as Avro writes it."""
    for field in schema.definition["fields"]:
        if field["name"] == name:
            alone = {**schema.definition, "name": "Alone", "fields": [field]}
            buffer = BytesIO()
            fastavro.schemaless_writer(buffer, fastavro.parse_schema(alone), {name: value})
            return buffer.getvalue()
    raise ContractError(f"{schema.label} has no field {name}")
