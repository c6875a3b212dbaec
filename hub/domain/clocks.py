"""Statutory clocks as values: what a rule says, what a clock is, and what can happen to it.

What happens is folded in :mod:`hub.domain.clock_fold`; what falls due in :mod:`hub.domain.clock_firing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Literal, NamedTuple, cast, get_args

from hub.domain.events import derive_id

DueUnit = Literal["working-days", "calendar-days", "hours", "months", "years", "date"]
SignalKind = Literal["start", "meet", "cancel", "suspend", "resume"]


@dataclass(frozen=True, slots=True)
class Due:
    """A period of ``n`` working days, calendar days, hours, months or years; or a fixed date.

    With the unit ``date`` the last day is ``day`` of ``month`` in the year that the clock counts from, or of
    the month that it counts from where ``month`` is 0. Day 31 is the last day of any month.
    """

    n: int
    unit: DueUnit
    month: int = 0
    day: int = 0

    def __str__(self) -> str:
        return f"{self.n} {self.unit}" if self.unit != "date" else f"{self.month:02}-{self.day:02} {self.unit}"

    @classmethod
    @cache
    def parse(cls, text: str) -> Due:
        """What ``str`` made of one. Raises ValueError."""
        number, unit = text.split(" ")
        if unit not in get_args(DueUnit):
            raise ValueError(text)
        if unit != "date":
            return cls(int(number), cast("DueUnit", unit))
        month, day = number.split("-")
        return cls(0, "date", int(month), int(day))


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One statutory deadline.

    ``starts_on``, ``met_by``, ``cancelled_by``, ``suspended_by`` and ``resumed_by`` are event types;
    ``counts_from`` is the date field of the trigger, whose next day is day 1 (a period in hours counts
    from the moment of the trigger); ``until`` a date field that names the last day itself and goes before
    ``due`` where it is filled. ``per`` says what one clock is for: each event, each channel or each
    subscription that the event goes to, or each ``period`` (``every`` year or month) of each of
    ``departments``, which no event starts but the calendar.

    ``meets`` is how many of ``met_by`` it takes. ``warn`` is working days before the due day, ``escalate``
    working days after it (hours of each where the period is in hours). ``repeats`` makes a trigger after
    the clock was met begin it anew, and one while it runs change nothing; else a later trigger moves its
    date. ``on_due`` says what the end is: a breach, or the end of a term, which expires. ``owner`` is
    ``source``, ``subscriber`` or a department's id. ``basis`` quotes the law, ``source`` says where
    the quotation stands.
    """

    id: str
    title: str
    starts_on: tuple[str, ...]
    counts_from: str
    due: Due
    met_by: tuple[str, ...]
    cancelled_by: tuple[str, ...] = ()
    per: Literal["event", "channel", "subscription", "period"] = "event"
    warn: tuple[int, ...] = ()
    owner: str = "source"
    escalates_to: str | None = None
    basis: str = ""
    source: str = ""
    calendar: Literal["gannan", "cn"] = "gannan"
    suspended_by: tuple[str, ...] = ()
    resumed_by: tuple[str, ...] = ()
    #: Narrows a clock per subscription or per channel to some of them; empty is all.
    targets: tuple[str, ...] = ()
    until: str | None = None
    meets: int = 1
    escalate: tuple[int, ...] = ()
    repeats: bool = False
    on_due: Literal["breach", "expire"] = "breach"
    every: Literal["year", "month"] | None = None
    #: Ids of the departments that a clock per period runs for.
    departments: tuple[str, ...] = ()
    #: Conditions on what starts, meets and cancels it, as the map has them. On events of departments routing has
    #: judged them; on the hub's own receipts and on answers the clocks stage does.
    where: Mapping[str, Any] = field(default_factory=dict, hash=False)
    met_where: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cancelled_where: Mapping[str, Any] = field(default_factory=dict, hash=False)

    #: Digest of what decides a due date; a better title or another warning is no new version.
    version: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.id, self.counts_from, self.due, self.calendar, self.until, self.meets, self.repeats, self.every)
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
        object.__setattr__(self, "version", digest)  # the class is frozen


class Status(StrEnum):
    """Where a clock stands.

    ::

                 start                    meet in time
        awaiting ─────▶ running ──────────────────────▶ met
           │            ▲  │ │ ▲  └───────────────────▶ met_late   (met after its due time)
           │     resume │  │ │ │ start of a later event
           │            │  ▼ │ └────────────────────┐
           │      suspended  │ cancel                │
           │            │    ▼                       │
           └────────────┴─▶ cancelled ───────────────┘

    A term (``on_due: expire``) that nobody ended goes from ``running`` to ``expired`` when it is due. A later
    version of its record makes it run again; where its day is over, only until that version ends too.
    ``awaiting`` is a clock of which something was read before what starts it: topics are not ordered among
    each other. That a clock *warned* or was *breached* are facts on the way, not statuses: a
    breached clock runs until it is met. A later event that moves the trigger's date derives the due date
    anew, of a met clock also: ``met`` may become ``met_late`` and back. ``met`` of a rule that ``repeats``
    goes back to ``running`` with the next trigger.
    """

    AWAITING = "awaiting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    MET = "met"
    MET_LATE = "met_late"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Change(NamedTuple):
    """One line of a clock's history. ``at`` is the time of the event, never of the reading.

    A line with a ``kind`` is a signal as the clock keeps it, with what it brought: all else of the clock
    is derived from these. ``change`` and ``due_on`` are what it came to, in the order of their times. A line
    without is something that the hub said (``due_at`` is the due time that it spoke of) or a new
    calendar that moved the clock.
    """

    at: datetime
    event_id: str
    change: str
    note: str | None = None
    kind: SignalKind | None = None
    counts_from: date | None = None
    until: date | None = None
    owner_department: str | None = None
    due_on: date | None = None
    due_at: datetime | None = None
    sequence: int = 0


class Signal(NamedTuple):
    """Something that starts, meets, cancels, suspends or resumes one clock.

    ``target`` is the channel, subscription or period of a rule that has a clock for each; ``until`` the last
    day where the event names it. ``occurred_at`` is aware and whole milliseconds.
    """

    kind: SignalKind
    rule: str
    correlation_id: str
    subject: str
    event_id: str
    occurred_at: datetime
    target: str | None = None
    counts_from: date | None = None
    owner_department: str | None = None
    until: date | None = None
    #: Version of the record that the event brought; what takes it back has to name it.
    sequence: int = 0

    @property
    def clock_id(self) -> str:
        """Id of the clock that the signal is for."""
        return clock_id(self.correlation_id, self.rule, self.target)


class ClockState(NamedTuple):
    """One clock, with the names of the schema ``hub/clock-state``.

    ``period`` is the :class:`Due` of the rule when the clock began (``str``): a clock keeps it, also when the rule
    has changed since.
    """

    clock_id: str
    rule: str
    rule_version: str
    target: str | None
    subject: str
    correlation_id: str
    owner_department: str | None
    status: Status
    calendar: str
    calendar_version: str
    trigger_event_id: str | None = None
    counts_from: date | None = None
    due_on: date | None = None
    due_at: datetime | None = None
    is_provisional: bool = False
    met_at: datetime | None = None
    met_event_id: str | None = None
    warned: tuple[str, ...] = ()
    breached_at: datetime | None = None
    history: tuple[Change, ...] = ()
    period: str = ""

    @property
    def sequence(self) -> int:
        """The latest version of the record that the clock has heard of."""
        return max((line.sequence for line in self.history), default=0)

    @property
    def is_open(self) -> bool:
        """Whether its due date still matters."""
        return self.status in (Status.RUNNING, Status.SUSPENDED)

    def last(self, *changes: str) -> Change | None:
        """The latest line of the history that is one of these changes."""
        return next((line for line in reversed(self.history) if line.change in changes), None)


def clock_id(correlation_id: str, rule: str, target: str | None) -> str:
    """Id of the one clock of a rule for an entity and, where the rule has one for each, a target."""
    return derive_id("clock", correlation_id, rule, target or "")
