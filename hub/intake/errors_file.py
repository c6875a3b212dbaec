"""The list of problems that goes back to the sender, beside the file: row, column, value, what is
wrong, what would be right.

ID numbers and phones are masked here too: row and column are enough to find the cell, and the list
travels by mail more often than the file.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from hub.intake.rows import LoggedProblem

HEADINGS = ("行号", "工作表", "列名", "内容", "问题", "应为", "处理", "问题代码")
_WIDTHS = (8, 14, 24, 28, 44, 50, 18, 16)
#: Excel shows 1,048,576 rows; a longer list is written as CSV.
_MAX_SHEET_ROWS = 1_000_000
#: Characters that make a spreadsheet take a text for a formula.
#: Excel takes their full-width twins for the same, and looks behind blanks.
_FORMULA_STARTS = tuple("=+-@＝＋－＠")


def write_errors(target: Path, problems: Iterable[LoggedProblem], form: str, count: int) -> Path | None:
    """Writes ``<target>.errors.xlsx`` (or ``.csv``) whole or not at all; ``None`` if there are none.

    ``count`` is an upper bound of the number of problems. Memory does not grow with it.
    """
    if not count:
        return None
    if form == "xlsx" and count <= _MAX_SHEET_ROWS:
        path = target.with_name(target.name + ".errors.xlsx")
        temporary = path.with_name(f".{path.name}.tmp")
        _write_xlsx(temporary, problems)
    else:
        path = target.with_name(target.name + ".errors.csv")
        temporary = path.with_name(f".{path.name}.tmp")
        _write_csv(temporary, problems)
    os.replace(temporary, path)
    return path


def _line(entry: LoggedProblem) -> tuple[Any, ...]:
    problem = entry.problem
    verdict = "未接收，改正后请重新提交" if entry.is_rejected else "已接收，请核对"
    return (
        entry.place.row,
        entry.place.sheet or "",
        problem.column or "",
        problem.value or "",
        problem.problem,
        problem.remedy,
        verdict,
        problem.code,
    )


def _write_xlsx(path: Path, problems: Iterable[LoggedProblem]) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("问题清单")
    for number, width in enumerate(_WIDTHS):
        sheet.column_dimensions["ABCDEFGH"[number]].width = width
    sheet.freeze_panes = "A2"

    def text(value: str, font: Font | None = None) -> Any:
        cell = WriteOnlyCell(sheet, value="".join(c for c in value if c >= " " or c in "\n\t"))
        cell.data_type = "s"  # never a formula, whatever the department's file said
        if font:
            cell.font = font
        return cell

    sheet.append([text(heading, Font(bold=True)) for heading in HEADINGS])
    for entry in problems:
        sheet.append([text(value) if isinstance(value, str) else value for value in _line(entry)])
    book.save(path)


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and no terminal for a command."""
    text = "".join(c for c in text if c >= " " or c in "\n\t")
    return "'" + text if text.lstrip("\ufeff \t\n\u00a0\u3000").startswith(_FORMULA_STARTS) else text


def _write_csv(path: Path, problems: Iterable[LoggedProblem]) -> None:
    # The byte order mark makes Excel read it as UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for entry in problems:
            writer.writerow(
                [
                    _harmless(value) if isinstance(value, str) else value for value in _line(entry)
                ]
            )
