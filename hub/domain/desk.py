"""What lies on whose desk: entries as values, how facts change them, and what they count for. Pure.

Every fold here takes the facts of a thing in any order and any number of times and comes to the same entry: the topics
that the facts stand on are not ordered among each other, and a record may come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar

from hub.domain.calendar import Calendar
from hub.domain.clocks import Status
from hub.domain.disclosed import ChannelEntry

#: What is over stays so long on a desk, and in its counts; the longest look back of a scoreboard is 90 days.
KEPT = timedelta(days=100)
#: What the hub writes as a subject for who has no code: a keyed hash of a certificate number, or of a name.
_PERSONS = ("id-", "name-")


_Part = TypeVar("_Part", bound=tuple[Any, ...])


class Colour(StrEnum):
    """How urgent a clock is today."""

    RED = "red"
    AMBER = "amber"
    GREEN = "green"


class NoticeState(StrEnum):
    """Where a notice stands with the department that it went to."""

    UNANSWERED = "unanswered"
    REGISTERED = "registered"
    ANSWERED = "answered"


class Mark(NamedTuple):
    """One clock in a department's counts. ``day`` is an ISO date of Gannan; empty for what stands open now."""

    day: str
    rule: str
    outcome: str


class ClockEntry(NamedTuple):
    """A clock on the desk of its owner. Days are ISO dates, moments milliseconds since the epoch (UTC).

    ``stamp`` and ``offset`` are those of its record: the later one is how it stands.
    """

    stamp: int
    offset: int
    clock_id: str
    rule: str
    target: str | None
    subject: str
    correlation_id: str
    event_id: str | None
    status: str
    due_on: str | None
    due_at: int | None
    is_provisional: bool
    is_warned: bool
    ended_on: str | None
    breached_on: str | None
    met_at: int | None = None
    breached_at: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status in (Status.RUNNING, Status.SUSPENDED)

    @property
    def order(self) -> str:
        """Where it stands among open clocks: by due moment, then id."""
        return f"{self.due_at or 0:013d}:{self.clock_id}"

    @classmethod
    def parse(cls, parts: Sequence[Any]) -> Self:
        return cls(*parts)


class NoticeEntry(NamedTuple):
    """A notice in a department's inbox. Each part comes from a topic of its own and may be there before the others.

    ``issued`` is (moment, event id, correlation id, subject, subscription, action, version of the record);
    ``end`` (0 for parked, else 1; moment; status; way) of what delivery said; ``registered`` (moment, way);
    ``answered`` (moment, id of the answer, status, measure, way).
    """

    notice_id: str
    issued: tuple[int, str, str, str, str, str, int] | None = None
    end: tuple[int, int, str, str] | None = None
    registered: tuple[int, str] | None = None
    answered: tuple[int, str, str, str, str] | None = None

    @property
    def state(self) -> NoticeState:
        if self.answered is not None:
            return NoticeState.ANSWERED
        return NoticeState.UNANSWERED if self.registered is None else NoticeState.REGISTERED

    @property
    def is_waiting(self) -> bool:
        """Whether the department has to answer it: it was issued, and nothing else was its end."""
        is_over = self.end is not None and self.end[0] > 0 and self.end[2] != "delivered"
        return self.issued is not None and self.answered is None and not is_over

    @property
    def order(self) -> str | None:
        return None if self.issued is None else f"{self.issued[0]:013d}:{self.notice_id}"

    @property
    def last_ms(self) -> int:
        """When something last was said of it."""
        issued, end, registered, answered = self[1:]
        moments = [part[0] for part in (issued, registered, answered) if part is not None]
        return max([*moments, end[1]] if end is not None else moments, default=0)

    @classmethod
    def parse(cls, parts: Sequence[Any]) -> Self:
        return cls(parts[0], *(tuple(part) if part is not None else None for part in parts[1:]))


class LeadEntry(NamedTuple):
    """A lead on the desk of who handles it. ``sequence`` is the version of its record; days are ISO dates."""

    sequence: int
    correlation_id: str
    event_id: str
    subject: str
    kind: str
    status: str
    region: str
    received_on: str
    risk: str | None
    channel: str
    closed_on: str | None

    @property
    def is_open(self) -> bool:
        return self.closed_on is None

    @property
    def order(self) -> str:
        return f"{self.received_on}:{self.correlation_id}"

    @classmethod
    def parse(cls, parts: Sequence[Any]) -> Self:
        return cls(*parts)


#: What is counted, by marks.
Counted = ClockEntry | ChannelEntry


def later_clock(one: ClockEntry | None, other: ClockEntry) -> ClockEntry:
    return other if one is None else max(one, other, key=lambda entry: (entry.stamp, entry.offset, str(entry)))


def later_lead(one: LeadEntry | None, other: LeadEntry) -> LeadEntry:
    return other if one is None else max(one, other, key=lambda entry: (entry.sequence, str(entry)))


def join_notice(one: NoticeEntry | None, other: NoticeEntry) -> NoticeEntry:
    """What both say of a notice. Parked is no end beside another; of registrations the first counts, of answers the
    last, as the recall of what was held judges it."""
    if one is None:
        return other
    return NoticeEntry(
        one.notice_id, _earlier(one.issued, other.issued), _later(one.end, other.end),
        _earlier(one.registered, other.registered), _later(one.answered, other.answered),
    )


def marks_of(entry: Counted | None) -> frozenset[Mark]:
    """What a clock counts for on the scoreboard of its owner, or a record on its channel.

    A clock that was breached counts on the day of that, and again on the day that it was met late. A record counts for
    how it stands now.
    """
    if entry is None:
        return frozenset()
    if isinstance(entry, ChannelEntry):
        return frozenset({Mark("", "", entry.standing)} if entry.standing is not None else ())
    marks = []
    if entry.is_open:
        marks.append(Mark("", entry.rule, "open"))
    elif entry.ended_on is not None and entry.status in (Status.MET, Status.MET_LATE, Status.EXPIRED):
        marks.append(Mark(entry.ended_on, entry.rule, entry.status))
    if entry.breached_on is not None:
        marks.append(Mark(entry.breached_on, entry.rule, "breached"))
    return frozenset(marks)


def colour_of(
    entry: ClockEntry, today: date, first_warn: int | None, calendar: Calendar | None
) -> Colour:
    """Red: due today or before; amber: warned, or within the rule's first warning (working days); else green.

    A clock that stands still is never more than amber.
    """
    due = None if entry.due_on is None else date.fromisoformat(entry.due_on)
    if due is not None and due <= today and entry.status == Status.RUNNING:
        return Colour.RED
    if entry.is_warned:
        return Colour.AMBER
    if due is None or first_warn is None or calendar is None or entry.status != Status.RUNNING:
        return Colour.GREEN
    return Colour.AMBER if calendar.before(due, first_warn) <= today else Colour.GREEN


def is_person(subject: str) -> bool:
    """Whether a subject is the keyed hash of a natural person (or of a name without a code), not a code."""
    return subject.startswith(_PERSONS)


class Score(NamedTuple):
    """Counts of one rule over a span of days; ``open`` and ``breached_open`` are of now."""

    rule: str
    met: int = 0
    met_late: int = 0
    breached: int = 0
    expired: int = 0
    open: int = 0


def score(marks: Iterable[tuple[Mark, int]], since: date, until: date) -> dict[str, Score]:
    """Rule -> counts of the marks of these days, both included, and of what is open."""
    found: dict[str, Score] = {}
    for mark, count in marks:
        is_within = not mark.day or since.isoformat() <= mark.day <= until.isoformat()
        if is_within and count:
            known = found.get(mark.rule, Score(mark.rule))
            found[mark.rule] = known._replace(**{mark.outcome: getattr(known, mark.outcome) + count})
    return found


def _later(one: _Part | None, other: _Part | None) -> _Part | None:
    return max((part for part in (one, other) if part is not None), default=None)


def _earlier(one: _Part | None, other: _Part | None) -> _Part | None:
    return min((part for part in (one, other) if part is not None), default=None)
