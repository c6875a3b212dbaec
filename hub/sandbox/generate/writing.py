"""Writes the files: CSV in three encodings, and XLSX; in constant memory, the same bytes each time."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import cast

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from hub.sandbox.generate.noise import Written

#: Format of an export -> codec of its text; None is a workbook.
FORMATS: dict[str, str | None] = {
    "csv-utf-8-bom": "utf-8-sig",
    "csv-utf-8": "utf-8",
    "csv-gb18030": "gb18030",
    "xlsx": None,
}
#: Excel's own limit of rows in a sheet.
MAX_SHEET_ROWS = 1_048_576
#: Times inside a workbook are fixed: those of writing would make every file another one.
_FIXED_TIME = (2026, 1, 1, 0, 0, 0)
#: Empty columns behind the last heading, as a sheet has whose formatting runs further than its text.
_TRAILING = 2


def write_export(
    path: Path, form: str, title: str, note: str, headings: Sequence[str], rows: Iterable[Sequence[Written]]
) -> None:
    """One export: title row, note row, headings, ``rows``, and at the end two blank rows."""
    codec = FORMATS[form]
    path.parent.mkdir(parents=True, exist_ok=True)
    if codec is None:
        _write_sheet(path, title, note, headings, rows)
    else:
        _write_text(path, codec, title, note, headings, rows)


def _write_text(
    path: Path, codec: str, title: str, note: str, headings: Sequence[str], rows: Iterable[Sequence[Written]]
) -> None:
    blank = [""] * (len(headings) + _TRAILING)
    with path.open("w", encoding=codec, newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([title, *blank[1:]])
        writer.writerow([note, *blank[1:]])
        writer.writerow([*headings, *[""] * _TRAILING])
        for row in rows:
            writer.writerow([*("" if cell is None else cell for cell in row), *[""] * _TRAILING])
        writer.writerow(blank)
        writer.writerow(blank)


def _write_sheet(
    path: Path, title: str, note: str, headings: Sequence[str], rows: Iterable[Sequence[Written]]
) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31].replace("/", " "))
    width = get_column_letter(len(headings))
    sheet.merged_cells.add(f"A1:{width}1")
    sheet.merged_cells.add(f"A2:{width}2")
    heading = WriteOnlyCell(sheet, title)
    heading.font = Font(bold=True, size=16)
    sheet.append([heading])
    sheet.append([note])
    sheet.append([*headings, *[None] * _TRAILING])
    for row in rows:
        cells: list[object] = [*row, *[None] * _TRAILING]
        for at, cell in enumerate(row):
            if isinstance(cell, date):
                cells[at] = WriteOnlyCell(sheet, cast(datetime, cell))  # a date is written as well
                cells[at].number_format = "yyyy/m/d"  # type: ignore[attr-defined]
        sheet.append(cells)
    sheet.append([""] * len(headings))
    draft = path.with_name(path.name + ".draft")
    book.save(draft)
    _fix_times(draft, path)
    draft.unlink()


def _fix_times(draft: Path, path: Path) -> None:
    with zipfile.ZipFile(draft) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with old.open(name) as source, new.open(entry, "w", force_zip64=True) as target:
                if name == "docProps/core.xml":
                    target.write(re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2026-01-01T00:00:00Z", source.read()))
                else:
                    while block := source.read(1 << 16):
                        target.write(block)
