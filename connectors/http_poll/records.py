"""Records as rows: the columns that a mapping knows, out of objects within objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from hub.intake import Place, Problem, Row, RowFault, SourceContext, flatten, json_faults, shorten_personal
from hub.intake.mapping import RowMapping, RowReader, as_text, heading_form, layout_of
from hub.intake.spool import Values, digest, dump

#: Behind the columns of each row: what is wrong with the record as a whole, and the digest of such a record.
_EXTRA = 2


class RecordColumns:
    """The columns of one reading. A mapping may know a column by several names; which of them an interface uses
    is seen from its records."""

    def __init__(self, mapping: RowMapping) -> None:
        self._names: list[str] = []
        self._canonical: list[str] = []
        self._key_at: list[int] = []
        for column in mapping.columns:
            fields = {column.field, column.beside, *(also.field for also in column.also)}
            self._add(column.heading, [*column.aliases, *column.readings], bool(fields & mapping.key_fields))
        for group in mapping.groups:
            for member in group.members.values():
                self._add(member.heading, member.aliases, False)
        self._forms = [heading_form(name) for name in self._names]
        self._seen = [False] * len(self._names)

    def _add(self, heading: str, others: Sequence[str], is_key: bool) -> None:
        for name in (heading, *others):
            if is_key:
                self._key_at.append(len(self._names))
            self._names.append(name)
            self._canonical.append(heading)

    def line(self, record: Any) -> tuple[bytes, bytes]:
        """A record as the spool takes it, and by what it is known (16 bytes)."""
        faults = json_faults(record) if isinstance(record, dict) else ["the record is no object"]
        if faults:
            text = json.dumps(record, ensure_ascii=True, default=str)[:100_000]
            mark = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            line = dump([*[None] * len(self._names), "; ".join(faults[:5]), mark])
            return line, digest(line)
        flat = {heading_form(path): value for path, value in flatten(record).items()}
        values = [flat.get(form) for form in self._forms]
        for at, form in enumerate(self._forms):
            if form in flat:
                self._seen[at] = True
        line = dump([*values, None, None])
        key = [values[at] for at in self._key_at]
        return line, digest(dump(key)) if any(key) else digest(line)

    def names(self) -> list[str]:
        """Names of the columns of the lines so far; "" for one that no record had. Of a column that none had under
        any name there is its heading, so that its rows are faults and not the reading."""
        there = {self._canonical[at] for at, is_seen in enumerate(self._seen) if is_seen}
        return [
            name if is_seen or (name == heading and heading not in there) else ""
            for name, heading, is_seen in zip(self._names, self._canonical, self._seen, strict=True)
        ]


class RecordRows:
    """Reads the rows of one spool. Raises ``ContractError`` for columns of another mapping."""

    def __init__(self, mapping: RowMapping, names: Sequence[str], context: SourceContext, label: str) -> None:
        self._reader = RowReader(layout_of(mapping, names), context)
        self._names = names
        self._label = label
        self._key_headings = [
            column.heading for column in mapping.columns if column.field in mapping.key_fields
        ]

    def read(self, rows: Sequence[Values], first: int, day: date, is_removed: bool) -> Sequence[Row | RowFault]:
        """The rows, or what is wrong with them. An interface tells nothing of rows that are gone."""
        return self.read_tried(rows, first)

    def read_tried(self, rows: Sequence[Values], first: int) -> list[Row | RowFault]:
        """The same, where no day matters."""
        read: list[Row | RowFault] = []
        places = [Place(self._label, None, first + at) for at in range(len(rows))]
        given = iter(self._reader.all_values(
            [row[:-_EXTRA] for row in rows if row[-_EXTRA] is None],
            [place for row, place in zip(rows, places, strict=True) if row[-_EXTRA] is None],
        ))  # fmt: skip
        for row, place in zip(rows, places, strict=True):
            values, (said, mark) = row[:-_EXTRA], row[-_EXTRA:]
            if said is not None:
                problem = Problem(
                    "json", None, None, None, f"记录不合规：{shorten_personal(said, 300)}", "请按 JSON 标准提供这条记录"
                )
                read.append(RowFault(place, (problem,), mark))
                continue
            found = next(given)
            read.append(self._placed(found, values) if isinstance(found, RowFault) else found)
        return read

    def _placed(self, fault: RowFault, values: Values) -> RowFault:
        """The fault with the place that helps whoever looks for the record in the department's system."""
        where = next(
            (f"{name}={as_text(value)}" for name, value in zip(self._names, values, strict=True)
             if name in self._key_headings and value is not None), None,
        )  # fmt: skip
        return fault._replace(place=fault.place._replace(sheet=shorten_personal(where, 200) if where else None))
