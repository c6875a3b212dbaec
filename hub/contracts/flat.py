"""Writes the hub's own flat records from parts that are bytes already.

The routing stage writes two and more records an event, most of whose fields are the same for every event
of a rule or come as bytes out of headers. A general Avro writer decodes, looks up and encodes each again;
this one encodes the constant fields once and only joins. What it writes is what ``Schema.encode`` writes,
byte for byte (a test holds it), for the types of the hub's own records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from io import BytesIO
from typing import Any

import fastavro

from hub.contracts.codec import MAGIC, Schema
from hub.errors import ContractError

Encoder = Callable[[Any], bytes]
_EPOCH = date(1970, 1, 1).toordinal()


def zigzag(number: int) -> bytes:
    """An Avro int or long."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
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


def array(items: Sequence[bytes]) -> bytes:
    """An Avro array, from its encoded items."""
    return zigzag(len(items)) + b"".join(items) + b"\x00" if items else b"\x00"


def _number(value: int) -> bytes:
    return SMALL[value] if 0 <= value < 4096 else zigzag(value)


def _optional(encode: Encoder) -> Encoder:
    return lambda value: b"\x00" if value is None else b"\x02" + encode(value)


@lru_cache(maxsize=1 << 16)  # all days of a century and a half
def _date(value: date) -> bytes:
    return zigzag(value.toordinal() - _EPOCH)


def _boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _raw(value: bytes) -> bytes:
    return value


_PLAIN: Mapping[str, Encoder] = {
    "string": text, "bytes": text, "int": _number, "long": _number, "boolean": _boolean,
}


def _encoder(schema: Schema, name: str, type_: Any) -> Encoder:
    """How a field's value becomes bytes: texts come as bytes, instants as milliseconds, arrays encoded."""
    if isinstance(type_, list) and len(type_) == 2 and type_[0] == "null":
        return _optional(_encoder(schema, name, type_[1]))
    if isinstance(type_, dict):
        if type_.get("logicalType") == "date":
            return _date
        if type_["type"] == "array":
            return _raw
        type_ = type_["type"]
    try:
        return _PLAIN[type_]
    except (KeyError, TypeError):
        raise ContractError(f"{schema.label}: field {name} is not flat") from None


def compile_writer(
    schema: Schema, constants: Mapping[str, Any], variables: Sequence[str]
) -> Callable[[Sequence[Any]], bytes]:
    """A writer of framed records that takes the values of ``variables``, in the order of the schema.

    ``constants`` are given as to ``Schema.encode``. Texts among the variables are UTF-8 bytes, instants
    milliseconds since the epoch, arrays their Avro encoding. Raises ContractError if a field is named
    twice, missing, or of a type that is not flat; values are not checked.
    """
    names = [field["name"] for field in schema.definition["fields"]]
    if sorted([*constants, *variables]) != sorted(names) or [n for n in names if n in set(variables)] != [*variables]:
        raise ContractError(f"{schema.label}: constants and variables are not its fields in their order")
    template: list[bytes] = [MAGIC + schema.id.to_bytes(4, "big")]
    places: list[tuple[int, Encoder]] = []
    for field in schema.definition["fields"]:
        name = field["name"]
        if name in constants:
            template[-1] += encode_field(schema, name, constants[name])
        else:
            places.append((len(template), _encoder(schema, name, field["type"])))
            template += [b"", b""]

    def write(values: Sequence[Any]) -> bytes:
        parts = template.copy()
        for (place, encode), value in zip(places, values, strict=True):
            parts[place] = encode(value)
        return b"".join(parts)

    return write


def compile_item(schema: Schema, name: str) -> Callable[[Sequence[Any]], bytes]:
    """A writer of one item of the array field ``name``, whose items are flat records: takes all their values in order.

    Values are given as to :func:`compile_writer`. Raises ContractError if the items are not flat.
    """
    (field,) = (field for field in schema.definition["fields"] if field["name"] == name)
    encoders = [_encoder(schema, f"{name}.{part['name']}", part["type"]) for part in field["type"]["items"]["fields"]]

    def write(values: Sequence[Any]) -> bytes:
        return b"".join([encode(value) for encode, value in zip(encoders, values, strict=True)])

    return write


def encode_field(schema: Schema, name: str, value: Any) -> bytes:
    """One field of a record, as Avro writes it."""
    for field in schema.definition["fields"]:
        if field["name"] == name:
            alone = {**schema.definition, "name": "Alone", "fields": [field]}
            buffer = BytesIO()
            fastavro.schemaless_writer(buffer, fastavro.parse_schema(alone), {name: value})
            return buffer.getvalue()
    raise ContractError(f"{schema.label} has no field {name}")
