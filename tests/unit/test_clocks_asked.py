"""What holds of every clock that can be: its explanation adds up to its due day, and each round is counted once."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli.clocks_explain import explanation
from hub.clocks.explain import explain
from hub.clocks.report import Axis, report, rounds_of
from hub.domain.clock_firing import fire
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockRule, ClockState, Due, Signal, SignalKind, Status
from hub.domain.events import derive_id
from hub.domain.plain import to_plain
from tests.support_clocks import CALENDARS, DEPARTMENT, SUBJECT

GANNAN = CALENDARS["gannan"]
FIRST = datetime(2024, 9, 1, tzinfo=UTC)
OTHER = "11623000990000033N"

dues = st.one_of(
    st.builds(Due, st.integers(1, 45), st.sampled_from(("working-days", "calendar-days"))),
    st.builds(Due, st.integers(1, 72), st.just("hours")),
    st.builds(Due, st.integers(1, 14), st.just("months")),
    st.builds(Due, st.integers(1, 3), st.just("years")),
    st.builds(Due, st.just(0), st.just("date"), st.integers(0, 12), st.integers(1, 31)),
)
rules = st.builds(
    ClockRule, id=st.just("r"), title=st.just("时限"), starts_on=st.just(("a.b.recorded",)), counts_from=st.just(""),
    due=dues, met_by=st.just(("a.b.done",)), warn=st.just((5, 1)), escalate=st.just((3,)), repeats=st.booleans(),
    on_due=st.sampled_from(("breach", "breach", "expire")), meets=st.sampled_from((1, 1, 2)),
)
kinds: st.SearchStrategy[SignalKind] = st.sampled_from(("start", "start", "meet", "cancel", "suspend", "resume"))
#: (kind, hours after the first moment, days that the date lies before, days that it runs, who)
told = st.tuples(
    kinds, st.integers(0, 24 * 120), st.integers(0, 9), st.none() | st.integers(1, 40),
    st.sampled_from((DEPARTMENT, OTHER)),
)


def _signal(number: int, kind: SignalKind, hours: int, before: int, runs: int | None, who: str) -> Signal:
    at = FIRST + timedelta(hours=hours)
    day = at.date() - timedelta(before)
    is_start = kind == "start"
    # An end that the event names itself is the rare case.
    until = day + timedelta(runs) if is_start and runs is not None and runs % 8 == 0 else None
    return Signal(
        kind, "r", derive_id("e"), SUBJECT, derive_id("event", str(number)), at, None,
        day if is_start else None, who if is_start else None, until,
    )


@st.composite
def lives(draw: st.DrawFn) -> tuple[ClockState, ClockRule, datetime]:
    """(a clock, its rule, now): signals in any order, with looks at the clock between them."""
    rule = draw(rules)
    state: ClockState | None = None
    now = FIRST
    for number, each in enumerate(draw(st.lists(told, min_size=1, max_size=9))):
        signal = _signal(number, *each)
        state, _ = apply(state, signal, rule, GANNAN)
        now = max(now, signal.occurred_at)
        for _ in range(draw(st.integers(0, 3))):
            state, _ = fire(state, rule, GANNAN, now)
    assert state is not None
    now += timedelta(days=draw(st.integers(0, 60)))
    alert: Any = True
    while alert is not None:
        state, alert = fire(state, rule, GANNAN, now)
    return state, rule, now


@settings(max_examples=400, deadline=None)
@given(lives())
def test_an_explanation_adds_up_to_the_due_day(life: tuple[ClockState, ClockRule, datetime]) -> None:
    state, rule, _ = life
    found = explain(state, rule, GANNAN)
    assert json.loads(json.dumps(to_plain(found)))["clock"]["clock_id"] == state.clock_id
    text = explanation(found)
    assert state.clock_id in text and rule.title in text
    assert "None" not in text
    if state.trigger_event_id is None:
        assert found["trigger"] is None
        return
    assert found["trigger"]["event_id"] == state.trigger_event_id
    assert found["trigger"]["counts_from"] == state.counts_from
    assert state.counts_from is not None and state.due_on is not None and state.due_at is not None
    stood = [each for each in found["standstill"] if each["to"] is not None]
    if found["trigger"]["until"] is not None:
        assert state.due_on == found["trigger"]["until"]
        assert not found["days_off"] and found["moved"] is None
        assert all(not each["days"] and not each["hours"] for each in stood)
    elif any(each["days"] is None and each["hours"] is None for each in stood):
        assert state.status is Status.CANCELLED
    elif rule.due.unit == "working-days":
        counted = rule.due.n + sum(each["days"] for each in stood)
        assert (state.due_on - state.counts_from).days == counted + len(found["days_off"])
    elif rule.due.unit == "hours":
        hours = sum(each["hours"] for each in stood)
        assert state.due_at == found["trigger"]["at"] + timedelta(hours=rule.due.n + hours)
    elif found["moved"] is not None:
        assert found["moved"]["to"] == state.due_on
        assert len(found["moved"]["days_off"]) == (state.due_on - found["moved"]["from"]).days
    else:
        assert rule.on_due == "expire" or GANNAN.is_working_day(state.due_on)


@settings(max_examples=400, deadline=None)
@given(lives())
def test_a_clock_that_is_over_does_not_stand_still(life: tuple[ClockState, ClockRule, datetime]) -> None:
    state, rule, _ = life
    lasting = [each for each in explain(state, rule, GANNAN)["standstill"] if each["to"] is None]
    assert len(lasting) == (state.status is Status.SUSPENDED)


@settings(max_examples=400, deadline=None)
@given(lives())
def test_each_round_is_counted_once_and_for_whom_it_ran(life: tuple[ClockState, ClockRule, datetime]) -> None:
    state, rule, now = life
    rounds = list(rounds_of(state, rule, GANNAN, now))
    if state.trigger_event_id is None:
        assert rounds == []
        return
    begun, owner = 0, None
    owners: list[str | None] = []
    for line in state.history:
        if line.change == "restarted":
            owners.append(owner)
        if line.change in ("started", "restarted"):
            begun += 1
        if line.change in ("started", "restarted", "amended"):
            owner = line.owner_department or owner
    owners.append(owner)
    # A round that was cancelled and begun again is the same deadline.
    assert len(rounds) <= begun
    assert rounds[-1].department == state.owner_department
    assert all(each.department in owners for each in rounds)
    if rule.on_due == "breach":
        ended = explain(state, rule, GANNAN)["rounds"]
        told = Counter(each["outcome"] for each in ended if each["outcome"] != "cancelled")
        assert Counter(each.outcome for each in rounds[:-1]) == told
    last = rounds[-1]
    assert last.due_on == state.due_on
    if state.status is Status.RUNNING and rule.on_due == "breach":
        assert state.due_at is not None
        assert last.outcome == ("overdue" if now > state.due_at else "running")
        assert (last.outcome == "overdue") == (state.breached_at is not None)


def test_a_repeated_trigger_of_another_department_takes_over_no_round() -> None:
    rule = ClockRule("r", "时限", ("a.b.recorded",), "", Due(3, "working-days"), ("a.b.done",), repeats=True)
    state: ClockState | None = None
    for number, (kind, hours, who) in enumerate(
        (("start", 0, DEPARTMENT), ("start", 24, OTHER), ("meet", 48, OTHER), ("start", 240, DEPARTMENT))
    ):
        state, _ = apply(state, _signal(number, cast(SignalKind, kind), hours, 0, None, who), rule, GANNAN)
    assert state is not None
    found = [(each.department, each.outcome) for each in rounds_of(state, rule, GANNAN, FIRST + timedelta(days=11))]
    assert found == [(DEPARTMENT, "met"), (DEPARTMENT, "running")]


@settings(max_examples=60, deadline=None)
@given(st.lists(lives(), max_size=6), st.sampled_from(((Axis.RULE,), (Axis.DEPARTMENT, Axis.MONTH), tuple(Axis))))
def test_a_report_adds_up(
    found: list[tuple[ClockState, ClockRule, datetime]], by: tuple[Axis, ...]
) -> None:
    named = {f"r{place}": rule for place, (_, rule, _) in enumerate(found)}
    states = [state._replace(rule=f"r{place}") for place, (state, _, _) in enumerate(found)]
    now = max((each for _, _, each in found), default=FIRST)
    whole = report(states, named, CALENDARS, now, by=by)
    for outcome, count in whole.sum.counts.items():
        assert count == sum(row.counts[outcome] for row in whole.rows)
    assert sorted(whole.sum.lateness) == sorted(day for row in whole.rows for day in row.lateness)
    assert whole.sum.counts["met_late"] == len(whole.sum.lateness)
    assert [row.key for row in whole.rows] == sorted({row.key for row in whole.rows})
    turned = report(reversed(states), named, CALENDARS, now, by=by)
    assert [(row.key, row.plain()) for row in turned.rows] == [(row.key, row.plain()) for row in whole.rows]
    day = date(2024, 10, 15)
    parts = [
        report(states, named, CALENDARS, now, by=by, last=day),
        report(states, named, CALENDARS, now, by=by, first=day + timedelta(1)),
    ]
    assert whole.sum.total == sum(part.sum.total for part in parts)
