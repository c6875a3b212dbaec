"""One export of any size, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

from hub.errors import UsageError
from hub.sandbox.generate.cases import MAKERS
from hub.sandbox.generate.columns import KINDS
from hub.sandbox.generate.departments import HEZUO_MARKET, Department
from hub.sandbox.generate.enterprise import make_register
from hub.sandbox.generate.noise import Written, spoil, write_cell
from hub.sandbox.generate.writing import FORMATS, MAX_SHEET_ROWS, write_export

#: Enterprises that a bulk file speaks of; bounds its memory (about 10 MB) whatever its rows.
_REGISTER_SIZE = 20_000
#: Rows of a sheet that are not data: title, note, headings, one blank row at the end.
_SHEET_FRAME = 4


def write_bulk(
    path: Path,
    kind: str,
    form: str,
    rows: int,
    seed: int,
    *,
    dirt: float = 0.1,
    faults: float = 0.0,
    department: Department = HEZUO_MARKET,
) -> int:
    """Write ``rows`` rows of ``kind`` as ``form`` (see ``FORMATS``); returns how many carry a fault.

    ``dirt`` is the share of cells typed in another way, ``faults`` of rows that have to be refused.
    Raises UsageError for an unknown kind or format, and for more rows than a sheet holds.
    """
    if kind not in KINDS or form not in FORMATS:
        raise UsageError(f"kind is one of {', '.join(KINDS)}; format one of {', '.join(FORMATS)}")
    if form == "xlsx" and rows > MAX_SHEET_ROWS - _SHEET_FRAME:
        raise UsageError(f"a sheet holds {MAX_SHEET_ROWS - _SHEET_FRAME} rows at most; take a CSV format")
    rng = Random(f"{seed}/{kind}/{form}")
    register = make_register(rng, min(rows, _REGISTER_SIZE))
    shape = KINDS[kind]
    spoiled = 0

    def typed() -> Iterator[list[Written]]:
        nonlocal spoiled
        for number in range(1, rows + 1):
            day = date(2026, 5, 6) + timedelta(days=rng.randrange(90))
            case = MAKERS[kind](rng, rng.choice(register), department, number, day)
            if rng.random() < faults:
                case = spoil(rng, shape, case)[0]
                spoiled += 1
            case["序号"] = str(number)
            yield [write_cell(rng, h, case[h], dirt, is_sheet=form == "xlsx") for h in shape.headings]

    write_export(path, form, shape.title, f"填报单位：{department.name}", shape.headings, typed())
    return spoiled
