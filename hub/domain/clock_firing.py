"""What falls due as time goes on: warnings before the last day, the breach after it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hub.domain.calendar import Calendar, start_of
from hub.domain.clocks import Change, ClockRule, ClockState, Status
from hub.domain.events import derive_id

#: The last moment itself is in time: the breach is the next millisecond, the resolution of all times.
_TICK = timedelta(milliseconds=1)


class Alert(NamedTuple):
    """One alert. ``id`` is a function of clock, kind, level and due time: two owners raise the same one."""

    id: str
    kind: Literal["warned", "breached"]
    level: str | None
    moment: datetime


def next_moment(state: ClockState, rule: ClockRule | None, calendar: Calendar | None) -> datetime | None:
    """When the clock next has something to say; ``None`` for one that does not run or said it all."""
    if state.status is not Status.RUNNING or state.due_at is None or state.breached_at is not None:
        return None
    warnings = (moment for _, moment in _pending_warnings(state, rule, calendar))
    return min((*warnings, state.due_at + _TICK))


def fire(
    state: ClockState, rule: ClockRule | None, calendar: Calendar | None, now: datetime
) -> tuple[ClockState, Alert | None]:
    """The clock at ``now``, and what it says: the breach, else the most urgent warning that is due.

    Warnings that a more urgent one overtook (the hub was down, the clock began late) are noted as given
    and not raised: "five days left" helps nobody who has one. Only ``alert.raised_at`` is the time of
    the reader; the state holds the moment itself, and so is the same whoever fires and when.
    """
    if state.status is not Status.RUNNING or state.due_at is None or state.breached_at is not None:
        return state, None
    if now > state.due_at:
        alert = Alert(_alert_id(state, "breached", ""), "breached", None, state.due_at)
        state = replace(state, breached_at=state.due_at)
        return _noted(state, alert), alert
    reached = [(level, moment) for level, moment in _pending_warnings(state, rule, calendar) if moment <= now]
    if not reached:
        return state, None
    level, moment = min(reached)
    alert = Alert(_alert_id(state, "warned", str(level)), "warned", str(level), moment)
    given = {*state.warned, *(str(level) for level, _ in reached)}
    state = replace(state, warned=tuple(sorted(given, key=int, reverse=True)))
    return _noted(state, alert), alert


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


def _alert_id(state: ClockState, kind: str, level: str) -> str:
    assert state.due_at is not None
    return derive_id("alert", state.clock_id, kind, level, state.due_at.isoformat())


def _noted(state: ClockState, alert: Alert) -> ClockState:
    line = Change(alert.moment, alert.id, alert.kind, alert.level)
    return replace(state, history=(*state.history, line))
