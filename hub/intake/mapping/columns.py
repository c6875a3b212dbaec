"""The columns of a mapping, seen in one file or table: where each stands and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hub.domain.publicity import can_be_kept_back
from hub.errors import ContractError
from hub.intake.column import Whole
from hub.intake.mapping.group import CompiledGroup
from hub.intake.mapping.layout import Layout
from hub.intake.mapping.model import Also, Column, RowMapping
from hub.intake.mapping.natives import Native, native_reader
from hub.intake.mapping.parsers import (
    Parser,
    amount_parser,
    boolean_parser,
    code_list_parser,
    code_parser,
    compact,
    date_parser,
    number_parser,
    parse_phone,
    text_list_parser,
    text_parser,
)
from hub.intake.mapping.wholes import whole_numbers, whole_texts
from hub.intake.sources import SourceContext

_CODE_KINDS = {"uscc": "uscc", "registration": "registration", "uscc-or-registration": "uscc|registration"}
_WHOLES = {"text": whole_texts, "number": whole_numbers}
#: What a mapping may take over from the source's configuration.
_OF_THE_SOURCE = ("department_name", "department_code", "region_code")


class Cell(NamedTuple):
    """A column that is read by a plain parser: where, into what; ``native`` takes what is no text, ``whole`` a
    column of texts at once."""

    at: int
    field: str
    parse: Parser
    column: str
    native: Native
    whole: Whole | None = None


class Code(NamedTuple):
    """A column that holds the code of a party or person."""

    at: int
    field: str
    wanted: str
    beside: str | None
    kind_field: str | None
    column: str


def check_mapping(mapping: RowMapping, context: SourceContext) -> None:
    """Raises ``ContractError`` naming every field that the schema lacks or that nothing fills."""
    rules = context.fields(mapping.schema_name)
    removed = set(mapping.events.removed.set) if mapping.events.removed else set()
    unknown = sorted((mapping.filled_fields | removed) - set(rules))
    given = mapping.filled_fields | {
        "record_unique_identity",
        "region_code",
        "department_code",
        "department_name",
        "party_kind",
    }
    unfilled = sorted(name for name, rule in rules.items() if name not in given and not rule.has_default)
    faults = [f"schema {mapping.schema_name} has no field {name}" for name in unknown]
    faults += [f"nothing fills the field {name}" for name in unfilled]
    if faults:
        raise ContractError(f"mapping {mapping.kind}: " + "; ".join(faults))


class Columns:
    """Plans for the row path: ``cells`` are read by plain parsers, ``codes`` and ``groups`` behind
    them, ``late_defaults`` (field, other field) then fill what is still empty; ``required`` are
    (field, heading). ``base`` is what a row starts with. Values of ``sensitive`` columns (headings as
    written) are never repeated in words. ``can_be_kept_back`` says whether the schema's records may be kept from the
    public with a reason.

    :raises ContractError: when the mapping names what schema or code lists do not have.
    """

    def __init__(self, layout: Layout, context: SourceContext) -> None:
        self._mapping = mapping = layout.mapping
        self._context = context
        check_mapping(mapping, context)
        self._rules = context.fields(mapping.schema_name)
        self.can_be_kept_back = can_be_kept_back(self._rules)
        self._written = layout.written
        self._is_1904 = layout.is_1904
        self.cells: list[Cell] = []
        self.codes: list[Code] = []
        self.required: list[tuple[str, str]] = []
        self.late_defaults: list[tuple[str, str]] = []
        self.base: dict[str, Any] = self._constants()
        for column in mapping.columns:
            self._add(column, layout.columns)
        self.groups = [
            CompiledGroup(group, layout.columns, layout.written, context.config.check_digit)
            for group in mapping.groups
        ]
        self.sensitive = self._sensitive_columns(layout)

    def _constants(self) -> dict[str, Any]:
        config = self._context.config
        base: dict[str, Any] = {
            "record_unique_identity": None,
            "region_code": config.region_code,
            "department_code": config.department_code,
            "department_name": config.department_name,
            "party_kind": None,
        }
        base.update({name: self._resolve(value) for name, value in self._mapping.constants.items()})
        return base

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            if value[1:] not in _OF_THE_SOURCE:
                raise ContractError(f"mapping {self._mapping.kind}: {value} is nothing of the source")
            return getattr(self._context.config, value[1:])
        return value

    def _add(self, column: Column, found: Mapping[str, int]) -> None:
        name = next(
            (name for name in (column.heading, *column.aliases, *column.readings) if name in found), None
        )
        if column.default is not None:
            self.base[column.field] = self._resolve(column.default)
        elif column.default_field:
            self.late_defaults.append((column.field, column.default_field))
        if column.required:
            self.required.append((column.field, column.heading))
        if name is None:
            return
        parser = column.readings.get(name, column.parser)
        index, written = found[name], self._written[found[name]]
        if parser in _CODE_KINDS or parser == "certificate":
            self.codes.append(
                Code(
                    index,
                    column.field,
                    _CODE_KINDS.get(parser, parser),
                    column.beside,
                    column.certificate_kind,
                    written,
                )
            )
        else:
            self._add_cell(index, column, column.field, parser, written)
        for also in column.also:
            self._add_cell(index, also, also.field, also.parser, written)

    def _add_cell(self, index: int, column: Column | Also, field: str, parser: str, written: str) -> None:
        parse = self._parser(column, field, parser)
        make = _WHOLES.get(parser)
        whole = make(self._rules[field].max_length) if make is not None else None
        self.cells.append(Cell(index, field, parse, written, native_reader(parser, parse), whole))

    def _parser(self, column: Column | Also, field: str, parser: str) -> Parser:
        rule = self._rules[field]
        if parser == "text":
            return text_parser(rule.max_length)
        if parser == "number":
            return number_parser(rule.max_length)
        if parser == "date":
            return date_parser(self._is_1904)
        if parser in ("amount-wan", "amount-yuan"):
            return amount_parser(parser.removeprefix("amount-"))
        if parser == "boolean":
            return boolean_parser()
        if parser == "phone":
            return parse_phone
        separators = column.separators if isinstance(column, Column) else "、；;,，"
        if parser == "text-list":
            return text_list_parser(separators)
        known = self._context.codes(column.code_list) if column.code_list else rule.codes
        if known is None and not column.codes:
            raise ContractError(f"mapping {self._mapping.kind}: field {field} has no code list")
        table = {compact(text): code for text, code in (*(known or {}).items(), *column.codes.items())}
        return code_list_parser(table, separators) if parser == "code-list" else code_parser(table)

    def _sensitive_columns(self, layout: Layout) -> frozenset[str]:
        """Headings whose values are never repeated in a problem's text."""
        sensitive = {cell.column for cell in self.cells if self._rules[cell.field].is_masked}
        sensitive |= {code.column for code in self.codes if code.wanted == "certificate"}
        for group in self._mapping.groups:
            for member in group.members.values():
                if member.parser == "certificate" and member.heading in layout.columns:
                    sensitive.add(layout.written[layout.columns[member.heading]])
        return frozenset(sensitive)
