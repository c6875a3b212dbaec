"""Values that come with a type: from a database, from JSON. Nothing goes through text that loses by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from hub.intake.mapping.parsers import YEARS, Parser, ValueFault

Native = Callable[[Any], Any]

#: Days are those of Gannan; a moment with a zone is looked at from there.
_SHANGHAI = timezone(timedelta(hours=8))
#: Integers beyond are not exact as binary fractions.
_EXACT_FLOAT = 2.0**53


def native_reader(parser: str, parse: Parser) -> Native:
    """The reader of values that are no text, for a column that ``parse`` reads as text.

    Dates and truth values are taken as they are; numbers are handed to ``parse`` with every digit.
    The reader raises ``ValueFault``, nothing else.
    """
    if parser == "date":
        return lambda value: _day(value, parse)
    if parser == "boolean":
        return lambda value: _truth(value, parse)
    return lambda value: parse(as_text(value))


def as_text(value: Any) -> str:
    """A value as a clerk would have written it; "" for nothing. A ``ValueFault`` gives its problem."""
    kind = type(value)
    if kind is str:
        return str(value.strip())
    if value is None:
        return ""
    if kind is bool:
        return "是" if value else "否"
    if kind is int:
        return str(value)
    if kind is Decimal:
        return f"{value:f}"
    if kind is float:
        is_whole = value.is_integer() and abs(value) < _EXACT_FLOAT
        return str(int(value)) if is_whole else f"{Decimal(repr(value)):f}"
    if kind is datetime:
        local = value.astimezone(_SHANGHAI).replace(tzinfo=None) if value.tzinfo else value
        return str(local.isoformat(sep=" "))
    if isinstance(value, date | time):
        return value.isoformat()
    if kind is list and all(type(part) is str for part in value):
        return "、".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).strip()


def _day(value: Any, parse: Parser) -> date:
    if type(value) is datetime:
        value = (value.astimezone(_SHANGHAI) if value.tzinfo else value).date()
    if type(value) is not date:
        return parse(as_text(value))  # type: ignore[no-any-return]
    if value.year not in YEARS:
        raise ValueFault("date", f"年份不合理：{value.isoformat()}", "年份应在 1949 至 2099 之间")
    return value


def _truth(value: Any, parse: Parser) -> bool:
    if type(value) is bool:
        return value
    return parse(as_text(value))  # type: ignore[no-any-return]
