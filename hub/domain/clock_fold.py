"""What the log makes of a clock: a function of the set of its signals, whatever order they are read in.

A clock keeps each signal as a line of its history. With every new one the lines are put in the order of
their times and gone through from the first: so a signal that comes late falls into its place, and a
repeat, which stands there already, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from hub.domain.calendar import Calendar, DueDate, add_months, end_of, last_day_of_month, local_date
from hub.domain.clocks import Change, ClockRule, ClockState, Due, Signal, Status

#: Of signals of one instant: what begins a clock comes first, an event that starts and meets leaves it met.
_RANK = {"start": 0, "resume": 1, "suspend": 2, "meet": 3, "cancel": 4}
#: A line that the hub said stands behind the signals of its instant.
_SAID = 9


def apply(
    state: ClockState | None, signal: Signal, rule: ClockRule, calendar: Calendar, clock_id: str | None = None
) -> tuple[ClockState, bool]:
    """The clock after ``signal``, and whether that is another one. ``clock_id`` is the signal's, where it is known."""
    line = Change(
        signal.occurred_at, signal.event_id, signal.kind, None, signal.kind,
        signal.counts_from, signal.until, signal.owner_department, sequence=signal.sequence,
    )
    if state is None:
        return refold(_blank(signal, rule, calendar, clock_id or signal.clock_id), (line,), rule, calendar), True
    for known in state.history:
        if known.event_id == line.event_id and known.kind == line.kind:
            return state, False
    return refold(state, (*state.history, line), rule, calendar), True


def rederive(
    state: ClockState, rule: ClockRule, calendar: Calendar, cause: str, at: datetime
) -> ClockState | None:
    """An open clock under another version of its calendar; ``None`` where nothing is to be done.

    ``cause`` and ``at`` are the event that published the calendar: the same whoever reads it, and when.
    """
    if not state.is_open or state.calendar_version == calendar.version:
        return None
    after = refold(state, state.history, rule, calendar)
    note = f"calendar {state.calendar_version} -> {calendar.version}: due {state.due_on} -> {after.due_on}"
    line = Change(at, cause, "rederived", note, due_on=after.due_on)
    return after._replace(history=tuple(sorted((*after.history, line), key=_place)))


def refold(state: ClockState, lines: Iterable[Change], rule: ClockRule, calendar: Calendar) -> ClockState:
    """The clock that these lines make of what identifies ``state``."""
    ordered = sorted(lines, key=_place)
    period = Due.parse(state.period) if state.period else rule.due
    run = _Run(state, rule, calendar, period)
    history = tuple([run.take(line) if line.kind is not None else line for line in ordered])
    return run.close(history)


def _place(line: Change) -> tuple[datetime, int, str]:
    return line.at, _SAID if line.kind is None else _RANK[line.kind], line.event_id


def _blank(signal: Signal, rule: ClockRule, calendar: Calendar, clock_id: str) -> ClockState:
    return ClockState(
        clock_id, rule.id, rule.version, signal.target, signal.subject, signal.correlation_id,
        None, Status.AWAITING, calendar.name, calendar.version,
    )


class _Period(NamedTuple):
    due_on: date
    due_at: datetime
    is_provisional: bool


class _Run:
    """One pass over the signals of a clock, in the order of their times."""

    __slots__ = (
        "calendar", "counts_from", "due", "is_cancelled", "met", "met_count", "owner", "period", "rule", "rule_version",
        "spans", "started", "state", "stopped_at", "until",
    )

    def __init__(self, state: ClockState, rule: ClockRule, calendar: Calendar, period: Due) -> None:
        self.state, self.rule, self.calendar, self.period = state, rule, calendar, period
        self.rule_version = state.rule_version
        self.owner = state.owner_department
        self.started: Change | None = None
        self.counts_from: date | None = None
        self.until: date | None = None
        self.due: _Period | None = None
        self.met: Change | None = None
        self.met_count = 0
        self.is_cancelled = False
        self.spans: list[tuple[datetime, datetime]] = []
        self.stopped_at: datetime | None = None

    def take(self, line: Change) -> Change:
        """Lets the line have its effect; returns it with what that was."""
        match line.kind:
            case "start":
                return self._start(line)
            case "meet":
                return self._meet(line)
            case "cancel":
                return self._cancel(line)
            case "suspend":
                return self._suspend(line)
            case _:
                return self._resume(line)

    def close(self, history: tuple[Change, ...]) -> ClockState:
        """The clock after the last line, with what was said of it."""
        due, met = self.due, self.met
        warned: tuple[str, ...] = ()
        breached_at, has_expired = None, False
        if due is not None and len(history) > 1:
            said = [line for line in history if line.kind is None and line.due_at == due.due_at]
            levels = {line.note for line in said if line.change == "warned" and line.note}
            warned = tuple(sorted(levels, key=int, reverse=True))
            if any(line.change == "breached" for line in said):
                breached_at = due.due_at
            # The end was said of the versions that were heard of by then; a later one is public until it ends too.
            heard = max(line.sequence for line in history if line.kind is not None)
            has_expired = any(line.change == "expired" and line.sequence >= heard for line in said)
        status = self._status()
        if status is Status.RUNNING and has_expired:
            status = Status.EXPIRED
        if status is Status.MET:
            breached_at = None
        elif status is Status.MET_LATE and due is not None:
            breached_at = due.due_at
        head = self.state
        return ClockState(
            head.clock_id, head.rule, self.rule_version, head.target, head.subject, head.correlation_id,
            self.owner, status, self.calendar.name, self.calendar.version,
            self.started.event_id if self.started else None, self.counts_from,
            due.due_on if due else None, due.due_at if due else None, due.is_provisional if due else False,
            met.at if met else None, met.event_id if met else None,
            warned, breached_at, history, str(self.period) if self.started else "",
        )

    def _status(self) -> Status:
        if self.started is None or self.due is None:
            return Status.AWAITING
        if self.is_cancelled:
            return Status.CANCELLED
        if self.met is not None:
            # 24:00 of the due day is in time.
            return Status.MET_LATE if self.met.at > self.due.due_at else Status.MET
        return Status.RUNNING if self.stopped_at is None else Status.SUSPENDED

    def _start(self, line: Change) -> Change:
        counts_from = line.counts_from or local_date(line.at)
        was_met = self.met is not None and self.started is not None
        if self.is_cancelled or (was_met and self.rule.repeats):
            change = "restarted"
            self.is_cancelled, self.met, self.met_count, self.stopped_at = False, None, 0, None
            self.spans = []
            self.period, self.rule_version = self.rule.due, self.rule.version
        elif self.started is None:
            change = "started"
        elif self.rule.repeats or (counts_from, line.until) == (self.counts_from, self.until):
            return line._replace(change="repeated", note=None, due_on=None)
        else:
            change = "amended"
        self.started, self.counts_from, self.until = line, counts_from, line.until
        self.owner = line.owner_department or self.owner
        due = self._derive()
        notes = [f"counts from {counts_from}"]
        if due.is_provisional:
            notes.append("provisional")
        if due.due_at < line.at and change != "amended":
            notes.append("overdue at birth")
        # Written out: this is every clock's first line, and ``_replace`` takes its time.
        return Change(
            line.at, line.event_id, change, ", ".join(notes), "start",
            line.counts_from, line.until, line.owner_department, due.due_on, None, line.sequence,
        )

    def _meet(self, line: Change) -> Change:
        if self.is_cancelled:
            return line._replace(change="ignored", note="the clock was cancelled", due_on=None)
        if self.met is not None:
            return line._replace(change="met-again", note=None, due_on=None)
        self.met_count += 1
        if self.met_count < self.rule.meets:
            return line._replace(change="counted", note=f"{self.met_count} of {self.rule.meets}", due_on=None)
        self.met = line
        if self.started is None or self.due is None:
            return line._replace(change="met-early", note="met before its start", due_on=None)
        if self.stopped_at is not None:
            # It stood still to the moment that it was met: that time is not held against it.
            self.spans.append((self.stopped_at, line.at))
            self.stopped_at = None
            self.due = self._derive()
        change = "met-late" if line.at > self.due.due_at else "met"
        return line._replace(change=change, note=None, due_on=self.due.due_on)

    def _cancel(self, line: Change) -> Change:
        if self.met is not None and self.started is not None:
            return line._replace(change="ignored", note="the clock was met", due_on=None)
        self.is_cancelled = True
        return line._replace(change="cancelled", note=None, due_on=None)

    def _suspend(self, line: Change) -> Change:
        if self._status() is not Status.RUNNING:
            return line._replace(change="ignored", note="the clock did not run", due_on=None)
        if self.due is not None and line.at > self.due.due_at:
            return line._replace(change="ignored", note="the period had ended", due_on=None)
        self.stopped_at = line.at
        return line._replace(change="suspended", note=None, due_on=None)

    def _resume(self, line: Change) -> Change:
        if self.stopped_at is None or self._status() is not Status.SUSPENDED:
            return line._replace(change="ignored", note="the clock did not stand still", due_on=None)
        self.spans.append((self.stopped_at, line.at))
        self.stopped_at = None
        return line._replace(change="resumed", note=None, due_on=self._derive().due_on)

    def _derive(self) -> _Period:
        """Due date from trigger, period, calendar and the spans in which the clock stood still."""
        assert self.started is not None and self.counts_from is not None
        if self.until is not None:
            # The record names its last day itself.
            self.due = _Period(self.until, end_of(self.until), False)
        elif self.period.unit == "hours":
            stood_still = sum((end - start for start, end in self.spans), timedelta())
            due_at = self.started.at + timedelta(hours=self.period.n) + stood_still
            self.due = _Period(local_date(due_at - timedelta(milliseconds=1)), due_at, False)
        else:
            self.due = self._derive_day()
        return self.due

    def _derive_day(self) -> _Period:
        assert self.counts_from is not None
        is_working = self.period.unit == "working-days"
        stood_still = sum(
            self.calendar.count(local_date(begin), local_date(end)) if is_working
            else (local_date(end) - local_date(begin)).days
            for begin, end in self.spans
        )
        found = last_day(self.period, self.counts_from, self.calendar, self.rule.on_due, stood_still=stood_still)
        return _Period(found.date, end_of(found.date), found.is_provisional)


def last_day(
    period: Due, start: date, calendar: Calendar, on_due: Literal["breach", "expire"] = "breach", *,
    stood_still: int = 0,
) -> DueDate:
    """The last day of a period of days, months or years, or a fixed date, that is counted from ``start``.

    ``stood_still`` is how many days (working days where it counts those) it did not run. InputError beyond 9999.
    """
    nominal = nominal_day(period, start)
    if nominal is None:
        return calendar.due_date(start, period.n + stood_still)
    nominal += timedelta(stood_still)
    # A term that somebody bears ends on its day: a day off does not lengthen it.
    return DueDate(nominal, False) if on_due == "expire" else calendar.rolled(nominal)


def nominal_day(period: Due, start: date) -> date | None:
    """The last day as the period itself says it; ``None`` for working days and hours. InputError beyond 9999."""
    match period.unit:
        case "working-days" | "hours":
            return None
        case "calendar-days":
            return start + timedelta(period.n)
        case "months":
            return add_months(start, period.n)
        case "years":
            return add_months(start, 12 * period.n)
        case _:
            month = period.month or start.month
            return start.replace(month=month, day=min(period.day, last_day_of_month(start.year, month)))
