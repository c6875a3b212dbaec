"""What the book holds: under a fact whose event it is, under a row the course that its events go by.

A row is there by itself once it has a second version, or once another row goes on in its course; before that, all there
is to know of it stands under its fact. Everything follows from events, in the order of each fact and of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hub.domain.facts import OWN_SYSTEM
from hub.intake.tentative import FACT_HEADER
from hub.state.seen_index import SeenRow

_NO_DIGEST = bytes(8)
#: In the place of a fact: the row holds none.
NO_FACT = b""


class Owner(NamedTuple):
    """The event that a fact is at the moment: of which source and row (hex), its version, id and correlation, the
    state of the row, the digests of what is compared, and the way by which the source reported it."""

    source: str
    row: str
    version: int
    event_id: str
    correlation_id: str
    state: str
    content: tuple[str, ...]
    way: str = OWN_SYSTEM

    def entry(self) -> SeenRow:
        content = ",".join(self.content)
        texts = (self.source, self.row, self.event_id, self.correlation_id, self.state, content, self.way)
        return SeenRow(self.version, _NO_DIGEST, "\x1f".join(texts))

    @classmethod
    def of(cls, entry: SeenRow) -> Owner:
        # Entries of an earlier version have no way.
        source, row, event_id, correlation_id, state, content, *way = entry.state.split("\x1f")
        return cls(source, row, entry.version, event_id, correlation_id, state, tuple(content.split(",")), *way)

    def header(self, fact: bytes) -> tuple[str, bytes]:
        """``NO_FACT`` where the row has left its fact and holds no other."""
        return FACT_HEADER, f"{fact.hex()};{self.state};{','.join(self.content)};{self.way}".encode()


class Course(NamedTuple):
    """Of a row, behind its event of ``version``: the fact that it holds, and the correlation id that its events go on
    with; empty where another row has taken its fact over and goes on with that."""

    version: int
    fact: bytes
    correlation_id: str

    @property
    def is_lost(self) -> bool:
        return not self.correlation_id

    def entry(self) -> SeenRow:
        return SeenRow(self.version, _NO_DIGEST, f"{self.fact.hex()}\x1f{self.correlation_id}")

    @classmethod
    def of(cls, entry: SeenRow) -> Course:
        fact, _, correlation_id = entry.state.partition("\x1f")
        return cls(entry.version, bytes.fromhex(fact), correlation_id)

    def is_newer(self, other: Course) -> bool:
        # A course is lost behind the event that had it, and before any other of that row.
        return self.version > other.version or (self.version == other.version and self.is_lost)


def courses_behind(fact: bytes, owner: Owner, before: Owner | None) -> dict[bytes, Course]:
    """What an event makes of courses, by row: its own, and that of the row whose fact it took over. ``before`` is what
    stood under the fact."""
    found = {}
    if owner.version > 1:
        found[bytes.fromhex(owner.row)] = Course(owner.version, fact, owner.correlation_id)
    if (
        before is not None and before.row != owner.row and before.correlation_id == owner.correlation_id
        and before.version < owner.version  # else it is read once more
    ):  # fmt: skip
        found[bytes.fromhex(before.row)] = Course(before.version, NO_FACT, "")
    return found


def entries_behind(
    events: Sequence[tuple[bytes, Owner]], look_up: Callable[[Sequence[bytes]], Mapping[bytes, SeenRow]]
) -> dict[bytes, SeenRow]:
    """What events that are read from the log change in a book. Those of one fact come in their order, since they are of
    one subject and so of one partition: the later one counts. Those of one row may come in any."""
    known = dict(look_up(list({fact for fact, _ in events if fact})))
    rows = {owner.row for _, owner in events} | {Owner.of(entry).row for entry in known.values()}
    known |= look_up([bytes.fromhex(row) for row in rows])
    changed: dict[bytes, SeenRow] = {}
    for fact, owner in events:
        before = Owner.of(known[fact]) if fact in known else None
        for row, course in courses_behind(fact, owner, before).items():
            if row not in known or course.is_newer(Course.of(known[row])):
                known[row] = changed[row] = course.entry()
        if fact:
            known[fact] = changed[fact] = owner.entry()
    return changed
