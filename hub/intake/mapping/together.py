"""A batch of rows at a time, column by column: the quick way for rows that are as they should be.

It does only what ``CarefulReader`` does and knows no words: where a cell, a code or a rule leaves any doubt, the row
is left to the careful way. A test holds both equal over dirty rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, TypeGuard

from hub.domain.publicity import NONPUBLIC_REASON, lacks_reason
from hub.intake.column import DOUBT, Column
from hub.intake.mapping.codes import CheckDigit, is_nothing, read_certificate, read_code
from hub.intake.mapping.columns import Cell, Code, Columns
from hub.intake.mapping.group import CompiledGroup
from hub.intake.mapping.model import Requirement
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import SHEET_ERRORS, ValueFault
from hub.intake.mapping.rules import IDENTITY_LENGTH, Rules, identity
from hub.intake.rows import Place, Row

#: What formulas and errors of spreadsheets begin with.
_MARKS = ("=", "#")
_Make = Callable[[Any], Any]
# Without the call of Python code that a named tuple's own constructor is.
_row = partial(tuple.__new__, Row)


class BatchReader:
    """Reads batches of one table. Used by one thread."""

    def __init__(self, columns: Columns, rules: Rules, check_digit: CheckDigit) -> None:
        self._rules = rules
        self._check_digit: CheckDigit = check_digit
        self._base = columns.base
        self._late_defaults = columns.late_defaults
        self._required = [field for field, _ in columns.required]
        #: Not empty if a column of the batch has a doubt.
        self._doubts: list[None] = []
        self._cells = [(cell.at, cell.field, Column(self._cell(cell), cell.whole)) for cell in columns.cells]
        self._codes = [(code, Column(self._code(code))) for code in columns.codes]
        self._groups = [(group, Column(self._alone(group))) for group in columns.groups]
        self._texts = {
            at: Column(self._text)
            for at in [
                *(code.at for code in columns.codes if code.wanted == "certificate"),
                *(at for group in columns.groups for at in group.places),
            ]
        }
        self._read_at = {
            *(cell.at for cell in columns.cells), *(code.at for code in columns.codes), *self._texts
        }  # fmt: skip
        self._requires = [(rule, Column(_condition(rule))) for rule in rules.mapping.requires]

    def read(self, raws: Sequence[Sequence[Any]], places: Sequence[Place]) -> list[Row | None]:
        """The rows, ``None`` where there is a doubt. ``raws`` are equally long."""
        if not raws:
            return []
        self._doubts.clear()
        columns: list[Sequence[Any]] = list(zip(*raws, strict=True))
        doubtful: set[int] = set()
        found: dict[str, Sequence[Any]] = {field: column(columns[at]) for at, field, column in self._cells}
        for code, column in self._codes:
            self._add_codes(code, column, columns[code.at], found)
        for group, alone in self._groups:
            found[group.field] = self._group(group, alone, columns, len(raws))
        for at, contents in enumerate(columns):
            if at not in self._read_at:
                doubtful.update(_odd(contents))
        if self._doubts:
            for contents in found.values():
                doubtful.update(number for number, content in enumerate(contents) if content is DOUBT)
        return self._rows(found, doubtful, places)

    def _rows(
        self, found: Mapping[str, Sequence[Any]], doubtful: set[int], places: Sequence[Place]
    ) -> list[Row | None]:
        keys = self._keys(found)
        codes = found.get("party_uscc")
        if self._base.get("party_kind", "") is None and "party_kind" not in found and _are_texts(codes):
            found = {**found, "party_kind": self._rules.kinds_of_parties(codes)}
        values, full = self._values(found, len(places), keys)
        self._apply(values, full, doubtful)
        if keys is None:
            keys = []
            for number, value in enumerate(values):
                key = None if number in doubtful else self._rules.natural_key(value)
                if key is None:
                    doubtful.add(number)
                else:
                    value["record_unique_identity"] = identity(key)
                keys.append(key or "")
        mapping, events = self._rules.mapping, self._rules.mapping.events
        states: Iterable[str] = repeat(events.initial)
        if events.states:
            states = ["" if at in doubtful else self._rules.state_type(value) for at, value in enumerate(values)]
        rows: list[Row | None] = list(map(_row, zip(
            repeat(mapping.kind), keys, states, repeat(events.changed), values, places, repeat(()), repeat(False),
            repeat(None),
        )))  # fmt: skip
        for number in doubtful:
            rows[number] = None
        return rows

    def _keys(self, found: Mapping[str, Sequence[Any]]) -> Sequence[str] | None:
        """The natural keys, where they are texts of columns that every row fills."""
        columns = [found.get(names[0], ()) for names in self._rules.key_parts]
        if not columns or not all(map(_are_texts, columns)):
            return None
        keys = columns[0] if len(columns) == 1 else list(map("|".join, zip(*columns, strict=True)))
        return keys if max(map(len, keys)) <= IDENTITY_LENGTH else None

    def _values(
        self, found: Mapping[str, Sequence[Any]], count: int, keys: Sequence[str] | None
    ) -> tuple[list[dict[str, Any]], set[str]]:
        """The fields of each row, and the names of those that are filled in all of them. As on the careful way,
        a field that an empty cell leaves alone is not there at all."""
        columns: dict[str, Iterable[Any]] = {name: repeat(content, count) for name, content in self._base.items()}
        full = {name for name, content in self._base.items() if content is not None}
        sparse: list[str] = []
        for field, contents in found.items():
            if None not in contents:
                columns[field] = contents
                full.add(field)
            elif field in self._base:
                default = self._base[field]
                columns[field] = [default if content is None else content for content in contents]
            elif contents.count(None) < count:
                columns[field] = contents
                sparse.append(field)
        if keys is not None:
            columns["record_unique_identity"] = keys
        names = list(columns)
        values = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for field in sparse:
            for value in values:
                if value[field] is None:
                    del value[field]
        return values, full

    def _apply(self, values: list[dict[str, Any]], full: set[str], doubtful: set[int]) -> None:
        """The rules over fields; where one is not kept there is a doubt."""
        if any(field not in full for field, _ in self._late_defaults):
            for value in values:
                self._rules.fill_late(value)
        for field in self._required:
            if field not in full:
                doubtful.update(number for number, value in enumerate(values) if value.get(field) is None)
        if "party_kind" not in full:
            settle = self._rules.settle_party
            doubtful.update(
                number for number, value in enumerate(values) if number not in doubtful and settle(value)
            )
        if self._rules.asks_reason and NONPUBLIC_REASON not in full:
            doubtful.update(
                number for number, value in enumerate(values) if lacks_reason(value)
            )
        for requirement, condition in self._requires:
            if requirement.field not in full:
                holds = condition([value.get(requirement.when.field) for value in values])
                doubtful.update(
                    number for number, is_held in enumerate(holds)
                    if is_held and values[number].get(requirement.field) is None
                )  # fmt: skip

    # What cells, codes and groups become: values, ``None`` for nothing, or a doubt.

    def _doubt(self) -> Any:
        self._doubts.append(None)
        return DOUBT

    def _cell(self, cell: Cell) -> _Make:
        parse, native, doubt = cell.parse, cell.native, self._doubt

        def make(content: Any) -> Any:
            text = content
            try:
                if content.__class__ is str:
                    text = content.strip()
                    if not text:
                        return None
                    return doubt() if text[0] in _MARKS and _is_odd(text) else parse(text)
                if content is None:
                    return None
                return doubt() if content.__class__ is ValueFault else native(content)
            except ValueFault:
                return None if text.__class__ is str and is_nothing(text) else doubt()

        return make

    def _text(self, content: Any) -> Any:
        if content.__class__ is ValueFault:
            return self._doubt()
        text = as_text(content)
        return self._doubt() if text and text[0] in _MARKS and _is_odd(text) else text

    def _code(self, code: Code) -> _Make:
        """The code, within a tuple if it goes to the field beside its own."""
        wanted, check_digit, is_split = code.wanted, self._check_digit, code.beside is not None

        def make(content: Any) -> Any:
            text = content.strip() if content.__class__ is str else self._text(content)
            if text is DOUBT:
                return DOUBT
            if not text or is_nothing(text):
                return None
            try:
                # What a formula or an error of a spreadsheet begins with is in no code.
                kind, found, warning = read_code(text, wanted, check_digit)
            except ValueFault:
                return self._doubt()
            if warning:
                return self._doubt()
            return (found,) if is_split and kind == "registration" else found

        return make

    def _add_codes(
        self, code: Code, column: Column, contents: Sequence[Any], found: dict[str, Sequence[Any]]
    ) -> None:
        if code.wanted == "certificate":
            self._add_certificates(code, self._texts[code.at](contents), found)
            return
        made = column(contents)
        if code.beside is not None and tuple in set(map(type, made)):
            _put(found, code.field, [None if type(each) is tuple else each for each in made])
            _put(found, code.beside, [each[0] if type(each) is tuple else None for each in made])
        else:
            _put(found, code.field, made)

    def _add_certificates(self, code: Code, texts: Sequence[Any], found: dict[str, Sequence[Any]]) -> None:
        """Numbers whose kind another column says; one that is an ID card's says it itself."""
        kind_field = code.kind_field
        default = self._base.get(kind_field) if kind_field else None
        kinds = list(found.get(kind_field, ()) if kind_field else ()) or [None] * len(texts)
        numbers: list[Any] = []
        for at, text in enumerate(texts):
            if text is DOUBT or kinds[at] is DOUBT:
                numbers.append(DOUBT)
                continue
            if not text or is_nothing(text):
                numbers.append(None)
                continue
            kind = default if kinds[at] is None else kinds[at]
            try:
                reading = read_certificate(text, kind, self._check_digit)
            except ValueFault:
                numbers.append(self._doubt())
                continue
            if kind_field and kind is None and reading.kind == "id-card":
                kinds[at] = "01"
            numbers.append(self._doubt() if reading.warning else reading.code)
        if kind_field:
            found[kind_field] = kinds
        _put(found, code.field, numbers)

    def _group(
        self, group: CompiledGroup, alone: Column, columns: Sequence[Sequence[Any]], count: int
    ) -> Sequence[Any]:
        if group.is_alone:
            return alone(columns[group.index])
        empty = ("",) * count
        texts = [self._texts[at](columns[at]) if at >= 0 else empty for at in group.members_at]
        return [self._records(group, parts) for parts in zip(*texts, strict=True)]

    def _alone(self, group: CompiledGroup) -> _Make:
        return lambda content: self._records(group, (self._text(content),))

    def _records(self, group: CompiledGroup, texts: tuple[Any, ...]) -> Any:
        if DOUBT in texts:
            return DOUBT
        try:
            records, warning = group.records(texts)
        except ValueFault:
            return self._doubt()
        return self._doubt() if warning else records


def _are_texts(column: Sequence[Any] | None) -> TypeGuard[Sequence[str]]:
    """Whether a column is there and filled in every row, without a doubt."""
    return column is not None and set(map(type, column)) == {str}


def _put(found: dict[str, Sequence[Any]], field: str, contents: Sequence[Any]) -> None:
    """What a code gives goes before what another column gave to its field."""
    before = found.get(field)
    if before is not None:
        contents = [old if new is None else new for old, new in zip(before, contents, strict=True)]
    found[field] = contents


def _is_odd(text: str) -> bool:
    return text[0] == "=" or text in SHEET_ERRORS


def _odd(contents: Sequence[Any]) -> list[int]:
    """Rows in which a column that nobody reads has a formula, an error of a spreadsheet, or what could not be read."""
    kinds = set(map(type, contents))
    if str not in kinds and ValueFault not in kinds:
        return []
    if kinds == {str}:
        joined = "".join(contents)
        if "=" not in joined and "#" not in joined:
            return []
    return [
        number for number, content in enumerate(contents)
        if content.__class__ is ValueFault or (content.__class__ is str and content.strip().startswith(_MARKS))
    ]  # fmt: skip


def _condition(rule: Requirement) -> _Make:
    """Whether a rule's condition holds, of what stands in its field."""
    return lambda content: rule.when.holds({rule.when.field: content})
