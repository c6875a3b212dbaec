"""What a clerk is told of a row that cannot be taken, or is taken with a warning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from hub.domain.characters import mask, shorten_personal
from hub.domain.publicity import NONPUBLIC_REASON, PROBLEM, remedy
from hub.intake.mapping.columns import Columns
from hub.intake.mapping.layout import Layout, heading_form
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import SHEET_ERRORS, ValueFault
from hub.intake.rows import Place, Problem, RowFault

#: More problems of one row than a clerk reads.
_MAX_PROBLEMS = 20


class Words:
    """Problems of the rows of one table, with the headings as they are written there; masked columns keep their
    values to themselves."""

    def __init__(self, layout: Layout, columns: Columns) -> None:
        self._written = layout.written
        self._sensitive = columns.sensitive
        self._footers = tuple(layout.mapping.footers)
        headings = {column.field: column.heading for column in layout.mapping.columns}
        self._kind_heading, self._reason_heading = headings.get("party_kind"), headings.get(NONPUBLIC_REASON)
        self._heading_forms = {index: heading_form(text) for index, text in layout.written.items()}

    def heading(self, at: int) -> str | None:
        """The heading of a column as it is written, if it has one."""
        return self._written.get(at)

    def problem(self, fault: ValueFault, column: str, field: str, text: str) -> Problem:
        if column in self._sensitive:
            # The words of a fault may repeat the value; a masked column gets them without it.
            return Problem(
                fault.code,
                column,
                field,
                mask(text[:100]),
                fault.problem.replace(text, mask(text)),
                fault.remedy,
            )
        if field in ("party_uscc", "party_registration_number") and fault.code != "code-kind":
            return Problem(fault.code, column, field, text[:100], fault.problem, fault.remedy)
        return Problem(
            fault.code,
            column,
            field,
            shorten_personal(text, 100),
            shorten_personal(fault.problem, 300),
            fault.remedy,
        )

    def party_is_unknown(self) -> Problem:
        """The warning that a row with a name alone is taken for one about a natural person."""
        what = "是企业或个体工商户的，请填写统一社会信用代码或注册号"
        if self._kind_heading is not None:
            what += f"，或在“{self._kind_heading}”列写明类别"
        return Problem(
            "party-kind", None, "party_kind", None, "没有代码，也没有写明当事人类别，按自然人处理：名称对外公示时隐去",
            what,
        )  # fmt: skip

    def reason_is_missing(self) -> Problem:
        """The problem that a row is kept from the public without a reason."""
        return Problem("required", None, NONPUBLIC_REASON, None, PROBLEM, remedy(self._reason_heading))

    def sheet_errors(self, cells: list[str]) -> list[Problem]:
        return [
            Problem(
                "sheet-error",
                self._written[index],
                None,
                cell,
                f"单元格是错误值 {cell}",
                "请改正公式或数据后重新填写",
            )
            for index, cell in enumerate(cells)
            if cell in SHEET_ERRORS and index in self._written
        ]

    def formulas(self, cells: list[str]) -> list[Problem]:
        return [
            Problem(
                "formula",
                self._written[index],
                None,
                shorten_personal(cell, 100),
                "单元格内容以等号开头，是公式",
                "请粘贴为数值后重新提交",
            )
            for index, cell in enumerate(cells)
            if cell.startswith("=") and index in self._written
        ]

    def fault(
        self, cells: list[str], raw: Sequence[Any], place: Place, problems: list[Problem], *, is_file: bool
    ) -> RowFault | None:
        if not is_file:
            # A table has no titles and totals: what is not empty is a row.
            return RowFault(place, tuple(problems[:_MAX_PROBLEMS]), row_digest(raw))
        filled = [index for index, cell in enumerate(cells) if cell]
        if not filled:
            return None
        if len(filled) <= 4 and cells[filled[0]].startswith(self._footers):
            return None
        if sum(self._heading_forms.get(index) == heading_form(cells[index]) for index in filled) * 2 > len(
            filled
        ):
            return None
        return RowFault(place, tuple(problems[:_MAX_PROBLEMS]), row_digest(raw))


def row_digest(cells: Sequence[Any]) -> str:
    """Identity of a row's content as it stood, 16 hex."""
    return hashlib.blake2b("\x1f".join(map(as_text, cells)).encode("utf-8", "replace"), digest_size=8).hexdigest()


def broken_row_fault(problem: str, remedy: str, text: str, place: Place) -> RowFault:
    """The fault of a line that could not be cut into cells."""
    return RowFault(
        place, (Problem("quote", None, None, shorten_personal(text, 100), problem, remedy),), row_digest([text])
    )
