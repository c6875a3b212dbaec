"""Decides for the rows of one batch whether each is a fact of its own, a witness, or a conflict.

A row that was published goes on in its course, whatever it says now: who was sent the wrong number is sent the right
one. A fact that a row has left is nobody's: whoever says it next has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from hub.bus.records import Output, header
from hub.contracts.catalog import Catalog
from hub.domain.events import derive_id
from hub.domain.facts import OWN_SYSTEM, RECORD, STATE, FactRule, Way
from hub.intake.facts.book import FactBook
from hub.intake.facts.early import EarlyFacts, FactMaker, begin_of
from hub.intake.facts.entries import NO_FACT, Course, Owner, courses_behind
from hub.intake.facts.testimony import Testimonies, with_row
from hub.intake.tentative import is_tentative, tentative
from hub.intake.versions import EventWriter, Identified, Identity
from hub.state.seen_index import SeenRow

_NONE: Mapping[bytes, SeenRow] = MappingProxyType({})


class Judged(NamedTuple):
    """What becomes of a row: its records, the event first; what the index of rows holds of it; whether it is an
    event. Of a witness ``differs`` names the fields that it says otherwise."""

    outputs: list[Output]
    after: SeenRow
    is_event: bool
    differs: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The last word of the type of the first record."""
        return _text(self.outputs[0], "ce_type").rpartition(".")[2]


class FactDesk(FactMaker):
    """Of one source: its facts, and the book in which they stand."""

    def __init__(
        self, source: str, rules: Mapping[str, FactRule], writer: EventWriter, book: FactBook, catalog: Catalog,
        way: Way = OWN_SYSTEM,
    ) -> None:
        super().__init__(source, rules, writer, way)
        self.book, self.testimonies = book, Testimonies(source, catalog)

    def turn(self, items: Sequence[object], rows: Mapping[bytes, SeenRow] = _NONE) -> Turn | None:
        """The turn for a batch alone; ``None`` if none of its rows is of a topic that declares facts. ``rows`` as
        ``Turn`` has them.

        Whoever gets it calls ``close``. Raises what ``FactBook.open`` raises.
        """
        early = self.early(items)
        return None if early is None else self.turn_of(early, rows)

    def turn_of(self, early: EarlyFacts, rows: Mapping[bytes, SeenRow]) -> Turn:
        """As ``turn``, where it is known by now that facts are concerned."""
        self.book.open()
        try:
            return Turn(self, early, rows=rows)
        except BaseException:
            self.book.close(is_done=False)
            raise


class Turn:
    """One batch's, while the book is open. ``ahead`` is what was published and is not in the book yet, ``rows`` what is
    known of rows that have a version. ``made`` is what this batch made, as the book has it."""

    def __init__(
        self, desk: FactDesk, early: EarlyFacts, ahead: Mapping[bytes, SeenRow] = _NONE,
        rows: Mapping[bytes, SeenRow] = _NONE,
    ) -> None:
        self._desk, self._book, self._ahead, self._rows = desk, desk.book, ahead, rows
        self.made: dict[bytes, SeenRow] = {}
        self._early = early
        # One question for the batch; rows whose subject is found later ask for themselves.
        self._asked = set(early.facts)
        self._found = self._book.look_up(list(self._asked)) if self._asked else {}
        self._courses: dict[bytes, Course] = {}
        self._courses_asked: set[bytes] = set()

    def is_free(self, fact: bytes) -> bool:
        """Whether a fact of the batch was nobody's before it; else ``judge`` has to decide."""
        return fact not in self._found and fact not in self._ahead

    def are_free(self, facts: Iterable[object]) -> bool:
        """Whether all of these are."""
        return self._found.keys().isdisjoint(facts) and self._ahead.keys().isdisjoint(facts)

    @cached_property
    def has_others(self) -> bool:
        """Whether a fact of the batch may have been another row's than is in it, or one that has left it; as far as
        facts are known by the code."""
        return any(
            owner.source != self._desk.source or (row := self._rows.get(bytes.fromhex(owner.row))) is None
            or row.version != owner.version for owner in self._found.values()
        )  # fmt: skip

    def judge(
        self, item: Identified, before: SeenRow | None, output: Output, after: SeenRow, now: datetime,
        identity: Identity | None, *, may_overtake: bool = True,
    ) -> Judged:
        """``output`` and ``after`` are what the row would become by itself, ``before`` its last published version."""
        rule = self._desk.rules.get(output.topic)
        if rule is None:
            return Judged([output], after, True)
        fact = self.fact(item, output.topic, output.key or b"")
        owner = self._owner(fact) if fact is not None else None
        if fact is None or owner is None or owner.row == item.key.hex():
            return self._event(item, before, fact or NO_FACT, owner, output, after)
        if owner.source == self._desk.source:
            # What is one record in a source, the source itself says by its natural keys.
            return self._event(item, before, NO_FACT, None, output, after)
        content, state = rule.content(item.row.value, self._desk.digest), item.row.state_type
        differs = rule.differing(content, owner.content) + ((STATE,) if state != owner.state else ())
        if self._has_its_own(item, before, owner, output):
            event = self._event(item, before, NO_FACT, None, output, after)
            said = self._desk.testimonies.make(item, output, fact, owner, (*differs, RECORD), owner.source, now)
            return event._replace(outputs=[*event.outputs, said])
        if may_overtake and differs and rule.goes_before(self._desk.source, self._desk.way, owner.source, owner.way):
            return self._overtake(item, before, fact, owner, differs, now, identity)
        testimony = self._desk.testimonies.make(item, output, fact, owner, differs, owner.source, now)
        after = tentative(before, item.digest, state)
        return Judged([with_row(testimony, item, after, before)], after, False, differs)

    def fact(self, item: Identified, topic: str, subject: bytes) -> bytes | None:
        """That of a row whose event is of this topic and subject; ``None`` where it is like no other."""
        code = subject.decode()
        seen = self._early.seen.get(id(item))
        if seen is not None and seen[0] == code:
            return seen[1]
        rule = self._desk.rules.get(topic)
        text = rule.key_text(item.row.value, code) if rule is not None else None
        return None if text is None else self._desk.writer.keyed(begin_of(topic) + text, 16)

    def ask(self, facts: Iterable[bytes]) -> None:
        """Asks the book about many at a time, which else are asked about one by one."""
        asked = set(facts) - self._asked
        if asked:
            self._asked |= asked
            self._found |= self._book.look_up(list(asked))

    def witnessed(self, fact: bytes) -> Owner | None:
        """The other source's row that this fact is."""
        owner = self._owner(fact)
        return None if owner is None or owner.source == self._desk.source else owner

    def is_left(self, item: Identified, last: SeenRow, fact: bytes) -> bool:
        """Whether a row of this fact that says again what ``last`` says has to be judged anew: it bore witness to what
        its owner has left, or was taken over by who has left since."""
        owner = self._last_owner(fact)
        if owner is None or owner.row == item.key.hex() or self._owner(fact) is not None:
            return False
        return is_tentative(last) or self.is_lost(item.key)

    def is_lost(self, row: bytes) -> bool:
        """Whether another row goes on in the course of this one."""
        course = self._course(row)
        return course is not None and course.is_lost

    def keep(self) -> None:
        """Makes sure that the turn lasts for what is published next. Raises IndexUnavailableError."""
        self._book.keep()

    def close(self, offsets: Mapping[tuple[str, int], int] | None) -> None:
        """Ends a turn for this batch alone; ``offsets`` are those of what was acknowledged, ``None`` if it was not."""
        if offsets is None:
            self._book.close(is_done=False)
            return
        try:
            if self.made:
                self._book.store(self.made, offsets)
        except BaseException:
            self._book.close(is_done=False)
            raise
        self._book.close(is_done=True)

    def _event(
        self, item: Identified, before: SeenRow | None, fact: bytes, owner: Owner | None, output: Output, after: SeenRow
    ) -> Judged:
        """An event of the row's own, in its course. ``owner`` is the row itself, where it has the fact already."""
        course = self._course(item.key) if before is not None else None
        if course is not None and course.is_lost:
            # Another row goes on in what was its course: a new one begins.
            output = _with(output, "ce_correlationid", derive_id("course", _text(output, "ce_id")))
            output = _with(output, "ce_type", item.row.state_type)
        elif (known := course if course is not None else owner) is not None:
            output = _with(output, "ce_correlationid", known.correlation_id)
        if not fact and after.version == 1:
            return Judged([output], after, True)
        return Judged([self._marked(item, fact, output, after)], after, True)

    def _has_its_own(self, item: Identified, before: SeenRow | None, owner: Owner, output: Output) -> bool:
        """Whether a row goes on in another course than that of the fact that it says now."""
        if before is None or self.is_lost(item.key):
            return False
        course = self._course(item.key)
        own = course.correlation_id if course is not None else _text(output, "ce_correlationid")
        return own != owner.correlation_id

    def _overtake(
        self, item: Identified, before: SeenRow | None, fact: bytes, owner: Owner, differs: tuple[str, ...],
        now: datetime, identity: Identity | None,
    ) -> Judged:
        """The row goes before what stands there: the next version of that fact, and the conflict on record."""
        last = before if before is not None and before.version > owner.version else SeenRow(
            owner.version, bytes(8), owner.state
        )
        output, after = self._desk.writer.event(item, last, now, identity, owner.correlation_id)
        event = self._marked(item, fact, output, after)
        testimony = self._desk.testimonies.make(item, output, fact, owner, differs, self._desk.source, now)
        return Judged([event, testimony], after, True)

    def _marked(self, item: Identified, fact: bytes, output: Output, after: SeenRow) -> Output:
        rule = self._desk.rules[output.topic]
        owner = Owner(
            self._desk.source, item.key.hex(), after.version, _text(output, "ce_id"), _text(output, "ce_correlationid"),
            item.row.state_type, rule.content(item.row.value, self._desk.digest), self._desk.way,
        )
        before = self._last_owner(fact) if fact else None
        for row, course in courses_behind(fact, owner, before).items():
            # The row's own is newer than any; another one may have gone on since it stood under this fact.
            if row == item.key or (known := self._course(row)) is None or course.is_newer(known):
                self.made[row] = course.entry()
        if fact:
            self.made[fact] = owner.entry()
        return output._replace(headers=[*output.headers, owner.header(fact)])

    def _owner(self, fact: bytes) -> Owner | None:
        """Whose the fact is now."""
        owner = self._last_owner(fact)
        if owner is None:
            return None
        course = self._course(bytes.fromhex(owner.row))
        return owner if course is None or course.fact == fact else None

    def _last_owner(self, fact: bytes) -> Owner | None:
        """Whose it was last; that one may have left it."""
        made = self.made.get(fact) or self._ahead.get(fact)
        if made is not None:
            return Owner.of(made)
        self.ask([fact])
        return self._found.get(fact)

    def _course(self, row: bytes) -> Course | None:
        made = self.made.get(row) or self._ahead.get(row)
        if made is not None:
            return Course.of(made)
        if row not in self._courses_asked:
            # One question for the batch here too, once the first of its rows has to be asked about.
            asked = {row, *self._rows, *(bytes.fromhex(owner.row) for owner in self._found.values())}
            asked -= self._courses_asked
            self._courses_asked |= asked
            self._courses |= self._book.courses(list(asked))
        return self._courses.get(row)


def _text(output: Output, name: str) -> str:
    return (header(output.headers, name) or b"").decode()


def _with(output: Output, name: str, content: str) -> Output:
    headers = [(each, content.encode() if each == name else value) for each, value in output.headers]
    return output._replace(headers=headers)
