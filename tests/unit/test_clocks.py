"""The fold of signals into clocks, and what falls due as time goes on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clocks.wire import state_from_value, state_to_value
from hub.domain.calendar import Calendar
from hub.domain.clock_firing import fire, next_moment
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockRule, ClockState, Due, Signal, Status
from tests.support_clocks import CALENDARS, DISCLOSE, at, signal
from tests.support_contracts import catalog

GANNAN = CALENDARS["gannan"]
START = signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30")
#: 20 working days after 2026-09-30 in Gannan: 2026-11-04, 24:00 Asia/Shanghai.
DUE_AT = at("2026-11-04T16:00")


def fold(*signals: Signal, rule: ClockRule = DISCLOSE, calendar: Calendar = GANNAN) -> ClockState:
    state: ClockState | None = None
    for each in signals:
        state, _ = apply(state, each, rule, calendar)
    assert state is not None
    return state


def test_a_start_derives_the_due_moment() -> None:
    state = fold(START)
    assert (state.status, state.due_on, state.due_at) == (Status.RUNNING, date(2026, 11, 4), DUE_AT)
    assert (state.trigger_event_id, state.counts_from) == (START.event_id, date(2026, 9, 30))
    assert (state.calendar_version, state.rule_version) == (GANNAN.version, DISCLOSE.version)
    assert not state.is_provisional


def test_without_a_date_it_counts_from_the_day_of_the_trigger_in_shanghai() -> None:
    assert fold(signal("start", "v1", "2026-09-30T16:30")).counts_from == date(2026, 10, 1)


def test_a_repeated_start_changes_nothing() -> None:
    state = fold(START)
    assert apply(state, START, DISCLOSE, GANNAN) == (state, False)
    again = signal("start", "v2", "2026-10-01", counts_from="2026-09-30")
    after, _ = apply(state, again, DISCLOSE, GANNAN)
    assert after._replace(history=state.history) == state
    assert after.history[-1].change == "repeated"


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ("2026-10-20", Status.MET),
        ("2026-11-04T16:00", Status.MET),  # 24:00 itself is in time
        ("2026-11-04T16:01", Status.MET_LATE),
    ],
)
def test_met_in_time_or_late(when: str, status: Status) -> None:
    state = fold(START, signal("meet", "r1", when))
    assert (state.status, state.met_at) == (status, at(when))
    assert state.breached_at == (DUE_AT if status is Status.MET_LATE else None)


def test_a_clock_that_is_met_before_its_start_is_met_by_it() -> None:
    early = fold(signal("meet", "r1", "2026-10-20"))
    assert (early.status, early.due_at) == (Status.AWAITING, None)
    state = fold(signal("meet", "r1", "2026-10-20"), START)
    assert (state.status, state.due_at, state.met_at) == (Status.MET, DUE_AT, at("2026-10-20"))


def test_an_amended_trigger_date_derives_anew_and_voids_what_was_said() -> None:
    fired, _ = fire(fold(START), DISCLOSE, GANNAN, at("2026-12-01"))
    assert fired.breached_at == DUE_AT
    later = signal("start", "v2", "2026-12-01", counts_from="2026-11-20")
    state, is_changed = apply(fired, later, DISCLOSE, GANNAN)
    assert is_changed
    assert (state.due_on, state.breached_at, state.status) == (date(2026, 12, 18), None, Status.RUNNING)
    assert [line.change for line in state.history] == ["started", "breached", "amended"]


def test_an_older_version_read_later_does_not_move_the_date_back() -> None:
    second = signal("start", "v2", "2026-10-05", counts_from="2026-10-01")
    assert fold(second, START) == fold(START, second)
    assert fold(second, START).counts_from == date(2026, 10, 1)


def test_an_amended_date_judges_a_met_clock_anew() -> None:
    met = signal("meet", "r1", "2026-11-01")
    assert fold(START, met).status is Status.MET
    earlier = signal("start", "v2", "2026-11-02", counts_from="2026-08-03")
    assert fold(START, met, earlier).status is Status.MET_LATE


def test_overdue_at_birth_breaches_at_the_first_look() -> None:
    state = fold(signal("start", "v1", "2021-07-20", counts_from="2021-05-06"))
    assert state.history[0].note is not None and "overdue at birth" in state.history[0].note
    fired, alert = fire(state, DISCLOSE, GANNAN, at("2021-07-20"))
    assert alert is not None and alert.kind == "breached"
    assert fired.status is Status.RUNNING
    assert fire(fired, DISCLOSE, GANNAN, at("2022-01-01")) == (fired, None)


class TestCancel:
    def test_ends_a_running_clock_and_it_says_no_more(self) -> None:
        state = fold(START, signal("cancel", "v2", "2026-10-10"))
        assert state.status is Status.CANCELLED
        assert next_moment(state, DISCLOSE, GANNAN) is None

    def test_leaves_a_met_clock_alone(self) -> None:
        state = fold(START, signal("meet", "r1", "2026-10-10"), signal("cancel", "v2", "2026-10-11"))
        assert state.status is Status.MET

    def test_before_its_start_still_cancels(self) -> None:
        cancelled = signal("cancel", "v2", "2026-10-10")
        assert fold(cancelled, START).status is Status.CANCELLED

    def test_a_later_event_starts_it_again_and_a_repeat_does_not_end_it(self) -> None:
        cancelled = signal("cancel", "v2", "2026-10-10")
        third = signal("start", "v3", "2026-10-12", counts_from="2026-10-12")
        state = fold(START, cancelled, third)
        assert (state.status, state.counts_from) == (Status.RUNNING, date(2026, 10, 12))
        assert fold(START, cancelled, third, cancelled, START) == state
        assert fold(third, cancelled, START) == state


class TestSuspension:
    def test_adds_the_working_days_that_it_stood_still(self) -> None:
        # 12 October to 19 October: five working days.
        suspended = fold(START, signal("suspend", "s1", "2026-10-12"))
        assert suspended.status is Status.SUSPENDED
        assert next_moment(suspended, DISCLOSE, GANNAN) is None
        state, _ = apply(suspended, signal("resume", "s2", "2026-10-19"), DISCLOSE, GANNAN)
        assert state is not None
        assert (state.status, state.due_on) == (Status.RUNNING, date(2026, 11, 11))

    def test_may_be_met_meanwhile(self) -> None:
        state = fold(START, signal("suspend", "s1", "2026-10-12"), signal("meet", "r1", "2026-10-13"))
        assert state.status is Status.MET

    def test_that_lasts_until_it_is_met_is_not_held_against_it(self) -> None:
        signals = (START, signal("suspend", "s1", "2026-10-12"), signal("meet", "r1", "2026-12-21"))
        state = fold(*signals)
        assert (state.status, state.due_on) == (Status.MET, date(2027, 1, 13))
        assert fold(*signals[::-1]) == state

    def test_after_the_end_of_the_period_changes_nothing(self) -> None:
        late = fold(START, signal("suspend", "s1", "2026-11-10"), signal("resume", "s2", "2026-11-20"))
        assert (late.status, late.due_at) == (Status.RUNNING, DUE_AT)

    def test_may_be_read_before_the_start(self) -> None:
        signals = [START, signal("suspend", "s1", "2026-10-12"), signal("resume", "s2", "2026-10-19")]
        assert fold(*signals[::-1]) == fold(*signals)
        assert fold(signals[1]).status is Status.AWAITING


@pytest.mark.parametrize(
    ("due", "due_at", "provisional"),
    [
        (Due(20, "working-days"), "2026-11-04T16:00", False),
        (Due(3, "calendar-days"), "2026-10-09T16:00", False),  # a holiday, and 州庆 on the 8th
        (Due(24, "hours"), "2026-10-01T02:00", False),
        (Due(100, "working-days"), "2027-02-26T16:00", True),
    ],
)
def test_units(due: Due, due_at: str, provisional: bool) -> None:
    rule = replace(DISCLOSE, due=due)
    state = fold(START, rule=rule)
    assert state.is_provisional == provisional
    if not provisional:
        assert state.due_at == at(due_at)
    assert state.history[0].note is not None
    assert ("provisional" in state.history[0].note) == provisional


def test_publishing_a_calendar_moves_open_clocks_and_no_others() -> None:
    start = signal("start", "v1", "2026-12-04", counts_from="2026-12-04")
    state = fold(start)
    assert (state.due_on, state.is_provisional) == (date(2027, 1, 1), True)
    cn = Calendar.from_data(
        {"calendar": "cn", "years": {2026: {}, 2027: {"rest": {"元旦": [date(2027, 1, 1)]}}}}
    )
    published = Calendar.from_data({"calendar": "gannan", "extends": "cn", "years": {2026: {}, 2027: {}}}, cn)
    after = rederive(state, DISCLOSE, published, "notice", at("2026-11-20"))
    assert after is not None
    assert (after.due_on, after.is_provisional) == (date(2027, 1, 4), False)
    assert after.calendar_version == published.version
    assert "rederived" in [line.change for line in after.history]
    assert rederive(after, DISCLOSE, published, "notice", at("2026-11-20")) is None
    met = fold(start, signal("meet", "r", "2026-12-05"))
    assert rederive(met, DISCLOSE, published, "notice", at("2026-11-20")) is None


class TestFiring:
    def test_warns_at_the_start_of_the_day_and_breaches_after_the_last_moment(self) -> None:
        state = fold(START)
        moments = []
        while (moment := next_moment(state, DISCLOSE, GANNAN)) is not None:
            state, alert = fire(state, DISCLOSE, GANNAN, moment)
            assert alert is not None
            moments.append((alert.kind, alert.level, alert.moment))
        assert moments == [
            ("warned", "5", at("2026-10-27T16:00")),  # 0:00 of Wednesday 28 October in Shanghai
            ("warned", "1", at("2026-11-02T16:00")),
            ("breached", None, DUE_AT),
        ]
        assert (state.status, state.warned, state.breached_at) == (Status.RUNNING, ("5", "1"), DUE_AT)

    def test_says_only_the_most_urgent_of_what_it_missed(self) -> None:
        state, alert = fire(fold(START), DISCLOSE, GANNAN, at("2026-11-04"))
        assert alert is not None and alert.level == "1"
        assert state.warned == ("5", "1")

    def test_a_met_clock_says_nothing(self) -> None:
        state = fold(START, signal("meet", "r1", "2026-10-10"))
        assert fire(state, DISCLOSE, GANNAN, at("2027-01-01")) == (state, None)

    def test_the_state_does_not_depend_on_who_looks_when(self) -> None:
        looks = [fire(fold(START), DISCLOSE, GANNAN, DUE_AT + timedelta(hours=hours)) for hours in (1, 500)]
        assert looks[0] == looks[1]

    def test_a_rule_that_is_gone_still_breaches(self) -> None:
        assert fire(fold(START), None, None, at("2026-12-01"))[1] is not None


_EVENTS = [
    signal(kind, f"{kind}-{number}", f"2026-10-{number:02}", counts_from="2026-10-01" if number % 2 else None)
    for kind, number in itertools.product(("start", "meet", "cancel", "suspend", "resume"), range(9, 15))
]


RULE_KINDS = [
    DISCLOSE,
    replace(DISCLOSE, repeats=True),
    replace(DISCLOSE, meets=2),
    replace(DISCLOSE, due=Due(72, "hours")),
]


@given(st.lists(st.sampled_from(_EVENTS), min_size=1, max_size=10), st.randoms(), st.sampled_from(RULE_KINDS))
def test_any_order_of_the_same_signals_gives_the_same_clock(
    signals: list[Signal], chance: Random, rule: ClockRule
) -> None:
    shuffled = list(signals)
    chance.shuffle(shuffled)
    assert fold(*shuffled, rule=rule) == fold(*signals, rule=rule)


@given(st.lists(st.sampled_from(_EVENTS), max_size=12), st.sampled_from(RULE_KINDS))
def test_replaying_a_log_twice_gives_the_same_bytes(signals: list[Signal], rule: ClockRule) -> None:
    schema = catalog().schema("hub/clock-state")

    def replay() -> list[bytes]:
        state: ClockState | None = None
        written = []
        for each in signals:
            state, _ = apply(state, each, rule, GANNAN)
            assert state is not None
            written.append(schema.encode(state_to_value(state)))
        return written

    assert replay() == replay()


@given(st.integers(0, 900), st.integers(1, 60), st.integers(0, 30), st.integers(0, 40))
def test_standing_still_for_some_working_days_moves_the_end_by_as_many(
    begins: int, n: int, stops_after: int, stands_still: int
) -> None:
    """Counted here day by day; the engine counts by a table."""
    start = date(2022, 1, 3) + timedelta(begins)

    def walk(day: date, working_days: int) -> date:
        while working_days:
            day += timedelta(1)
            working_days -= GANNAN.is_working_day(day)
        return day

    rule = replace(DISCLOSE, due=Due(n, "working-days"))
    end = walk(start, n)
    stopped = min(start + timedelta(stops_after), end)
    resumed = stopped + timedelta(stands_still)
    standstill = sum(GANNAN.is_working_day(stopped + timedelta(day)) for day in range(1, stands_still + 1))
    state = fold(
        signal("start", "v1", f"{start}T02:00", counts_from=str(start)),
        signal("suspend", "s1", f"{stopped}T03:00"),
        signal("resume", "s2", f"{resumed}T04:00"),
        rule=rule,
    )
    assert state.due_on == walk(end, standstill)


@given(st.lists(st.sampled_from(_EVENTS), max_size=12))
def test_replaying_any_log_over_its_result_changes_no_counted_event(signals: list[Signal]) -> None:
    state: ClockState | None = None
    for each in signals:
        state, _ = apply(state, each, DISCLOSE, GANNAN)
        if state is not None:
            assert apply(state, each, DISCLOSE, GANNAN)[1] is False
            # Round trip: what is read back is what was in memory.
            schema = catalog().schema("hub/clock-state")
            assert state_from_value(schema.decode(schema.encode(state_to_value(state)))) == state


def test_the_version_of_a_rule_is_what_decides_a_date() -> None:
    assert replace(DISCLOSE, title="x", warn=(3,)).version == DISCLOSE.version
    assert replace(DISCLOSE, due=Due(10, "working-days")).version != DISCLOSE.version


def test_hours_warn_in_hours() -> None:
    rule = replace(DISCLOSE, due=Due(24, "hours"), warn=(2,))
    assert next_moment(fold(START, rule=rule), rule, GANNAN) == datetime.fromisoformat("2026-10-01T00:00Z")


def test_a_state_of_the_first_version_is_read_with_what_its_words_say() -> None:
    state = fold(START, signal("suspend", "s1", "2026-10-12"))
    schema = catalog().schema("hub/clock-state", 1)
    names = {field.name for field in schema.fields}
    value = {name: each for name, each in state_to_value(state).items() if name in names}
    lines = ("at", "event_id", "change", "note")
    value["history"] = [{name: line[name] for name in lines} for line in value["history"]]
    read = state_from_value(schema.decode(schema.encode(value)))
    resume = signal("resume", "s2", "2026-10-19")
    assert apply(read, resume, DISCLOSE, GANNAN)[0].due_on == date(2026, 11, 11)
