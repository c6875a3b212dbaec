"""Rows of a batch as lines of the spool, column by column: what ``values.dump`` does with each, sooner.

A cell that JSON has no word for costs a call of Python code each time, and days repeat in nearly every row. Whatever is
not plain here (floats, nested values, bytes) is left to the exact way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from hub.intake.spool.values import MAX_VALUE, dump

_JSON = frozenset({str, int, bool, type(None)})
_TAGGED: Mapping[type, Callable[[Any], dict[str, str]]] = {
    date: lru_cache(maxsize=4096)(lambda value: {"$d": value.isoformat()}),
    datetime: lambda value: {"$t": value.isoformat()},
    Decimal: lambda value: {"$n": str(value)},
}
_PLAIN = _JSON | _TAGGED.keys()


def dump_all(rows: Sequence[Sequence[Any]]) -> list[bytes]:
    """``dump`` of each row."""
    try:
        columns = list(map(_tagged, zip(*rows, strict=True)))
        lines = list(map(orjson.dumps, zip(*columns, strict=True)))
    except (TypeError, ValueError):
        return list(map(dump, rows))
    if len(lines) != len(rows) or max(map(len, lines), default=0) > MAX_VALUE:
        return list(map(dump, rows))
    return lines


def _tagged(column: Sequence[Any]) -> Sequence[Any]:
    """Raises TypeError where a cell is not plain."""
    kinds = set(map(type, column))
    if kinds <= _JSON:
        return column
    if not kinds <= _PLAIN:
        raise TypeError
    return [_TAGGED[kind](value) if (kind := type(value)) in _TAGGED else value for value in column]
