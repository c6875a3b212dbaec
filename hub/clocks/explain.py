"""Why a clock is due when it is: all that its due day rests on, as one plain value. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from hub.clocks.wire import state_to_value
from hub.domain.calendar import Calendar, add_months, end_of, last_day_of_month, local_date
from hub.domain.clocks import Change, ClockRule, ClockState, Due, Status

_BEGINNINGS = ("started", "restarted")
_SAID = ("warned", "breached", "escalated", "expired")
_STANDS_UNTIL = ("resumed", "met", "met-late", "cancelled")
_REDERIVED = re.compile(r"calendar (\S+) -> (\S+): due (\S+) -> (\S+)")


def explain(state: ClockState, rule: ClockRule | None, calendar: Calendar | None) -> dict[str, Any]:
    """All of one clock: ``rule`` and ``calendar`` are today's, the clock itself says what it was counted by.

    ``trigger`` is what it counts from, ``period`` what it counts, ``days_off`` pairs of (day, reason) that lie
    in the period and do not count, ``moved`` those that moved its last day, ``standstill`` the times in which it
    was suspended, ``changes`` its signals with the due day each led to, ``rederived`` the moves by another
    calendar, ``said`` the alerts, ``met`` what met it, ``rounds`` the rounds that are over. Of a clock that
    repeats all but ``changes``, ``rederived``, ``said`` and ``rounds`` speak of the round that it is in.
    """
    period = _period(state, rule)
    lines = _round(state.history)
    standstill = _standstill(lines, None if _names_its_end(state, lines) else period, calendar)
    return {
        "clock": state_to_value(state),
        "trigger": _trigger(state, lines),
        "rule": None if rule is None else {
            "title": rule.title, "due": str(rule.due), "basis": rule.basis, "source": rule.source,
            "version": rule.version, "escalates_to": rule.escalates_to, "owner": rule.owner,
        },
        "has_rule_changed": rule is not None and rule.version != state.rule_version,
        "period": None if period is None else {"n": period.n, "unit": period.unit, "text": period_text(period)},
        "calendar": None if calendar is None else {"title": calendar.title, "version": calendar.version},
        "is_calendar_current": calendar is not None and calendar.version == state.calendar_version,
        "days_off": _days_off(state, lines, period, calendar),
        "moved": _moved(state, lines, period, standstill, rule, calendar),
        "standstill": standstill,
        "changes": [
            {
                "at": line.at, "event_id": line.event_id, "kind": line.kind, "change": line.change, "note": line.note,
                "counts_from": line.counts_from, "due_on": line.due_on,
            }
            for line in state.history if line.kind is not None
        ],
        "rederived": [_rederived(line) for line in state.history if line.change == "rederived"],
        "said": [
            {
                "at": line.at, "alert_id": line.event_id, "kind": line.change, "level": line.note,
                "due_at": line.due_at, "is_of_this_due_time": line.due_at == state.due_at,
            }
            for line in state.history if line.change in _SAID
        ],
        "met": _met(state, calendar),
        "rounds": _rounds(state.history),
    }


def period_text(period: Due) -> str:
    """A period in Chinese."""
    match period.unit:
        case "working-days":
            return f"{period.n}个工作日"
        case "calendar-days":
            return f"{period.n}日"
        case "hours":
            return f"{period.n}小时"
        case "months":
            return f"{period.n}个月"
        case "years":
            return f"{period.n}年"
    day = "最后一日" if period.day == 31 else f"{period.day}日"
    return f"当年{period.month}月{day}" if period.month else f"当月{day}"


def _period(state: ClockState, rule: ClockRule | None) -> Due | None:
    if state.period:
        return Due.parse(state.period)
    return None if rule is None else rule.due


def _round(history: Sequence[Change]) -> Sequence[Change]:
    """The lines of the round that the clock is in, with all that came before the first."""
    last = max((place for place, line in enumerate(history) if line.change == "restarted"), default=0)
    return history[last:]


def _trigger(state: ClockState, lines: Sequence[Change]) -> dict[str, Any] | None:
    for line in lines:
        if line.kind == "start" and line.event_id == state.trigger_event_id:
            return {
                "event_id": line.event_id, "at": line.at, "counts_from": line.counts_from or local_date(line.at),
                "until": line.until,
            }
    return None


def _names_its_end(state: ClockState, lines: Sequence[Change]) -> bool:
    trigger = _trigger(state, lines)
    return trigger is not None and trigger["until"] is not None


def _days_off(
    state: ClockState, lines: Sequence[Change], period: Due | None, calendar: Calendar | None
) -> list[tuple[date, str]]:
    is_counted = period is not None and period.unit == "working-days" and not _names_its_end(state, lines)
    if not is_counted or calendar is None or state.counts_from is None or state.due_on is None:
        return []
    return _why(calendar, state.counts_from + timedelta(1), state.due_on + timedelta(1))


def _why(calendar: Calendar, first: date, end: date) -> list[tuple[date, str]]:
    """Days off from ``first`` to the day before ``end``."""
    days = (first + timedelta(n) for n in range((end - first).days))
    return [(day, reason) for day in days if (reason := calendar.why_off(day)) is not None]


def _moved(
    state: ClockState, lines: Sequence[Change], period: Due | None, standstill: Sequence[dict[str, Any]],
    rule: ClockRule | None, calendar: Calendar | None,
) -> dict[str, Any] | None:
    """Where a period of days, months, years or to a date ended on a day off."""
    start = state.counts_from
    if period is None or calendar is None or start is None or state.due_on is None or _names_its_end(state, lines):
        return None
    match period.unit:
        case "calendar-days":
            nominal = start + timedelta(period.n)
        case "months":
            nominal = add_months(start, period.n)
        case "years":
            nominal = add_months(start, 12 * period.n)
        case "date":
            month = period.month or start.month
            nominal = start.replace(month=month, day=min(period.day, last_day_of_month(start.year, month)))
        case _:
            return None
    nominal += timedelta(sum(each["days"] or 0 for each in standstill))
    if nominal >= state.due_on or (rule is not None and rule.on_due == "expire"):
        return None
    return {"from": nominal, "to": state.due_on, "days_off": _why(calendar, nominal, state.due_on)}


#: What ends a standstill whose time is added.
_ADDS_UNTIL = frozenset(("resumed", "met", "met-late"))


def _standstill(
    lines: Sequence[Change], period: Due | None, calendar: Calendar | None
) -> list[dict[str, Any]]:
    """Suspensions. ``days`` is what each adds: working days or days, by the unit; ``None`` where it adds nothing.

    It adds nothing while it lasts, where the clock was cancelled meanwhile, and where the event names the last
    day itself (``period`` is ``None``).
    """
    found: list[dict[str, Any]] = []
    begin: Change | None = None
    for line in lines:
        if line.change == "suspended":
            begin = line
        elif line.change in _STANDS_UNTIL and begin is not None:
            found.append(_span(begin, line, period, calendar))
            begin = None
    if begin is not None:
        found.append(_span(begin, None, period, calendar))
    return found


def _span(begin: Change, end: Change | None, period: Due | None, calendar: Calendar | None) -> dict[str, Any]:
    days: int | None = None
    hours: float | None = None
    is_resumed = end is not None and end.change == "resumed"
    if end is not None and end.change in _ADDS_UNTIL and period is not None:
        first, last = local_date(begin.at), local_date(end.at)
        if period.unit == "hours":
            hours = round((end.at - begin.at) / timedelta(hours=1), 2)
        elif period.unit != "working-days":
            days = (last - first).days
        elif calendar is not None:
            days = calendar.count(first, last)
    return {
        "from": begin.at, "to": end.at if end else None, "suspended_by": begin.event_id,
        "resumed_by": end.event_id if end and is_resumed else None, "days": days, "hours": hours,
    }


def _rederived(line: Change) -> dict[str, Any]:
    made: dict[str, Any] = {"at": line.at, "event_id": line.event_id, "note": line.note, "due_on": line.due_on}
    found = _REDERIVED.match(line.note or "")
    if found:
        names = ("calendar_before", "calendar_after", "due_before", "due_after")
        made |= dict(zip(names, found.groups(), strict=True))
    return made


def _met(state: ClockState, calendar: Calendar | None) -> dict[str, Any] | None:
    if state.met_event_id is None or state.met_at is None:
        return None
    late = None
    if state.status is Status.MET_LATE and state.due_on is not None and calendar is not None:
        late = calendar.count(state.due_on, local_date(state.met_at))
    return {"event_id": state.met_event_id, "at": state.met_at, "working_days_late": late}


def _rounds(history: Sequence[Change]) -> list[dict[str, Any]]:
    """Rounds that ended because another began: each met, or cancelled."""
    found: list[dict[str, Any]] = []
    start: Change | None = None
    end: Change | None = None
    due_on: date | None = None
    for line in history:
        if line.change == "restarted" and start is not None and end is not None:
            is_late = end.change == "met-late" or (
                end.change == "met-early" and due_on is not None and end.at > end_of(due_on)
            )
            outcome = "cancelled" if end.change == "cancelled" else "met_late" if is_late else "met"
            found.append({
                "counts_from": start.counts_from, "due_on": due_on, "outcome": outcome,
                "ended_at": end.at, "event_id": end.event_id,
            })
            start = end = None
        if line.change in _BEGINNINGS or line.change == "amended":
            start = line
        if line.change in (*_BEGINNINGS, "amended", "resumed"):
            due_on = line.due_on
        elif line.change in ("met", "met-late", "met-early", "cancelled"):
            end = line
    return found
