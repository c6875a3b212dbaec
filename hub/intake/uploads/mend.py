"""The rows of a file that could not be taken, in the sender's own columns: mended, they are uploaded again as they are.

A workbook whatever the file was: its cells are texts, so that no program makes a formula of them and none shortens a
long number. What is wrong stands behind the columns, under headings that no mapping asks for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font, PatternFill

from hub.intake.rows import LoggedProblem
from hub.intake.uploads.contract import UploadFiles

#: Nothing of a mapping is called so.
HEADINGS = ("提示：原行号", "提示：问题", "提示：应为")
_FILL = PatternFill("solid", fgColor="FDF3DC")
_MOST_TEXT = 32_000


def write_rows(target: Path, files: UploadFiles, source: Path, found: Iterable[LoggedProblem]) -> Path | None:
    """Writes the rejected rows of ``source`` to ``target``, whole or not at all; ``None`` if no row was rejected.

    Raises Refusal where the file cannot be read. Memory grows with the number of rejected rows.
    """
    wrong = _by_row(found)
    if not wrong:
        return None
    book = Workbook(write_only=True)
    sheet = book.create_sheet("需改正的行")
    rows = files.raw_rows(source, wrong)
    heading = next(iter(rows))
    width = len(heading.cells)
    sheet.append([_cell(sheet, text, is_bold=True) for text in (*heading.cells, *HEADINGS)])
    for number, cells in rows:
        told = wrong[number]
        faulty = {each.problem.column for each in told}
        texts = [*cells[:width], *([""] * (width - len(cells)))]
        line = [
            _cell(sheet, text, is_marked=heading.cells[at] in faulty and bool(heading.cells[at]))
            for at, text in enumerate(texts)
        ]
        problems, remedies = ([getattr(each.problem, name) for each in told] for name in ("problem", "remedy"))
        behind = (str(number), *("；".join(dict.fromkeys(said)) for said in (problems, remedies)))
        sheet.append([*line, *(_cell(sheet, text) for text in behind)])
    temporary = target.with_name(f".{target.name}.tmp")
    book.save(temporary)
    os.replace(temporary, target)
    return target


def _by_row(problems: Iterable[LoggedProblem]) -> Mapping[int, list[LoggedProblem]]:
    found: dict[int, list[LoggedProblem]] = {}
    for each in problems:
        if each.is_rejected:
            found.setdefault(each.place.row, []).append(each)
    return found


def _cell(sheet: Any, text: str, *, is_bold: bool = False, is_marked: bool = False) -> Any:
    cell = WriteOnlyCell(sheet, value="".join(c for c in text[:_MOST_TEXT] if c >= " " or c in "\n\t"))
    cell.data_type = "s"  # never a formula, whatever the department's file said
    if is_bold:
        cell.font = Font(bold=True)
    if is_marked:
        cell.fill = _FILL
    return cell
