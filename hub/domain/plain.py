"""Decoded records as plain JSON values, the same for every outside system."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import orjson


def instant_text(moment: datetime) -> str:
    """An aware moment as RFC 3339 in UTC with milliseconds, e.g. ``2026-03-02T01:00:00.000Z``."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"  # less "+00:00"


def whole_millis(moment: datetime) -> datetime:
    """What the log can hold of a moment: a value in memory has to equal the one that is read back."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_plain(value: object) -> object:
    """``value`` with dates as ISO 8601, instants as RFC 3339 and decimals as strings.

    Decimals are never numbers in JSON: most readers would make floats of them, and an amount of
    money would change on the way. Raises TypeError on a type that no schema has.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return instant_text(value)
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")  # str() would write 0.000000 as 0E-6
        case dict():
            return {str(name): to_plain(item) for name, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: object) -> bytes:
    """``value`` as compact UTF-8 JSON, the same bytes for the same value.

    Receipts hold digests of it, so they must stay the same over versions too: those of ``json.dumps`` without spaces
    and escapes, which a test holds. Floats, of which no schema has one, are outside of that promise.
    """
    return orjson.dumps(value, default=to_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
