"""A prepared batch as a process says it to another: columns, and what is seldom asked for unread."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

from hub.bus.records import Headers, Output
from hub.intake.facts.claims import NO_DIGEST, Claim
from hub.intake.facts.early import EarlyFacts, FactMaker
from hub.intake.facts.turn import Turn
from hub.intake.prepared import Known, Reached
from hub.intake.rows import Batch, Place, Row, RowFault
from hub.intake.usual import Usual, usual_rows
from hub.intake.versions import EventWriter, Identified
from hub.state.seen_index import SeenRow

# Without the call of Python code that a named tuple's own constructor is.
_usual, _output = partial(tuple.__new__, Usual), partial(tuple.__new__, Output)
_seen, _claim = partial(tuple.__new__, SeenRow), partial(tuple.__new__, Claim)


class _Usuals(NamedTuple):
    """``Usual`` rows of one topic, a column for each part; those of the claims are empty where no row claims a
    fact."""

    numbers: Sequence[int]
    topic: str
    keys: Sequence[bytes]
    subjects: Sequence[bytes]
    bodies: Sequence[bytes]
    headers: Sequence[Headers]
    digests: Sequence[bytes]
    states: Sequence[str]
    facts: Sequence[bytes | None]
    claim_headers: Sequence[tuple[str, bytes] | None]
    claim_entries: Sequence[str]


class _Rows(NamedTuple):
    """The same as rows, but for what stands in ``_Usuals``: a column for each part, and the fields of rows that have
    the same ones as columns, with the places of these rows."""

    kinds: Sequence[str]
    natural_keys: Sequence[str]
    amended: Sequence[str]
    places: Sequence[Sequence[Any]]
    fields: Sequence[tuple[Sequence[int], Sequence[str], Sequence[Sequence[Any]]]]


class Columns(NamedTuple):
    """``odd`` are the rows and faults that are not usual whatever is known, by their number. ``rows`` are the others,
    pickled by themselves, for those that turn out to be none: few are ever asked for."""

    reached: Reached
    size: int
    usuals: _Usuals
    odd: Mapping[int, Identified | RowFault]
    facts: Sequence[bytes] | None
    rows: bytes


def columns_of(writer: EventWriter, maker: FactMaker | None, batch: Batch, now: datetime) -> Columns:
    """The batch, prepared as for rows that nobody has heard of."""
    items = writer.identify_all(batch.items)
    early = maker.early(items) if maker is not None else None
    rows = {number: item for number, item in enumerate(items) if type(item) is Identified}
    bodies = dict(zip(rows, writer.bodies(list(rows.values())), strict=True))
    found = usual_rows(writer, rows, bodies, maker, early, now)
    odd = {number: item for number, item in enumerate(items) if number not in found} if len(found) < len(items) else {}
    return Columns(
        Reached(batch.rows_read, batch.done, batch.skipped), len(items), _usuals_of(found), odd,
        None if early is None else early.facts, pickle.dumps(_rows_of([rows[number].row for number in found]), -1),
    )


def _usuals_of(found: Mapping[int, Usual]) -> _Usuals:
    if not found:
        return _Usuals((), "", (), (), (), (), (), (), (), (), ())
    keys, outputs, afters, claims = zip(*found.values(), strict=True)
    topics, subjects, bodies, headers, _ = zip(*outputs, strict=True)
    _, digests, states = zip(*afters, strict=True)
    has_claims = claims.count(None) < len(claims)
    return _Usuals(
        list(found), topics[0], keys, subjects, bodies, headers, digests, states,
        [None if claim is None else claim.fact for claim in claims] if has_claims else (),
        [None if claim is None else claim.header for claim in claims] if has_claims else (),
        ["" if claim is None else claim.entry.state for claim in claims] if has_claims else (),
    )


def _rows_of(rows: Sequence[Row]) -> _Rows:
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(tuple(row.value), []).append(at)
    return _Rows(
        [row.kind for row in rows], [row.natural_key for row in rows], [row.amended_type for row in rows],
        list(zip(*[row.place for row in rows], strict=True)),
        [
            (places, names, list(zip(*[rows[at].value.values() for at in places], strict=True)))
            for names, places in groups.items()
        ],
    )


class PreparedElsewhere:
    """A batch that another process has prepared. See ``Prepared``."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._rows: Mapping[int, Identified] | None = None
        self.reached = columns.reached
        self.keys = [*columns.usuals.keys, *(item.key for item in columns.odd.values() if type(item) is Identified)]
        self.early = None if columns.facts is None else EarlyFacts(columns.facts)
        self._usual = _made_usual(columns.usuals)

    def __len__(self) -> int:
        return self._columns.size

    def item(self, number: int) -> Identified | RowFault:
        found = self._columns.odd.get(number)
        if found is not None:
            return found
        if self._rows is None:
            self._rows = _made_rows(self._columns.usuals, pickle.loads(self._columns.rows))  # noqa: S301  the process that prepared is ours
        return self._rows[number]

    def usual(self, known: Known, turn: Turn | None, now: datetime) -> Mapping[int, Usual]:
        """``now`` is not asked for: events have the time at which they were prepared."""
        found, said = self._usual, self._columns.usuals
        if not known.keys().isdisjoint(said.keys):
            found = {number: usual for number, usual in found.items() if usual.key not in known}
        if turn is not None and not turn.are_free(said.facts):
            found = {
                number: usual for number, usual in found.items()
                if usual.claim is None or turn.is_free(usual.claim.fact)
            }
        return found

    def body(self, number: int) -> bytes | None:
        found = self._usual.get(number)
        return None if found is None else found.output.value


def _made_usual(said: _Usuals) -> dict[int, Usual]:
    outputs = map(_output, zip(repeat(said.topic), said.subjects, said.bodies, said.headers, repeat(None)))
    afters = map(_seen, zip(repeat(1), said.digests, said.states))
    claims: Iterable[Claim | None] = repeat(None)
    if said.facts:
        entries = map(_seen, zip(repeat(1), repeat(NO_DIGEST), said.claim_entries))
        claims = [
            None if claim[0] is None else _claim(claim)
            for claim in zip(said.facts, said.claim_headers, entries, strict=True)
        ]
    made = map(_usual, zip(said.keys, outputs, afters, claims, strict=False))
    return dict(zip(said.numbers, made, strict=True))


def _made_rows(said: _Usuals, rows: _Rows) -> dict[int, Identified]:
    values: list[dict[str, Any]] = [{} for _ in said.numbers]
    for places, names, columns in rows.fields:
        for at, contents in zip(places, zip(*columns, strict=True), strict=True):
            values[at] = dict(zip(names, contents, strict=True))
    parts = zip(rows.kinds, rows.natural_keys, said.states, rows.amended, values, zip(*rows.places, strict=True),
                strict=True)
    return {
        number: Identified(
            Row(kind, natural_key, state, amended, value, Place(*place)), f"{said.topic}|{natural_key}", key, digest
        )
        for number, key, digest, (kind, natural_key, state, amended, value, place) in zip(
            said.numbers, said.keys, said.digests, parts, strict=True
        )
    }
