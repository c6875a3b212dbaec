"""A mapping, the columns of one file or table and the source's settings, made into a reader of rows.

Batches are read column by column (``together``); a row that leaves a doubt is read by itself, exactly (``careful``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from hub.intake.mapping.careful import CarefulReader
from hub.intake.mapping.codes import is_nothing, read_certificate, read_code
from hub.intake.mapping.columns import Columns
from hub.intake.mapping.layout import Layout
from hub.intake.mapping.natives import as_text
from hub.intake.mapping.parsers import ValueFault
from hub.intake.mapping.rules import Rules
from hub.intake.mapping.together import BatchReader
from hub.intake.mapping.words import Words
from hub.intake.rows import Place, Row, RowFault
from hub.intake.sources import SourceContext

#: Columns beyond which a row is read by itself: one long row must not widen all of its batch.
_MAX_TOGETHER = 512


class RowReader:
    """Turns the cells of rows into a ``Row`` or a ``RowFault`` each; into ``None`` what is no data (blank, totals,
    a repeated heading).

    ``read_texts`` is for files, whose cells are text; ``read_values`` for systems that know types: texts, numbers,
    dates, ``None``. Both take rows one by one; ``all_texts`` and ``all_values`` take a batch and give the same sooner.
    Used by one thread.

    :raises ContractError: when the mapping names what schema or code lists do not have.
    """

    def __init__(self, layout: Layout, context: SourceContext) -> None:
        columns = Columns(layout, context)
        self._check_digit = context.config.check_digit
        asks_register = context.config.identity == "register"
        self._rules = Rules(layout.mapping, columns, asks_register=asks_register)
        self._width = max(layout.columns.values(), default=0) + 1
        self._together = BatchReader(columns, self._rules, self._check_digit)
        self._careful = CarefulReader(
            columns, self._rules, Words(layout, columns), self._width, self._check_digit,
            asks_register=asks_register,
        )  # fmt: skip
        self._base = columns.base
        key_fields = layout.mapping.key_fields
        self._key_cells = [cell for cell in columns.cells if cell.field in key_fields]
        self._key_codes = [code for code in columns.codes if code.field in key_fields or code.beside in key_fields]
        self._removal = layout.mapping.events.removed

    def read_texts(self, raw: list[str], place: Place) -> Row | RowFault | None:
        """A row of a file."""
        return self._careful.read_texts(raw, place)

    def all_texts(self, raws: Sequence[list[str]], places: Sequence[Place]) -> list[Row | RowFault | None]:
        """``read_texts`` of each."""
        widths = {len(raw) for raw in raws}
        width = max(self._width, *widths) if widths else 0
        if width > _MAX_TOGETHER:
            return list(map(self._careful.read_texts, raws, places))
        cells: Sequence[list[str]] = raws
        if widths != {width}:
            cells = [raw if len(raw) == width else raw + [""] * (width - len(raw)) for raw in raws]
        read: list[Row | RowFault | None] = list(self._together.read(cells, places))
        if None in read:
            careful = self._careful.read_texts
            return [careful(raws[at], places[at]) if row is None else row for at, row in enumerate(read)]
        return read

    def read_values(self, raw: Sequence[Any], place: Place, *, removed_on: date | None = None) -> Row | RowFault:
        """A row of a table. A cell that could not be read from its system is the ``ValueFault`` that says so.
        ``removed_on`` is the day on which the row was missed, for one that its system has no more (only where the
        mapping has ``events.removed``)."""
        found = self._careful.read_values(raw, place)
        return found if removed_on is None else self.removed(found, removed_on)

    def all_values(self, raws: Sequence[Sequence[Any]], places: Sequence[Place]) -> list[Row | RowFault]:
        """``read_values`` of each; all have the same columns."""
        careful = self._careful.read_values
        read = self._together.read(raws, places)
        return [careful(raws[at], places[at]) if row is None else row for at, row in enumerate(read)]

    def removed(self, row: Row | RowFault, day: date) -> Row | RowFault:
        """A row that its system has no more, missed on that day; faults stay as they are."""
        if isinstance(row, RowFault):
            return row
        removal = self._removal
        assert removal is not None, "the mapping says nothing of removed rows"
        value = dict(row.value)
        for field, content in removal.set.items():
            value[field] = day if content == "$read_date" else content
        return row._replace(
            value=value, state_type=removal.type, amended_type=removal.type, is_removed=True, warnings=()
        )

    def natural_key(self, raw: Sequence[Any]) -> str | None:
        """By what a row of a table is known, worked out from the columns behind it alone; ``None`` where
        they cannot be read. The same as the key of its ``Row``."""
        value = self._base.copy()
        try:
            for cell in self._key_cells:
                content = raw[cell.at]
                if content is None:
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
                        if self._careful.is_for_the_register(code.field, fault):
                            continue
                        raise
                    target = code.beside if code.beside and reading.kind == "registration" else code.field
                    value[target] = reading.code
                elif text and not is_nothing(text):
                    kind = value.get(code.kind_field) if code.kind_field else None
                    value[code.field] = read_certificate(text, kind, self._check_digit).code
        except ValueFault:
            return None
        self._rules.fill_late(value)
        return self._rules.natural_key(value)
