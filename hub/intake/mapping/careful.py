"""The exact way from the cells of a row to its fields: every fault is found and put into words.

``hub.intake.mapping.together`` reads whole batches sooner, and leaves to this whatever it has a doubt of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.domain.characters import mask
from hub.domain.publicity import NONPUBLIC_REASON, lacks_reason
from hub.intake.mapping.codes import CheckDigit, is_nothing, read_certificate, read_code
from hub.intake.mapping.columns import Columns
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import SHEET_ERRORS, ValueFault
from hub.intake.mapping.rules import Rules, identity
from hub.intake.mapping.words import Words
from hub.intake.rows import Place, Problem, Row, RowFault

#: ="0123" is how exports keep a leading zero: a text, written as a formula.
_GUARDED = re.compile(r'^="([^"]*)"$')


@dataclass(slots=True)
class _Findings:
    """Problems and warnings of one row while it is read."""

    problems: list[Problem]
    warnings: list[Problem]
    unread_code: str | None = None


class CarefulReader:
    """Reads one row at a time. ``asks_register`` and ``check_digit`` are the source's, ``width`` is how many columns
    there are at least."""

    def __init__(
        self, columns: Columns, rules: Rules, words: Words, width: int, check_digit: CheckDigit, *, asks_register: bool
    ) -> None:
        self._columns, self._rules, self._words = columns, rules, words
        self._width = width
        self._check_digit: CheckDigit = check_digit
        self._asks_register = asks_register
        self._base = columns.base
        self._text_at = {code.at for code in columns.codes} | {at for group in columns.groups for at in group.places}
        self._natives = {
            at: [cell for cell in columns.cells if cell.at == at] for at in {cell.at for cell in columns.cells}
        }

    def read_texts(self, raw: list[str], place: Place) -> Row | RowFault | None:
        """A row of a file; ``None`` for what is no data (blank, totals, a repeated heading)."""
        cells = [cell.strip() for cell in raw]
        if len(cells) < self._width:
            cells += [""] * (self._width - len(cells))
        has_formula = "=" in "".join([cell[:1] for cell in cells])
        if has_formula:
            cells = [_GUARDED.sub(r"\1", cell).strip() for cell in cells]
        return self._read(cells, self._base.copy(), None, raw, place, has_formula=has_formula)

    def read_values(self, raw: Sequence[Any], place: Place) -> Row | RowFault:
        """A row of a table: what has a type is read as what it is, never by way of a text."""
        value = self._base.copy()
        cells: list[str] = []
        typed: set[int] = set()
        findings: _Findings | None = None
        for at, content in enumerate(raw):
            if type(content) is str:
                cells.append(content.strip())
            elif content is None:
                cells.append("")
            elif (natives := self._natives.get(at)) is not None:
                is_fault = type(content) is ValueFault
                cells.append(as_text(content) if at in self._text_at and not is_fault else "")
                typed.add(at)
                for cell in natives:
                    try:
                        if is_fault:
                            raise content
                        value[cell.field] = cell.native(content)
                    except ValueFault as fault:
                        findings = findings or _Findings([], [])
                        text = "" if fault is content else as_text(content)
                        findings.problems.append(self._words.problem(fault, cell.column, cell.field, text))
            elif type(content) is ValueFault:
                cells.append("")
                heading = self._words.heading(at)
                if heading is not None:
                    findings = findings or _Findings([], [])
                    findings.problems.append(self._words.problem(content, heading, "", ""))
            else:
                cells.append(as_text(content))
        found = self._read(cells, value, findings, raw, place, is_file=False, typed=typed)
        assert found is not None, "a row of a table is data"
        return found

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
        typed: frozenset[int] | set[int] = frozenset(),
    ) -> Row | RowFault | None:
        rules, mapping, words = self._rules, self._rules.mapping, self._words
        for index, field, parse, column, *_ in self._columns.cells:
            text = cells[index]
            if text and index not in typed:
                try:
                    value[field] = parse(text)
                except ValueFault as fault:
                    if is_nothing(text):
                        continue
                    findings = findings or _Findings([], [])
                    findings.problems.append(words.problem(fault, column, field, text))
        findings = self._read_codes(cells, value, findings)
        for group in self._columns.groups:
            try:
                warning = group.read(cells, value)
            except ValueFault as fault:
                findings = findings or _Findings([], [])
                findings.problems.append(words.problem(fault, group.column, group.field, cells[group.index]))
            else:
                if warning:
                    findings = findings or _Findings([], [])
                    findings.warnings.append(Problem(warning[0], group.column, group.field, None, *warning[1:]))
        rules.fill_late(value)
        problems = findings.problems if findings else []
        for field, name in self._columns.required:
            if value.get(field) is None and not any(problem.field == field for problem in problems):
                problems.append(Problem("required", name, field, None, f"“{name}”为空", "此列必须填写"))
        if rules.settle_party(value):
            findings = findings or _Findings([], [])
            findings.warnings.append(words.party_is_unknown())
        for requirement in mapping.requires:
            if value.get(requirement.field) is None and requirement.when.holds(value):
                problems.append(
                    Problem("required", None, requirement.field, None, requirement.problem, requirement.remedy)
                )
        if rules.asks_reason and lacks_reason(value) and NONPUBLIC_REASON not in [each.field for each in problems]:
            problems.append(words.reason_is_missing())
        if not SHEET_ERRORS.isdisjoint(cells):
            problems.extend(words.sheet_errors(cells))
        if has_formula:
            problems.extend(words.formulas(cells))
        natural_key = rules.natural_key(value)
        if natural_key is None:
            for field in rules.key_lack(value):
                if not any(problem.field in rules.key_fields for problem in problems):
                    problems.append(Problem(
                        "required", None, field, None, "缺少识别这一行的编号或名称",
                        "编号（文号）和当事人名称或代码必须填写",
                    ))  # fmt: skip
        if problems or natural_key is None:
            return words.fault(cells, raw, place, problems, is_file=is_file)
        value["record_unique_identity"] = identity(natural_key)
        return Row(
            mapping.kind,
            natural_key,
            rules.state_type(value),
            mapping.events.changed,
            value,
            place,
            tuple(findings.warnings) if findings else (),
            unread_code=findings.unread_code if findings else None,
        )

    def _read_codes(
        self, cells: list[str], value: dict[str, Any], findings: _Findings | None
    ) -> _Findings | None:
        for index, field, wanted, beside, kind_field, column in self._columns.codes:
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
                found = self._words.problem(fault, column, field, text)
                if self.is_for_the_register(field, fault):
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

    def is_for_the_register(self, field: str, fault: ValueFault) -> bool:
        """Whether the register may know who is meant; a number of a person or of another kind stays a fault."""
        return self._asks_register and field == "party_uscc" and fault.code != "code-kind"
