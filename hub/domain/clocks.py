"""Statutory clocks as values: what a rule says, what a clock is, and what can happen to it.

What happens is folded in :mod:`hub.domain.clock_fold`; what falls due in :mod:`hub.domain.clock_firing`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from hub.domain.events import derive_id

DueUnit = Literal["working-days", "calendar-days", "hours"]
SignalKind = Literal["start", "meet", "cancel", "suspend", "resume"]


@dataclass(frozen=True, slots=True)
class Due:
    """A period: ``n`` working days, calendar days or hours."""

    n: int
    unit: DueUnit


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One statutory deadline.

    ``starts_on``, ``met_by``, ``cancelled_by``, ``suspended_by`` and ``resumed_by`` are event types;
    ``counts_from`` is the date field of the trigger, whose next day is day 1 (a period in hours counts
    from the moment of the trigger). ``per`` says what one clock is for: each event, each channel
    or each subscription that the event goes to. ``warn`` is working days before the due day, or hours
    before the end of a period in hours. ``owner`` is ``source``, ``subscriber`` or a department's code.
    ``basis`` quotes the law, ``source`` says where the quotation stands.
    """

    id: str
    title: str
    starts_on: tuple[str, ...]
    counts_from: str
    due: Due
    met_by: tuple[str, ...]
    cancelled_by: tuple[str, ...] = ()
    per: Literal["event", "channel", "subscription"] = "event"
    warn: tuple[int, ...] = ()
    owner: str = "source"
    escalates_to: str | None = None
    basis: str = ""
    source: str = ""
    calendar: Literal["gannan", "cn"] = "gannan"
    suspended_by: tuple[str, ...] = ()
    resumed_by: tuple[str, ...] = ()
    #: Narrows a clock per subscription to some of them; empty is all.
    subscriptions: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Digest of what decides a due date; a better title or another warning is no new version."""
        content = f"{self.id}|{self.counts_from}|{self.due.n}|{self.due.unit}|{self.calendar}"
        return hashlib.sha256(content.encode()).hexdigest()[:12]


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

    ``awaiting`` is a clock that was met before the record that starts it was read: topics are not
    ordered among each other. Its start then finds it met. That a clock *warned* or was *breached* are
    facts on the way, not statuses: a breached clock runs until it is met. A later event that moves the
    trigger's date derives the due date anew, of a met clock also: ``met`` may become ``met_late`` and back.
    """

    AWAITING = "awaiting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    MET = "met"
    MET_LATE = "met_late"
    CANCELLED = "cancelled"


class Change(NamedTuple):
    """One line of a clock's history. ``at`` is the time of the event, never of the reading."""

    at: datetime
    event_id: str
    change: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that starts, meets, cancels, suspends or resumes one clock.

    ``target`` is the channel or subscription of a rule that has a clock for each. ``occurred_at`` is
    aware and whole milliseconds.
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

    @property
    def clock_id(self) -> str:
        """Id of the clock that the signal is for."""
        return clock_id(self.correlation_id, self.rule, self.target)


@dataclass(frozen=True, slots=True)
class ClockState:
    """One clock, with the names of the schema ``hub/clock-state``."""

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
