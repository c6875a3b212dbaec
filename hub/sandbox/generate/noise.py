"""How a clerk types a row: harmless noise, and faults with one clear verdict.

Noise never changes what a row means: a careful reader gets the same values. A fault makes exactly
one cell unreadable or wrong, so that its row has to be refused.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from random import Random

from hub.sandbox.generate.cases import Case
from hub.sandbox.generate.codes import is_uscc, make_look_alike, make_wrong_check
from hub.sandbox.generate.columns import CODE_COLUMNS, Cell, Kind

_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_EXCEL_EPOCH = date(1899, 12, 30)

#: What a writer is given: text, a number, or a date (XLSX only) that it stores as Excel does.
Written = str | int | float | date | None


class Fault(StrEnum):
    """What is wrong with a refused row."""

    MISSING_KEY = "missing-key"
    MISSING_NAME = "missing-name"
    MISSING_DATE = "missing-date"
    BAD_DATE = "bad-date"
    UNKNOWN_VALUE = "unknown-value"
    WRONG_CHECK = "wrong-check-character"
    BAD_LENGTH = "bad-length"
    NEGATIVE_AMOUNT = "negative-amount"


def spoil(rng: Random, kind: Kind, case: Case) -> tuple[Case, Fault, str]:
    """``case`` with one fault: the new case, the fault, and the heading that it is in."""
    code = case.get(kind.code)
    options = [Fault.MISSING_KEY, Fault.MISSING_NAME, Fault.MISSING_DATE, Fault.BAD_DATE, Fault.UNKNOWN_VALUE]
    if isinstance(code, str) and is_uscc(code):
        options += [Fault.WRONG_CHECK, Fault.BAD_LENGTH]
    if kind.amount and case.get(kind.amount) is not None:
        options.append(Fault.NEGATIVE_AMOUNT)
    fault = rng.choice(options)
    heading, value = _spoiled(rng, kind, case, fault)
    return {**case, heading: value}, fault, heading


def _spoiled(rng: Random, kind: Kind, case: Case, fault: Fault) -> tuple[str, Cell]:
    code = str(case.get(kind.code))
    match fault:
        case Fault.MISSING_KEY:
            return kind.key, None
        case Fault.MISSING_NAME:
            return kind.party, None
        case Fault.MISSING_DATE:
            return kind.required_date, None
        case Fault.BAD_DATE:
            return kind.required_date, rng.choice(("2026-13-45", "2026年2月30日", "待定", "20260631"))
        case Fault.UNKNOWN_VALUE:
            return kind.coded, rng.choice(("见附件", "其它情形（详见卷宗）", "Ｘ９９"))
        case Fault.WRONG_CHECK:
            return kind.code, make_wrong_check(code)
        case Fault.BAD_LENGTH:
            return kind.code, code[:-2]
        case Fault.NEGATIVE_AMOUNT:
            amount = case[kind.amount or ""]
            assert isinstance(amount, Decimal)
            return kind.amount or "", -amount - 1


def mistype_code(kind: Kind, case: Case) -> Case | None:
    """``case`` with the letter O for a zero in its USCC, which a reader can put right."""
    code = case.get(kind.code)
    wrong = make_look_alike(code) if isinstance(code, str) and is_uscc(code) else None
    return None if wrong is None else {**case, kind.code: wrong}


def write_cell(rng: Random, heading: str, value: Cell, dirt: float, *, is_sheet: bool) -> Written:
    """``value`` as typed; with probability ``dirt`` in one of the ways that readers have to bear."""
    is_noisy = rng.random() < dirt
    if isinstance(value, date):
        return _write_date(rng, heading, value, is_noisy, is_sheet)
    if isinstance(value, Decimal):
        if is_noisy:
            return rng.choice((f"{value}万元", f" {value}", str(value).translate(_FULL_WIDTH)))
        return float(value) if is_sheet else str(value)
    if isinstance(value, tuple):
        return ("；" if is_noisy and heading == "检查结果" else "、").join(value)
    if value and is_noisy and heading in CODE_COLUMNS:
        return rng.choice((f" {value} ", value.translate(_FULL_WIDTH), value.lower()))
    if value and is_noisy:
        return f"{value} "
    return value


def _write_date(rng: Random, heading: str, day: date, is_noisy: bool, is_sheet: bool) -> Written:
    if day.year == 2099:  # no end: a sheet's serial number of it would be no date to most readers
        return "2099年12月31日" if is_noisy else "2099/12/31"
    if not is_noisy:
        return day if is_sheet else day.isoformat()
    serial = (day - _EXCEL_EPOCH).days
    return rng.choice(
        (
            f"{day.year}/{day.month}/{day.day}",
            f"{day:%Y%m%d}",
            f"{day.year}年{day.month}月{day.day}日",
            f"{day.year}.{day.month}.{day.day}",
            serial if is_sheet else str(serial),
            f"{day.year}-{day.month}-{day.day}".translate(_FULL_WIDTH),
            f"{day.isoformat()} 00:00:00",
        )
    )
