"""A mapping, the headings of one file and the source's settings, made into one function of a row.

A million rows pass here, so everything that is the same for all of them is decided beforehand.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.export_folder.codes import is_nothing, read_certificate, read_code
from connectors.export_folder.columns import Columns
from connectors.export_folder.heading import Heading, heading_form
from connectors.export_folder.parsers import SHEET_ERRORS, ValueFault
from hub.intake import Place, Problem, Row, RowFault, SourceContext, mask, mask_personal

#: More problems of one row than a clerk reads.
_MAX_PROBLEMS = 20
#: ``record_unique_identity`` holds 100 characters; longer natural keys end in their digest.
_IDENTITY_LENGTH = 100

_GUARDED = re.compile(r'^="([^"]*)"$')

Convert = Callable[[list[str], Place], "Row | RowFault | None"]


@dataclass(slots=True)
class _Findings:
    """Problems and warnings of one row while it is read."""

    problems: list[Problem]
    warnings: list[Problem]


def compile_mapping(heading: Heading, context: SourceContext) -> Convert:
    """The function that turns the cells of a row into a ``Row``, a ``RowFault``, or ``None`` for
    what is no data (blank, totals, a repeated heading).

    :raises ContractError: when the mapping names what schema or code lists do not have.
    """
    return _Compiled(heading, context).convert


class _Compiled:
    def __init__(self, heading: Heading, context: SourceContext) -> None:
        self._mapping = mapping = heading.mapping
        self._check_digit = context.config.check_digit
        self._written = heading.written
        columns = Columns(heading, context)
        self._cells = columns.cells
        self._codes = columns.codes
        self._groups = columns.groups
        self._required = columns.required
        self._late_defaults = columns.late_defaults
        self._base = columns.base
        self._sensitive = columns.sensitive
        self._width = max(heading.columns.values(), default=0) + 1
        self._footers = tuple(mapping.footers)
        self._heading_forms = {index: heading_form(text) for index, text in heading.written.items()}
        self._key = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in mapping.natural_key]
        self._key_fields = frozenset(name for names in self._key for name in names)

    # The row path: everything below runs once for each row.

    def convert(self, raw: list[str], place: Place) -> Row | RowFault | None:
        cells = [cell.strip() for cell in raw]
        if len(cells) < self._width:
            cells += [""] * (self._width - len(cells))
        has_formula = "=" in "".join([cell[:1] for cell in cells])
        if has_formula:
            # ="0123" is how exports keep a leading zero: a text, written as a formula.
            cells = [_GUARDED.sub(r"\1", cell).strip() for cell in cells]
        value = self._base.copy()
        findings: _Findings | None = None
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
            return self._fault(cells, raw, place, problems)
        value["record_unique_identity"] = _identity(natural_key)
        return Row(
            self._mapping.kind,
            natural_key,
            self._state_type(value),
            self._mapping.events.changed,
            value,
            place,
            tuple(findings.warnings) if findings else (),
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
                findings.problems.append(self._problem(fault, column, field, text))
                continue
            target = beside if beside and reading.kind == "registration" else field
            value[target] = reading.code
            if reading.warning:
                findings = findings or _Findings([], [])
                code, problem, remedy = reading.warning
                shown = mask(text) if wanted == "certificate" else text[:100]
                findings.warnings.append(Problem(code, column, field, shown, problem, remedy))
        return findings

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
            mask_personal(text[:100]),
            mask_personal(fault.problem[:300]),
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
                mask_personal(cell[:100]),
                "单元格内容以等号开头，是公式",
                "请粘贴为数值后重新提交",
            )
            for index, cell in enumerate(cells)
            if cell.startswith("=") and index in self._written
        ]

    def _fault(
        self, cells: list[str], raw: list[str], place: Place, problems: list[Problem]
    ) -> RowFault | None:
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


def row_digest(cells: list[str]) -> str:
    """Identity of a row's content as it stood, 16 hex."""
    return hashlib.blake2b("\x1f".join(cells).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _identity(natural_key: str) -> str:
    if len(natural_key) <= _IDENTITY_LENGTH:
        return natural_key
    digest = hashlib.blake2b(natural_key.encode(), digest_size=16).hexdigest()
    return f"{natural_key[: _IDENTITY_LENGTH - 33]}~{digest}"


def broken_row_fault(problem: str, remedy: str, text: str, place: Place) -> RowFault:
    """The fault of a line that could not be cut into cells."""
    return RowFault(
        place, (Problem("quote", None, None, mask_personal(text[:100]), problem, remedy),), row_digest([text])
    )
