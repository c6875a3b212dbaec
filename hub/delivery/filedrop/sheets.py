"""Tables that a clerk opens: XLSX, or CSV that Excel reads. A cell never is a formula, whatever it holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

#: What makes a spreadsheet take a text for a formula, also in the width that Chinese keyboards type.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # fmt: skip
#: Excel refuses a workbook with a longer one.
MAX_CELL = 32_767
_MAX_TITLE, _WIDTH, _WIDEST = 31, 16, 48
_NOT_IN_TITLES = str.maketrans("", "", "[]:*?/\\'")


class Sheet(NamedTuple):
    """One table. ``slug`` names its file where each table is one."""

    title: str
    slug: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str | int]]


def clean(text: str) -> str:
    """``text`` without what XML cannot hold, and no longer than a cell."""
    kept = "".join(c for c in text if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe"))
    return kept if len(kept) <= MAX_CELL else kept[: MAX_CELL - 1] + "…"


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might compute ``text`` where it is not told that it is text."""
    return text.lstrip(" \u3000").startswith(_FORMULA_STARTS) or text.startswith(_FORMULA_STARTS)


def write_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """A workbook of the sheets; all texts are texts."""
    book = Workbook(write_only=True)
    taken: set[str] = set()
    for sheet in sheets:
        page = book.create_sheet(_title(sheet.title, taken))
        page.freeze_panes = "A2"
        for number, heading in enumerate(sheet.headings):
            letter = _letters(number)
            page.column_dimensions[letter].width = min(_WIDEST, max(_WIDTH, 2 * len(heading)))
        page.append([_cell(page, heading, is_bold=True) for heading in sheet.headings])
        for row in sheet.rows:
            page.append([_cell(page, value) if isinstance(value, str) else value for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write_csv(sheet: Sheet) -> bytes:
    """UTF-8; its mark in front makes Excel read it as such. What would be a formula has an apostrophe in front."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in (sheet.headings, *sheet.rows):
        writer.writerow([_harmless(value) if isinstance(value, str) else value for value in row])
    return out.getvalue().encode("utf-8-sig")


def _harmless(text: str) -> str:
    text = clean(text)
    return f"'{text}" if is_formula(text) else text


def _cell(page: Any, text: str, is_bold: bool = False) -> Any:
    cell: Any = WriteOnlyCell(page, value=clean(text))
    cell.data_type = "s"  # openpyxl would take one that begins with = for a formula
    cell.number_format = "@"
    if is_formula(text):
        cell.quotePrefix = True  # stays text also when somebody edits it
    if is_bold:
        cell.font = Font(bold=True)
    return cell


def _title(wanted: str, taken: set[str]) -> str:
    """A title that Excel takes and no other sheet has."""
    base = clean(wanted).translate(_NOT_IN_TITLES).strip() or "表"
    title, number = base[:_MAX_TITLE], 2
    while title in taken:
        title, number = f"{base[: _MAX_TITLE - 4]} {number}", number + 1
    taken.add(title)
    return title


def _letters(number: int) -> str:
    """``A`` for 0, ``AA`` for 26."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
