"""Reads some early fields of a record and steps over the others: what a stage decides by is a small part of a record.

A general Avro reader asks its buffer for each field, which costs a microsecond apiece. Here a function is made of the
schema once that knows what stands where. What it gives of a field is what ``Schema.decode`` gives (a test holds it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

from hub.contracts.fields import Field

#: Takes a record and where its first field begins. Raises IndexError, ValueError or OverflowError for bytes that are
#: no record.
Read = Callable[[bytes, int], dict[str, Any]]
_Skip = Callable[[bytes, int], int]

_EPOCH = date(1970, 1, 1).toordinal()
_START = datetime(1970, 1, 1, tzinfo=UTC)
#: An Avro long has at most so many bytes.
_LONGEST = 10


def _long(data: bytes, at: int) -> tuple[int, int]:
    """The number as it stands there, sign last (odd is negative), and where it ends."""
    found = shift = 0
    for byte in data[at : at + _LONGEST]:
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7
    raise ValueError("a number does not end")


def _fail() -> Any:
    raise ValueError("neither null nor its type, or a length below zero")


@lru_cache(maxsize=1 << 16)  # all days of a century and a half
def _day(number: int) -> date:
    return date.fromordinal(_EPOCH + ((number >> 1) ^ -(number & 1)))


@lru_cache(maxsize=1024)
def _moment(number: int) -> datetime:
    return _START + timedelta(milliseconds=(number >> 1) ^ -(number & 1))


def _array(item: _Skip) -> _Skip:
    def skip(data: bytes, at: int) -> int:
        while True:
            number, at = _long(data, at)
            if not number:
                return at
            if number & 1:  # a count below zero comes with the size of the block
                size, at = _long(data, at)
                at += _fail() if size & 1 else size >> 1
                continue
            for _ in range(number >> 1):
                if at >= len(data):
                    raise ValueError("an array does not end")
                at = item(data, at)

    return skip


#: Of a number ``n``, its sign last: what becomes of it.
_NUMBERS = {"int": "(n >> 1) ^ -(n & 1)", "long": "(n >> 1) ^ -(n & 1)", "date": "day(n)", "timestamp": "moment(n)"}
_TEXTS = {"string": "data[at:end].decode()", "bytes": "data[at:end]"}
#: As texts; only to step over.
_SIZED = frozenset({*_TEXTS, "decimal"})
_NUMBER = ("n = data[at]", "if n < 128: at += 1", "else: n, at = long(data, at)")


def _step(field: Field, variable: str | None, space: dict[str, Any]) -> Iterator[str]:
    """The lines that bring ``at`` behind the field and, with a ``variable``, its content there.

    Raises KeyError for a type that has none.
    """
    if not field.is_nullable:
        yield from _content(field, variable, space)
        return
    yield from ("n = data[at]", "at += 1", "if n == 2:")
    yield from (f"    {line}" for line in _content(field, variable, space))
    yield "elif n: fail()"
    if variable is not None:
        yield f"else: {variable} = None"


def _content(field: Field, variable: str | None, space: dict[str, Any]) -> Iterator[str]:
    if field.is_array or field.type == "record":
        if variable is not None:
            raise KeyError(field.name)
        if field.is_array:
            name = f"skip{len(space)}"
            space[name] = _array(_skip_one(replace(field, is_array=False, is_nullable=False)))
            yield f"at = {name}(data, at)"
            return
        for part in field.items:
            yield from _step(part, None, space)
    elif field.type in _NUMBERS:
        yield from _NUMBER
        if variable is not None:
            yield f"{variable} = {_NUMBERS[field.type]}"
    elif field.type == "boolean":
        yield f"{variable} = data[at] != 0" if variable is not None else "data[at]"
        yield "at += 1"
    elif field.type in (_SIZED if variable is None else _TEXTS):
        yield from (*_NUMBER, "if n & 1: fail()", "end = at + (n >> 1)")
        if variable is not None:
            yield f"{variable} = {_TEXTS[field.type]}"
        yield "at = end"
    else:
        raise KeyError(field.name)


def _skip_one(field: Field) -> _Skip:
    space: dict[str, Any] = {}
    return cast(_Skip, _make([*_step(field, None, space), "return at"], space))


def compile_leading(fields: Sequence[Field], wanted: frozenset[str]) -> Read | None:
    """A reader of the ``wanted`` ones of ``fields``; of those behind the last of them it sees nothing.

    ``None`` where one of them is an array, a record or a decimal number.
    """
    last = max((at for at, field in enumerate(fields, 1) if field.name in wanted), default=0)
    space: dict[str, Any] = {}
    lines: list[str] = []
    found: list[str] = []
    try:
        for number, field in enumerate(fields[:last]):
            variable = f"v{number}" if field.name in wanted else None
            lines += _step(field, variable, space)
            if variable is not None:
                found.append(f"{field.name!r}: {variable}")
    except KeyError:
        return None
    lines += ["if at > len(data): fail()", f"return {{{', '.join(found)}}}"]
    return cast(Read, _make(lines, space))


def _make(lines: Sequence[str], space: dict[str, Any]) -> Callable[..., Any]:
    body = "\n".join(f"    {line}" for line in lines)
    names: dict[str, Any] = {"long": _long, "fail": _fail, "day": _day, "moment": _moment, **space}
    exec(compile(f"def read(data, at):\n{body}\n", "<leading>", "exec"), names)  # of a schema under lock
    return cast("Callable[..., Any]", names["read"])
