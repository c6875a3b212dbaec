"""Punctuality: every deadline counts once, and the numbers add up."""

from __future__ import annotations

from dataclasses import replace

from hub.clocks.report import Axis, Row, report
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockRule, ClockState, Due, Signal
from tests.support_clocks import CALENDARS, DEPARTMENT, DISCLOSE, at, signal

#: Due on 2026-03-30, of a trigger on 2026-03-02.
PLAIN = DISCLOSE
ROUNDS = replace(PLAIN, id="rounds", repeats=True, due=Due(3, "working-days"))
TERM = replace(PLAIN, id="term", on_due="expire", due=Due(1, "years"))
STOPS = replace(PLAIN, id="stops")
HOURS = replace(PLAIN, id="hours", due=Due(24, "hours"))
RULES = {rule.id: rule for rule in (PLAIN, ROUNDS, TERM, STOPS, HOURS)}
OTHER = "11623000990000148W"


def clock(rule: ClockRule, *signals: Signal) -> ClockState:
    state: ClockState | None = None
    for each in signals:
        state, _ = apply(state, each, rule, CALENDARS[rule.calendar])
    assert state is not None
    return state


def start(rule: ClockRule, entity: str, day: str, event: str = "s") -> Signal:
    return signal("start", f"{event}-{entity}-{day}", day, rule=rule, counts_from=day[:10], entity=entity)


def then(rule: ClockRule, kind: str, entity: str, when: str) -> Signal:
    return signal(kind, f"{kind}-{entity}-{when}", when, rule=rule, entity=entity)


STATES = [
    clock(PLAIN, start(PLAIN, "a", "2026-03-02"), then(PLAIN, "meet", "a", "2026-03-05")),
    clock(PLAIN, start(PLAIN, "b", "2026-03-02"), then(PLAIN, "meet", "b", "2026-04-01")),  # 2 working days late
    clock(PLAIN, start(PLAIN, "c", "2026-03-02"), then(PLAIN, "meet", "c", "2026-04-03")),  # 4
    clock(PLAIN, start(PLAIN, "d", "2026-03-02")),  # overdue
    clock(PLAIN, start(PLAIN, "e", "2026-06-01")),  # running
    clock(
        PLAIN,
        start(PLAIN, "f", "2026-03-02")._replace(owner_department=OTHER), then(PLAIN, "cancel", "f", "2026-03-03"),
    ),
    clock(PLAIN, then(PLAIN, "meet", "g", "2026-03-03")),  # waits for a start that did not come
    clock(PLAIN, then(PLAIN, "cancel", "h", "2026-03-03")),  # never began
    clock(STOPS, start(STOPS, "i", "2026-03-02"), then(STOPS, "suspend", "i", "2026-03-04")),
    clock(TERM, start(TERM, "j", "2025-03-03")),
    clock(TERM, start(TERM, "k", "2025-03-03"), then(TERM, "meet", "k", "2026-03-10")),
    clock(HOURS, start(HOURS, "m", "2026-03-02T01:00"), then(HOURS, "meet", "m", "2026-03-03T02:00")),
]
NOW = at("2026-06-02")


def row(rows: list[Row], *key: str) -> dict[str, object]:
    (found,) = [each.plain() for each in rows if each.key == key]
    return found


def test_every_outcome_by_rule() -> None:
    found = report(STATES, RULES, CALENDARS, NOW)
    disclose = row(found.rows, "disclose")
    assert disclose == {
        "total": 6, "due": 4, "met": 1, "met_late": 2, "overdue": 1, "running": 1, "suspended": 0, "cancelled": 1,
        "ended": 0, "median_days_late": 3, "worst_days_late": 4, "punctuality": 0.25,
    }
    assert row(found.rows, "stops")["suspended"] == 1
    term = row(found.rows, "term")
    assert (term["ended"], term["due"], term["punctuality"]) == (2, 0, None)
    hours = row(found.rows, "hours")
    assert (hours["met_late"], hours["worst_days_late"]) == (1, 0)  # late on the last day itself
    assert found.sum.total == sum(each.total for each in found.rows) == 10


def test_each_round_counts() -> None:
    rounds = clock(
        ROUNDS,
        start(ROUNDS, "r", "2026-03-02"), then(ROUNDS, "meet", "r", "2026-03-03"),
        start(ROUNDS, "r", "2026-04-01"), start(ROUNDS, "r", "2026-04-02"), then(ROUNDS, "meet", "r", "2026-04-13"),
        start(ROUNDS, "r", "2026-05-11"),
    )
    found = report([rounds], RULES, CALENDARS, at("2026-05-12"), by=(Axis.MONTH,))
    # 1 April: the 2nd, the 3rd, then 清明 on Monday the 6th; due on the 7th, met on the 13th.
    assert {each.key[0]: {name for name, n in each.counts.items() if n} for each in found.rows} == {
        "2026-03": {"met"}, "2026-04": {"met_late"}, "2026-05": {"running"},
    }
    assert row(found.rows, "2026-04")["worst_days_late"] == 4
    assert found.sum.total == 3


def test_a_round_met_before_its_start_counts() -> None:
    rounds = clock(
        ROUNDS, then(ROUNDS, "meet", "r", "2026-03-02"),
        start(ROUNDS, "r", "2026-03-03"), start(ROUNDS, "r", "2026-05-11"),
    )
    found = report([rounds], RULES, CALENDARS, at("2026-05-12"))
    assert (found.sum.counts["met"], found.sum.counts["running"], found.sum.total) == (1, 1, 2)


def test_breakdowns_add_up_and_days_narrow() -> None:
    by = (Axis.DEPARTMENT, Axis.RULE, Axis.MONTH)
    found = report(STATES, RULES, CALENDARS, NOW, by=by)
    for name in found.sum.counts:
        assert sum(each.counts[name] for each in found.rows) == found.sum.counts[name]
    assert {each.key[0] for each in found.rows} == {DEPARTMENT, OTHER}
    march = report(STATES, RULES, CALENDARS, NOW, first=at("2026-03-01").date(), last=at("2026-03-31").date())
    assert march.sum.total == sum(each.total for each in found.rows if each.key[2] == "2026-03") < found.sum.total


def test_nobody_is_overdue_before_the_last_moment() -> None:
    states = [clock(PLAIN, start(PLAIN, "d", "2026-03-02"))]
    (due_at,) = [state.due_at for state in states]
    assert due_at is not None
    assert report(states, RULES, CALENDARS, due_at).sum.counts["running"] == 1
    assert report(states, RULES, CALENDARS, due_at.replace(microsecond=1000)).sum.counts["overdue"] == 1
