"""A prepared batch as a process says it to another: columns, and what is seldom asked for unread."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from hub.intake.facts.early import EarlyFacts, FactMaker
from hub.intake.facts.turn import Turn
from hub.intake.prepared import Known, Reached
from hub.intake.rows import Batch, Place, Row, RowFault
from hub.intake.usual import Usual, Usuals, made_of, usual_rows
from hub.intake.versions import EventWriter, Identified

#: Places of rows that have fields of these names, and the fields as columns.
_Fields = tuple[Sequence[int], Sequence[str], Sequence[Sequence[Any]]]


class _Rows(NamedTuple):
    """Usual rows as such, but for what stands in ``Usuals``: a column for each part."""

    kinds: Sequence[str]
    natural_keys: Sequence[str]
    amended: Sequence[str]
    places: Sequence[Sequence[Any]]
    fields: Sequence[_Fields]


class Columns(NamedTuple):
    """``odd`` are the rows and faults that are not usual whatever is known, by their number. ``rows`` are the others,
    pickled by themselves, for those that turn out to be none: few are ever asked for."""

    reached: Reached
    size: int
    usuals: Usuals
    odd: Mapping[int, Identified | RowFault]
    facts: Sequence[bytes] | None
    rows: bytes


def columns_of(writer: EventWriter, maker: FactMaker | None, batch: Batch) -> Columns:
    """The batch, prepared as for rows that nobody has heard of."""
    items = writer.identify_all(batch.items)
    early = maker.early(items) if maker is not None else None
    rows = {number: item for number, item in enumerate(items) if type(item) is Identified}
    bodies = dict(zip(rows, writer.bodies(list(rows.values())), strict=True))
    found = usual_rows(writer, rows, bodies, maker, early)
    odd: dict[int, Identified | RowFault] = {}
    if len(found.numbers) < len(items):
        usual = set(found.numbers)
        odd = {number: item for number, item in enumerate(items) if number not in usual}
    return Columns(
        Reached(batch.rows_read, batch.done, batch.skipped), len(items), found, odd,
        None if early is None else early.facts,
        pickle.dumps(_rows_of(writer, [rows[number].row for number in found.numbers]), pickle.HIGHEST_PROTOCOL),
    )


def _rows_of(writer: EventWriter, rows: Sequence[Row]) -> _Rows:
    return _Rows(
        [row.kind for row in rows], [row.natural_key for row in rows], [row.amended_type for row in rows],
        list(zip(*[row.place for row in rows], strict=True)), _fields_of(writer, [row.value for row in rows]),
    )


def _fields_of(writer: EventWriter, values: Sequence[dict[str, Any]]) -> list[_Fields]:
    table = writer.table(values)
    if table.is_even:
        return [(range(table.count), table.names, table.columns)]
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, value in enumerate(values):
        groups.setdefault(tuple(value), []).append(at)
    return [
        (places, names, list(zip(*[values[at].values() for at in places], strict=True)))
        for names, places in groups.items()
    ]


class PreparedElsewhere:
    """A batch that another process has prepared. See ``Prepared``."""

    def __init__(self, writer: EventWriter, maker: FactMaker | None, columns: Columns) -> None:
        self._writer, self._maker, self._columns = writer, maker, columns
        self.reached = columns.reached
        firsts = columns.usuals.firsts
        self.keys = list(firsts.keys) if firsts is not None else []
        self.keys += [item.key for item in columns.odd.values() if type(item) is Identified]
        self.early = None if columns.facts is None else EarlyFacts(columns.facts)

    def __len__(self) -> int:
        return self._columns.size

    def item(self, number: int) -> Identified | RowFault:
        found = self._columns.odd.get(number)
        return self._rows[number] if found is None else found

    def usual(self, known: Known, turn: Turn | None, now: datetime) -> Mapping[int, Usual]:
        said = self._columns.usuals
        found = made_of(said, self._writer, self._maker, now)
        if known:
            found = {number: usual for number, usual in found.items() if usual.key not in known}
        if turn is not None and not turn.are_free(said.facts):
            found = {
                number: usual for number, usual in found.items()
                if usual.claim is None or turn.is_free(usual.claim.fact)
            }
        return found

    def body(self, number: int) -> bytes | None:
        return self._bodies.get(number)

    @cached_property
    def _rows(self) -> Mapping[int, Identified]:
        rows = pickle.loads(self._columns.rows)  # noqa: S301  out of an answer of the process that this one started
        return _made_rows(self._columns.usuals, rows)

    @cached_property
    def _bodies(self) -> Mapping[int, bytes]:
        said = self._columns.usuals
        return dict(zip(said.numbers, said.firsts.bodies, strict=True)) if said.firsts is not None else {}


def _made_rows(said: Usuals, rows: _Rows) -> dict[int, Identified]:
    firsts = said.firsts
    assert firsts is not None, "only usual rows are asked for"
    values: list[dict[str, Any]] = [{} for _ in said.numbers]
    for places, names, columns in rows.fields:
        for at, contents in zip(places, zip(*columns, strict=True), strict=True):
            values[at] = dict(zip(names, contents, strict=True))
    parts = zip(
        rows.kinds, rows.natural_keys, firsts.states, rows.amended, values, zip(*rows.places, strict=True), strict=True
    )
    return {
        number: Identified(
            Row(kind, natural_key, state, amended, value, Place(*place)), f"{firsts.topic}|{natural_key}", key, digest
        )
        for number, key, digest, (kind, natural_key, state, amended, value, place) in zip(
            said.numbers, firsts.keys, firsts.digests, parts, strict=True
        )
    }
