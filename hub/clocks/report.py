"""Punctuality: how many deadlines were met in time, late or not at all, by rule, department and month. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from statistics import median
from typing import Any, Literal, NamedTuple

from hub.domain.calendar import Calendar, end_of, local_date
from hub.domain.clocks import Change, ClockRule, ClockState, Status

Outcome = Literal["met", "met_late", "overdue", "running", "suspended", "cancelled", "ended"]
OUTCOMES: tuple[Outcome, ...] = ("met", "met_late", "overdue", "running", "suspended", "cancelled", "ended")


class Axis(StrEnum):
    """What a report can be broken down by."""

    RULE = "rule"
    DEPARTMENT = "department"
    MONTH = "month"


class Round(NamedTuple):
    """One deadline: a clock, or one round of a clock that repeats. ``days_late`` in working days, of ``met_late``."""

    rule: str
    department: str | None
    due_on: date
    outcome: Outcome
    days_late: int | None = None


@dataclass(slots=True)
class Row:
    """One line of a report. ``key`` are values of the axes; the outcomes add up to ``total``.

    ``ended`` are terms that somebody bore to their end or was released from: nobody was late there.
    """

    key: tuple[str, ...]
    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    lateness: list[int] = field(default_factory=list)

    def add(self, each: Round) -> None:
        self.counts[each.outcome] += 1
        if each.days_late is not None:
            self.lateness.append(each.days_late)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def due(self) -> int:
        """Those that can be judged: met, met late, overdue."""
        return self.counts["met"] + self.counts["met_late"] + self.counts["overdue"]

    @property
    def punctuality(self) -> float | None:
        """Share of those that can be judged which were met in time, 0 to 1; ``None`` if there is none."""
        return round(self.counts["met"] / self.due, 4) if self.due else None

    def plain(self) -> dict[str, Any]:
        """The figures by name; lateness in working days."""
        late = self.lateness
        return {
            "total": self.total, "due": self.due, **{str(name): n for name, n in self.counts.items()},
            "median_days_late": median(late) if late else None, "worst_days_late": max(late) if late else None,
            "punctuality": self.punctuality,
        }


class Report(NamedTuple):
    """Rows in the order of their keys, and the sum of all."""

    by: tuple[Axis, ...]
    rows: list[Row]
    sum: Row


def report(
    states: Iterable[ClockState],
    rules: Mapping[str, ClockRule],
    calendars: Mapping[str, Calendar],
    now: datetime,
    *,
    by: Sequence[Axis] = (Axis.RULE,),
    first: date | None = None,
    last: date | None = None,
) -> Report:
    """Punctuality of all deadlines due from ``first`` to ``last`` (both included), as of ``now``.

    A month is that of the due day.
    """
    rows: dict[tuple[str, ...], Row] = {}
    whole = Row(())
    for state in states:
        for each in rounds_of(state, rules.get(state.rule), calendars.get(state.calendar), now):
            if not _lies_within(each.due_on, first, last):
                continue
            key = tuple([_value(each, axis) for axis in by])
            row = rows.setdefault(key, Row(key))
            row.add(each)
            whole.add(each)
    return Report(tuple(by), [rows[key] for key in sorted(rows)], whole)


def rounds_of(
    state: ClockState, rule: ClockRule | None, calendar: Calendar | None, now: datetime
) -> Iterator[Round]:
    """The finished rounds of a clock and the one that it is in; nothing of a clock that never began."""
    is_term = rule is not None and rule.on_due == "expire"
    met: Change | None = None
    due_on: date | None = None
    department = state.owner_department
    for line in state.history:
        if line.kind == "start":
            if line.change == "restarted" and met is not None and due_on is not None:
                # One that was met before its start has the due day of that start.
                is_late = met.change == "met-late" or (met.change == "met-early" and met.at > end_of(due_on))
                yield _done(state.rule, department, due_on, met.at if is_late else None, is_term, calendar)
            if line.change == "restarted":
                met = None
            if line.change != "repeated":
                # One that changed nothing did not hand it to another department either.
                department = line.owner_department or department
        if line.change in ("started", "restarted", "amended", "resumed"):
            due_on = line.due_on
        elif line.change in ("met", "met-late", "met-early"):
            met = line
    if state.trigger_event_id is not None and state.due_on is not None and state.due_at is not None:
        yield _current(state, state.due_on, state.due_at, is_term, calendar, now)


def _current(
    state: ClockState, due_on: date, due_at: datetime, is_term: bool, calendar: Calendar | None, now: datetime
) -> Round:
    owner = state.owner_department
    match state.status:
        case Status.MET | Status.MET_LATE:
            late_at = state.met_at if state.status is Status.MET_LATE else None
            return _done(state.rule, owner, due_on, late_at, is_term, calendar)
        case Status.EXPIRED:
            return Round(state.rule, owner, due_on, "ended")
        case Status.RUNNING if now > due_at:
            return Round(state.rule, owner, due_on, "ended" if is_term else "overdue")
        case Status.RUNNING:
            return Round(state.rule, owner, due_on, "running")
        case Status.SUSPENDED:
            return Round(state.rule, owner, due_on, "suspended")
    return Round(state.rule, owner, due_on, "cancelled")


def _done(
    rule: str, department: str | None, due_on: date, late_at: datetime | None, is_term: bool, calendar: Calendar | None
) -> Round:
    """``late_at`` is when it was met, if that was too late."""
    if is_term:
        return Round(rule, department, due_on, "ended")
    if late_at is None:
        return Round(rule, department, due_on, "met")
    days = calendar.count(due_on, local_date(late_at)) if calendar is not None else None
    return Round(rule, department, due_on, "met_late", days)


def _lies_within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def _value(each: Round, axis: Axis) -> str:
    match axis:
        case Axis.RULE:
            return each.rule
        case Axis.DEPARTMENT:
            return each.department or ""
    return each.due_on.isoformat()[:7]
