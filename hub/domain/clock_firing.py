"""What falls due as time goes on: warnings before the last day, the end, reminders after it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hub.domain.calendar import Calendar, end_of, start_of
from hub.domain.clocks import Change, ClockRule, ClockState, Status
from hub.domain.events import derive_id

AlertKind = Literal["warned", "breached", "escalated", "expired"]
#: The last moment itself is in time: the breach is the next millisecond, the resolution of all times.
_TICK = timedelta(milliseconds=1)


class Alert(NamedTuple):
    """One alert. ``id`` is a function of clock, kind, level and due time: two owners raise the same one.

    ``level`` is working days (or hours) left for a warning, passed for an escalation. ``is_again``: of an end that was
    said before, of an earlier version of the record.
    """

    id: str
    kind: AlertKind
    level: str | None
    moment: datetime
    is_again: bool = False


def next_moment(state: ClockState, rule: ClockRule | None, calendar: Calendar | None) -> datetime | None:
    """When the clock next has something to say; ``None`` for one that does not run or said it all."""
    if state.status is not Status.RUNNING or state.due_at is None:
        return None
    if state.breached_at is not None:
        return min((moment for _, moment in _pending_escalations(state, rule, calendar)), default=None)
    warnings = (moment for _, moment in _pending_warnings(state, rule, calendar))
    return min((*warnings, state.due_at + _TICK))


def fire(
    state: ClockState, rule: ClockRule | None, calendar: Calendar | None, now: datetime
) -> tuple[ClockState, Alert | None]:
    """The clock at ``now``, and the one thing that it says: its end, else the most urgent that is due.

    What a more urgent thing overtook (the hub was down, the clock began late) is noted as said and not
    raised: "five days left" helps nobody who has one. Only ``alert.raised_at`` is the time of
    the reader; the state holds the moment itself, and so is the same whoever fires and when. A clock that
    may have more to say at ``now`` has a ``next_moment`` that lies before it.
    """
    if state.status is not Status.RUNNING or state.due_at is None:
        return state, None
    if state.breached_at is None and now > state.due_at:
        kind: AlertKind = "expired" if rule is not None and rule.on_due == "expire" else "breached"
        is_again = any(line.change == "expired" and line.due_at == state.due_at for line in state.history)
        alert = Alert(_alert_id(state, kind, ""), kind, None, state.due_at, is_again)
        after = _noted(state, kind, None, alert.moment)
        if kind == "expired":
            return after._replace(status=Status.EXPIRED), alert
        return after._replace(breached_at=alert.moment), alert
    if state.breached_at is None:
        reached = [(level, moment) for level, moment in _pending_warnings(state, rule, calendar) if moment <= now]
        kind, urgent = "warned", min
    else:
        reached = [(level, moment) for level, moment in _pending_escalations(state, rule, calendar) if moment <= now]
        kind, urgent = "escalated", max
    if not reached:
        return state, None
    level, moment = urgent(reached)
    for overtaken, when in reached:
        state = _noted(state, kind, str(overtaken), when)
    if kind == "warned":
        given = {*state.warned, *(str(level) for level, _ in reached)}
        state = state._replace(warned=tuple(sorted(given, key=int, reverse=True)))
    return state, Alert(_alert_id(state, kind, str(level)), kind, str(level), moment)


def _pending_warnings(
    state: ClockState, rule: ClockRule | None, calendar: Calendar | None
) -> Iterator[tuple[int, datetime]]:
    if rule is None or calendar is None or state.due_on is None or state.due_at is None:
        return
    for level in rule.warn:
        if str(level) not in state.warned:
            if rule.due.unit == "hours":
                yield level, state.due_at - timedelta(hours=level)
            else:
                yield level, start_of(calendar.before(state.due_on, level))


def _pending_escalations(
    state: ClockState, rule: ClockRule | None, calendar: Calendar | None
) -> Iterator[tuple[int, datetime]]:
    if rule is None or calendar is None or not rule.escalate or state.due_on is None or state.due_at is None:
        return
    said = {line.note for line in state.history if line.change == "escalated" and line.due_at == state.due_at}
    for level in rule.escalate:
        if str(level) not in said:
            if rule.due.unit == "hours":
                yield level, state.due_at + timedelta(hours=level)
            else:
                yield level, end_of(calendar.due_date(state.due_on, level).date)


def _alert_id(state: ClockState, kind: str, level: str) -> str:
    assert state.due_at is not None
    return derive_id("alert", state.clock_id, kind, level, state.due_at.isoformat())


def _noted(state: ClockState, kind: str, level: str | None, moment: datetime) -> ClockState:
    # Nothing was said of a clock before it began, however late that was.
    at = max(moment, state.history[-1].at) if state.history else moment
    # An end is one of the versions that the clock knows; all else is of the clock.
    sequence = state.sequence if kind == "expired" else 0
    line = Change(at, _alert_id(state, kind, level or ""), kind, level, due_at=state.due_at, sequence=sequence)
    return state._replace(history=(*state.history, line))
