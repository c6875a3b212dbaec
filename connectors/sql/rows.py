"""A row of a table or an outbox, read by the mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from functools import partial
from itertools import repeat

from connectors.sql.settings import SqlSettings
from hub.intake import Place, Problem, Row, RowFault, shorten_personal
from hub.intake.mapping import RowReader, as_text, heading_form
from hub.intake.spool import Values

# Without the call of Python code that a named tuple's own constructor is.
_place = partial(tuple.__new__, Place)


class TableRows:
    """Reads the rows of one spool with these columns."""

    def __init__(self, reader: RowReader, settings: SqlSettings, columns: Sequence[str]) -> None:
        self._reader = reader
        self._settings = settings
        self._columns = columns
        self._operation_at = self._place(settings.operation)
        self._cursor_at = self._place(settings.cursor)
        self._operations = {
            heading_form(word): kind
            for kind in ("insert", "update", "delete")
            for word in getattr(settings, f"{kind}s")
        }

    def read(self, rows: Sequence[Values], first: int, day: date, is_removed: bool) -> Sequence[Row | RowFault]:
        """The rows, or what is wrong with them. One that is gone has the last content that it had."""
        numbers = range(first, first + len(rows))
        places = list(map(_place, zip(repeat(self._settings.label), repeat(None), numbers)))
        found = self._reader.all_values(rows, places)
        if self._operation_at is None and not is_removed and RowFault not in set(map(type, found)):
            return found
        for at, (row, item) in enumerate(zip(rows, found, strict=True)):
            is_gone = is_removed
            if self._operation_at is not None:
                word = as_text(row[self._operation_at])
                kind = self._operations.get(heading_form(word))
                if kind is None:
                    found[at] = self._fault(places[at], row, word)
                    continue
                is_gone = kind == "delete"
            if type(item) is RowFault:
                found[at] = self._placed(item, row)
            elif is_gone:
                found[at] = self._reader.removed(item, day)
        return found

    def _placed(self, fault: RowFault, row: Values) -> RowFault:
        """The fault with the place that helps whoever looks for it in the table."""
        if self._cursor_at is None:
            return fault
        where = shorten_personal(f"{self._columns[self._cursor_at]}={as_text(row[self._cursor_at])}", 200)
        return fault._replace(place=fault.place._replace(sheet=where))

    def _fault(self, place: Place, row: Values, word: str) -> RowFault:
        known = "、".join([*self._settings.inserts, *self._settings.updates, *self._settings.deletes])
        shown = shorten_personal(word, 100)
        problem = Problem("operation", self._settings.operation, None, shown, "操作无法识别", f"应为其中之一：{known}")
        digest = hashlib.blake2b("\x1f".join(map(as_text, row)).encode("utf-8", "replace"), digest_size=8)
        return RowFault(place, (problem,), digest.hexdigest())

    def _place(self, named: str | None) -> int | None:
        if named is None:
            return None
        forms = [heading_form(name) for name in self._columns]
        return forms.index(heading_form(named)) if heading_form(named) in forms else None
