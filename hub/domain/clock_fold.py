"""What the log makes of a clock: a pure fold of signals, whatever order they come in.

Repeats change nothing: an event that stands in the history has had its effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

from hub.domain.calendar import Calendar, end_of, local_date
from hub.domain.clocks import Change, ClockRule, ClockState, Signal, Status

#: Changes by which a clock got the date that it counts from.
_TRIGGERS = ("started", "restarted", "amended")


def apply(
    state: ClockState | None, signal: Signal, rule: ClockRule, calendar: Calendar
) -> tuple[ClockState | None, bool]:
    """The clock after ``signal``, and whether that is another one. ``None`` where there is none yet."""
    if state is not None and any(line.event_id == signal.event_id for line in state.history):
        return state, False
    match signal.kind:
        case "start":
            after = _start(state or _blank(signal, rule, calendar), signal, rule, calendar)
        case "meet":
            after = _meet(state or _blank(signal, rule, calendar), signal)
        case "cancel":
            after = _cancel(state or _blank(signal, rule, calendar), signal)
        case _ if state is None:
            return None, False  # what does not run is neither suspended nor resumed
        case "suspend":
            after = _suspend(state, signal)
        case "resume":
            after = _resume(state, signal, rule, calendar)
    return (state, False) if after is None else (after, True)


def rederive(state: ClockState, rule: ClockRule, calendar: Calendar) -> ClockState | None:
    """An open clock under another version of its calendar; ``None`` where nothing is to be done.

    A clock keeps the version of the rule that it was started under: only the calendar moves it here.
    """
    started = state.last(*_TRIGGERS)
    is_current = state.calendar_version == calendar.version
    if not state.is_open or started is None or is_current or state.rule_version != rule.version:
        return None
    was = state.due_on
    derived = _derive(state, rule, calendar, started.at)
    note = f"calendar {state.calendar_version} -> {calendar.version}: due {was} -> {derived.due_on}"
    # The time of the last event: publishing a calendar is no event of this clock, and the reader's own
    # time would make another state of every reading.
    return _noted(derived, Change(state.history[-1].at, calendar.version, "rederived", note))


def _blank(signal: Signal, rule: ClockRule, calendar: Calendar) -> ClockState:
    return ClockState(
        clock_id=signal.clock_id, rule=rule.id, rule_version=rule.version, target=signal.target,
        subject=signal.subject, correlation_id=signal.correlation_id, owner_department=None,
        status=Status.AWAITING, calendar=calendar.name, calendar_version=calendar.version,
    )


def _start(state: ClockState, signal: Signal, rule: ClockRule, calendar: Calendar) -> ClockState | None:
    counts_from = signal.counts_from or local_date(signal.occurred_at)
    change = "started"
    if state.status is Status.CANCELLED:
        cancelled = state.last("cancelled")
        if cancelled is not None and signal.occurred_at <= cancelled.at:
            return None  # it was taken back after this
        state = replace(state, status=Status.AWAITING, met_at=None, met_event_id=None)
        change = "restarted"
    elif (started := state.last(*_TRIGGERS)) is not None:
        if counts_from == state.counts_from or signal.occurred_at < started.at:
            return None
        change = "amended"
    state = replace(
        state,
        rule_version=rule.version,
        trigger_event_id=signal.event_id,
        counts_from=counts_from,
        owner_department=signal.owner_department or state.owner_department,
        status=Status.RUNNING if state.status is Status.AWAITING else state.status,
    )
    line = Change(signal.occurred_at, signal.event_id, change)
    state = _derive(replace(state, history=(*state.history, line)), rule, calendar, signal.occurred_at)
    assert state.due_at is not None
    note = f"counts from {counts_from}, due {state.due_on}"
    if state.is_provisional:
        note += " (provisional)"
    if state.due_at < signal.occurred_at and change != "amended":
        note += ", overdue at birth"
    return replace(state, history=(*state.history[:-1], line._replace(note=note)))


def _meet(state: ClockState, signal: Signal) -> ClockState | None:
    is_earlier = state.met_at is None or signal.occurred_at < state.met_at
    if state.status is Status.CANCELLED or not is_earlier:
        return None
    state = replace(state, met_at=signal.occurred_at, met_event_id=signal.event_id)
    if state.trigger_event_id is None:
        return _noted(state, Change(signal.occurred_at, signal.event_id, "met-early", "met before its start"))
    state = _judged(state)
    change = "met-late" if state.status is Status.MET_LATE else "met"
    return _noted(state, Change(signal.occurred_at, signal.event_id, change))


def _cancel(state: ClockState, signal: Signal) -> ClockState | None:
    started = state.last(*_TRIGGERS)
    if state.status in (Status.MET, Status.MET_LATE, Status.CANCELLED):
        return None
    if started is not None and signal.occurred_at < started.at:
        return None  # it was started anew after this
    state = replace(state, status=Status.CANCELLED)
    return _noted(state, Change(signal.occurred_at, signal.event_id, "cancelled"))


def _suspend(state: ClockState, signal: Signal) -> ClockState | None:
    if state.status is not Status.RUNNING:
        return None
    state = replace(state, status=Status.SUSPENDED)
    return _noted(state, Change(signal.occurred_at, signal.event_id, "suspended"))


def _resume(state: ClockState, signal: Signal, rule: ClockRule, calendar: Calendar) -> ClockState | None:
    started = state.last(*_TRIGGERS)
    if state.status is not Status.SUSPENDED or started is None:
        return None
    state = replace(state, status=Status.RUNNING)
    state = _noted(state, Change(signal.occurred_at, signal.event_id, "resumed"))
    return _derive(state, rule, calendar, started.at)


def _derive(state: ClockState, rule: ClockRule, calendar: Calendar, triggered_at: datetime) -> ClockState:
    """Due date from trigger, rule, calendar and suspensions; another one voids warnings and breach."""
    assert state.counts_from is not None
    spans = list(_suspensions(state))
    n = rule.due.n
    match rule.due.unit:
        case "working-days":
            n += sum(calendar.count(local_date(start), local_date(end)) for start, end in spans)
            due = calendar.due_date(state.counts_from, n)
            due_on, is_provisional, due_at = due.date, due.is_provisional, end_of(due.date)
        case "calendar-days":
            n += sum((local_date(end) - local_date(start)).days for start, end in spans)
            due = calendar.due_date_in_calendar_days(state.counts_from, n)
            due_on, is_provisional, due_at = due.date, due.is_provisional, end_of(due.date)
        case "hours":
            stood_still = sum((end - start for start, end in spans), timedelta())
            due_at = triggered_at + timedelta(hours=n) + stood_still
            due_on, is_provisional = _last_day(due_at), False
    if due_at != state.due_at:
        state = replace(state, warned=(), breached_at=None)
    state = replace(
        state, due_on=due_on, due_at=due_at, is_provisional=is_provisional,
        calendar=calendar.name, calendar_version=calendar.version,
    )
    return _judged(state) if state.met_at is not None else state


def _last_day(due_at: datetime) -> date:
    return local_date(due_at - timedelta(milliseconds=1))


def _judged(state: ClockState) -> ClockState:
    """A met clock, in time or late; 24:00 of the due day is in time."""
    assert state.met_at is not None and state.due_at is not None
    is_late = state.met_at > state.due_at
    return replace(
        state,
        status=Status.MET_LATE if is_late else Status.MET,
        breached_at=state.due_at if is_late else None,
    )


def _suspensions(state: ClockState) -> Iterator[tuple[datetime, datetime]]:
    """The spans since the clock last began in which it stood still; the day of suspension counts."""
    began: datetime | None = None
    spans: list[tuple[datetime, datetime]] = []
    for line in state.history:
        if line.change == "restarted":
            spans.clear()
        elif line.change == "suspended":
            began = line.at
        elif line.change == "resumed" and began is not None:
            spans.append((began, max(began, line.at)))
    yield from spans


def _noted(state: ClockState, line: Change) -> ClockState:
    return replace(state, history=(*state.history, line))
