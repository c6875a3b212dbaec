"""A mapping, the columns of one file or table and the source's settings, made into a reader of rows.

A million rows pass here, so everything that is the same for all of them is decided beforehand.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hub.domain.characters import mask, shorten_personal
from hub.intake.mapping.codes import is_nothing, read_certificate, read_code
from hub.intake.mapping.columns import Columns
from hub.intake.mapping.layout import Layout, heading_form
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import SHEET_ERRORS, ValueFault
from hub.intake.rows import Place, Problem, Row, RowFault
from hub.intake.sources import SourceContext

#: More problems of one row than a clerk reads.
_MAX_PROBLEMS = 20
#: ``record_unique_identity`` holds 100 characters; longer natural keys end in their digest.
_IDENTITY_LENGTH = 100

_GUARDED = re.compile(r'^="([^"]*)"$')

@dataclass(slots=True)
class _Findings:
    """Problems and warnings of one row while it is read."""

    problems: list[Problem]
    warnings: list[Problem]
    unread_code: str | None = None


class RowReader:
    """Turns the cells of a row into a ``Row``, a ``RowFault``, or ``None`` for what is no data (blank,
    totals, a repeated heading).

    ``read_texts`` is for files, whose cells are text; ``read_values`` for systems that know types.
    Used by one thread.

    :raises ContractError: when the mapping names what schema or code lists do not have.
    """

    def __init__(self, layout: Layout, context: SourceContext) -> None:
        self._mapping = mapping = layout.mapping
        self._check_digit = context.config.check_digit
        self._asks_register = context.config.identity == "register"
        self._written = layout.written
        columns = Columns(layout, context)
        self._cells = [(cell.at, cell.field, cell.parse, cell.column) for cell in columns.cells]
        self._codes = columns.codes
        self._plan = [(cell.at, cell.field, cell.parse, cell.native) for cell in columns.cells]
        self._text_at = sorted(
            {code.at for code in columns.codes} | {at for group in columns.groups for at in group.places}
        )
        self._natives = {
            at: [cell for cell in columns.cells if cell.at == at] for at in {cell.at for cell in columns.cells}
        }
        self._groups = columns.groups
        self._required = columns.required
        self._late_defaults = columns.late_defaults
        self._base = columns.base
        key_fields = mapping.key_fields
        self._key_codes = [
            code for code in columns.codes if code.field in key_fields or code.beside in key_fields
        ]
        self._sensitive = columns.sensitive
        self._width = max(layout.columns.values(), default=0) + 1
        self._blank = [""] * self._width
        self._footers = tuple(mapping.footers)
        self._heading_forms = {index: heading_form(text) for index, text in layout.written.items()}
        self._key = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in mapping.natural_key]
        self._key_fields = key_fields
        self._removal = mapping.events.removed

    # The row path: everything below runs once for each row.

    def read_texts(self, raw: list[str], place: Place) -> Row | RowFault | None:
        """A row of a file."""
        cells = [cell.strip() for cell in raw]
        if len(cells) < self._width:
            cells += [""] * (self._width - len(cells))
        has_formula = "=" in "".join([cell[:1] for cell in cells])
        if has_formula:
            # ="0123" is how exports keep a leading zero: a text, written as a formula.
            cells = [_GUARDED.sub(r"\1", cell).strip() for cell in cells]
        return self._read(cells, self._base.copy(), None, raw, place, has_formula=has_formula)

    def read_values(self, raw: Sequence[Any], place: Place, *, removed_on: date | None = None) -> Row | RowFault:
        """A row of a table: texts, numbers, dates, ``None``. A cell that could not be read from its
        system is the ``ValueFault`` that says so. ``removed_on`` is the day on which the row was missed,
        for one that its system has no more (only where the mapping has ``events.removed``)."""
        found: Row | RowFault | None = self._read_quickly(raw, place)
        if found is None:
            found = self._read_carefully(raw, place)
        if removed_on is None or type(found) is not Row:
            return found
        return self._removed(found, removed_on)

    def _read_quickly(self, raw: Sequence[Any], place: Place) -> Row | None:
        """The row, if all of it is as it should be: nothing is kept for a fault. ``None`` for any doubt."""
        value = self._base.copy()
        cells = self._blank.copy()
        try:
            for at, field, parse, native in self._plan:
                content = raw[at]
                if content.__class__ is str:
                    if text := content.strip():
                        if text[0] == "#" and text in SHEET_ERRORS:
                            return None
                        value[field] = parse(text)
                elif content is not None:
                    if content.__class__ is ValueFault:
                        return None
                    value[field] = native(content)
            for at in self._text_at:
                content = raw[at]
                if content is not None:
                    if content.__class__ is ValueFault:
                        return None
                    cells[at] = content.strip() if content.__class__ is str else as_text(content)
            findings = self._read_codes(cells, value, None)
            if findings is not None:
                return None
            for group in self._groups:
                if group.read(cells, value):
                    return None
        except ValueFault:
            return None
        for field, other in self._late_defaults:
            if value.get(field) is None and other in value:
                value[field] = value[other]
        for field, _ in self._required:
            if value.get(field) is None:
                return None
        self._settle_party(value)
        for requirement in self._mapping.requires:
            if value.get(requirement.field) is None and requirement.when.holds(value):
                return None
        problems: list[Problem] = []
        natural_key = self._natural_key(value, problems)
        if problems:
            return None
        value["record_unique_identity"] = _identity(natural_key)
        state, amended = self._state_type(value), self._mapping.events.changed
        return Row(self._mapping.kind, natural_key, state, amended, value, place)

    def _read_carefully(self, raw: Sequence[Any], place: Place) -> Row | RowFault:
        value = self._base.copy()
        cells: list[str] = []
        findings: _Findings | None = None
        for at, content in enumerate(raw):
            if type(content) is str:
                cells.append(content.strip())
            elif content is None:
                cells.append("")
            elif (natives := self._natives.get(at)) is not None:
                cells.append("")
                for cell in natives:
                    try:
                        if type(content) is ValueFault:
                            raise content
                        value[cell.field] = cell.native(content)
                    except ValueFault as fault:
                        findings = findings or _Findings([], [])
                        text = "" if fault is content else as_text(content)
                        findings.problems.append(self._problem(fault, cell.column, cell.field, text))
            elif type(content) is ValueFault:
                cells.append("")
                if at in self._written:
                    findings = findings or _Findings([], [])
                    findings.problems.append(self._problem(content, self._written[at], "", ""))
            else:
                cells.append(as_text(content))
        found = self._read(cells, value, findings, raw, place, is_file=False)
        assert found is not None, "a row of a table is data"
        return found

    def natural_key(self, raw: Sequence[Any]) -> str | None:
        """By what a row of a table is known, worked out from the columns behind it alone; ``None`` where
        they cannot be read. The same as the key of its ``Row``."""
        value = self._base.copy()
        try:
            for at, cells in self._natives.items():
                content = raw[at]
                for cell in cells:
                    if cell.field not in self._key_fields or content is None:
                        continue
                    if type(content) is ValueFault:
                        return None
                    if type(content) is not str:
                        value[cell.field] = cell.native(content)
                    elif text := content.strip():
                        try:
                            value[cell.field] = cell.parse(text)
                        except ValueFault:
                            if not is_nothing(text):
                                raise
            if any(type(raw[code.at]) is ValueFault for code in self._key_codes):
                return None
            for code in self._key_codes:
                text = as_text(raw[code.at])
                if text and not is_nothing(text) and code.wanted != "certificate":
                    try:
                        reading = read_code(text, code.wanted, self._check_digit)
                    except ValueFault as fault:
                        if self._is_for_the_register(code.field, fault):
                            continue
                        raise
                    target = code.beside if code.beside and reading.kind == "registration" else code.field
                    value[target] = reading.code
                elif text and not is_nothing(text):
                    kind = value.get(code.kind_field) if code.kind_field else None
                    value[code.field] = read_certificate(text, kind, self._check_digit).code
        except ValueFault:
            return None
        for field, other in self._late_defaults:
            if value.get(field) is None and other in value:
                value[field] = value[other]
        problems: list[Problem] = []
        natural_key = self._natural_key(value, problems)
        return None if problems else natural_key

    def _removed(self, row: Row, day: date) -> Row:
        removal = self._removal
        assert removal is not None, "the mapping says nothing of removed rows"
        value = dict(row.value)
        for field, content in removal.set.items():
            value[field] = day if content == "$read_date" else content
        return row._replace(
            value=value, state_type=removal.type, amended_type=removal.type, is_removed=True, warnings=()
        )

    def _read(
        self,
        cells: list[str],
        value: dict[str, Any],
        findings: _Findings | None,
        raw: Sequence[Any],
        place: Place,
        *,
        has_formula: bool = False,
        is_file: bool = True,
    ) -> Row | RowFault | None:
        for index, field, parse, column in self._cells:
            text = cells[index]
            if text:
                try:
                    value[field] = parse(text)
                except ValueFault as fault:
                    if is_nothing(text):
                        continue
                    findings = findings or _Findings([], [])
                    findings.problems.append(self._problem(fault, column, field, text))
        findings = self._read_codes(cells, value, findings)
        for group in self._groups:
            try:
                warning = group.read(cells, value)
            except ValueFault as fault:
                findings = findings or _Findings([], [])
                findings.problems.append(self._problem(fault, group.column, group.field, cells[group.index]))
            else:
                if warning:
                    findings = findings or _Findings([], [])
                    findings.warnings.append(
                        Problem(warning[0], group.column, group.field, None, *warning[1:])
                    )
        for field, other in self._late_defaults:
            if value.get(field) is None and other in value:
                value[field] = value[other]
        problems = findings.problems if findings else []
        for field, name in self._required:
            if value.get(field) is None and not any(problem.field == field for problem in problems):
                problems.append(Problem("required", name, field, None, f"“{name}”为空", "此列必须填写"))
        self._settle_party(value)
        for requirement in self._mapping.requires:
            if value.get(requirement.field) is None and requirement.when.holds(value):
                problems.append(
                    Problem(
                        "required", None, requirement.field, None, requirement.problem, requirement.remedy
                    )
                )
        if not SHEET_ERRORS.isdisjoint(cells):
            problems.extend(self._sheet_errors(cells))
        if has_formula:
            problems.extend(self._formulas(cells))
        natural_key = self._natural_key(value, problems)
        if problems:
            return self._fault(cells, raw, place, problems, is_file=is_file)
        value["record_unique_identity"] = _identity(natural_key)
        return Row(
            self._mapping.kind,
            natural_key,
            self._state_type(value),
            self._mapping.events.changed,
            value,
            place,
            tuple(findings.warnings) if findings else (),
            unread_code=findings.unread_code if findings else None,
        )

    def _read_codes(
        self, cells: list[str], value: dict[str, Any], findings: _Findings | None
    ) -> _Findings | None:
        for index, field, wanted, beside, kind_field, column in self._codes:
            text = cells[index]
            if not text or is_nothing(text):
                continue
            try:
                if wanted == "certificate":
                    kind = value.get(kind_field) if kind_field else None
                    reading = read_certificate(text, kind, self._check_digit)
                    if kind_field and kind is None and reading.kind == "id-card":
                        value[kind_field] = "01"
                else:
                    reading = read_code(text, wanted, self._check_digit)
            except ValueFault as fault:
                findings = findings or _Findings([], [])
                found = self._problem(fault, column, field, text)
                if self._is_for_the_register(field, fault):
                    findings.unread_code = text[:100]
                    findings.warnings.append(found)
                else:
                    findings.problems.append(found)
                continue
            target = beside if beside and reading.kind == "registration" else field
            value[target] = reading.code
            if reading.warning:
                findings = findings or _Findings([], [])
                code, problem, remedy = reading.warning
                shown = mask(text) if wanted == "certificate" else text[:100]
                findings.warnings.append(Problem(code, column, field, shown, problem, remedy))
        return findings

    def _is_for_the_register(self, field: str, fault: ValueFault) -> bool:
        """Whether the register may know who is meant; a number of a person or of another kind stays a fault."""
        return self._asks_register and field == "party_uscc" and fault.code != "code-kind"

    def _settle_party(self, value: dict[str, Any]) -> None:
        if value["party_kind"] is None:
            party = self._mapping.party
            code = value.get("party_uscc")
            if code:
                value["party_kind"] = party.household if code.startswith("92") else party.organisation
            else:
                value["party_kind"] = party.unknown

    def _state_type(self, value: dict[str, Any]) -> str:
        for state in self._mapping.events.states:
            if state.when.holds(value):
                return state.type
        return self._mapping.events.initial

    def _natural_key(self, value: dict[str, Any], problems: list[Problem]) -> str:
        parts = []
        for names in self._key:
            for name in names:
                found = value.get(name)
                if found is not None:
                    parts.append(str(found))
                    break
            else:
                if not any(problem.field in self._key_fields for problem in problems):
                    problems.append(
                        Problem(
                            "required",
                            None,
                            names[0],
                            None,
                            "缺少识别这一行的编号或名称",
                            "编号（文号）和当事人名称或代码必须填写",
                        )
                    )
        return "|".join(parts)

    def _problem(self, fault: ValueFault, column: str, field: str, text: str) -> Problem:
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

    def _sheet_errors(self, cells: list[str]) -> list[Problem]:
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

    def _formulas(self, cells: list[str]) -> list[Problem]:
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

    def _fault(
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


def _identity(natural_key: str) -> str:
    if len(natural_key) <= _IDENTITY_LENGTH:
        return natural_key
    digest = hashlib.blake2b(natural_key.encode(), digest_size=16).hexdigest()
    return f"{natural_key[: _IDENTITY_LENGTH - 33]}~{digest}"


def broken_row_fault(problem: str, remedy: str, text: str, place: Place) -> RowFault:
    """The fault of a line that could not be cut into cells."""
    return RowFault(
        place, (Problem("quote", None, None, shorten_personal(text, 100), problem, remedy),), row_digest([text])
    )
