"""How the end of a period changes when a notice is tried: as values, without a clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.calendars import load_calendars
from hub.domain.calendar import end_of, start_of
from hub.domain.office_hours import DEFAULT_HOURS, Span, is_office_time, next_office_time, parse_office_hours
from hub.domain.urgency import Nearness, Urgency
from tests.support_contracts import ROOT

CALENDAR = load_calendars(ROOT)["gannan"]
URGENCY = Urgency(CALENDAR)
#: The 10 working days of a notice of 2026-03-02, a Monday, end with Monday the 16th.
BY = end_of(date(2026, 3, 16))


def at(day: int, hour: int = 0, minute: int = 0, month: int = 3) -> datetime:
    """A moment of 2026 by the clocks of Shanghai."""
    return start_of(date(2026, month, day)) + timedelta(hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("now", "expected"),
    [(at(10, 23, 59), "calm"), (at(11), "near"), (at(12, 23, 59), "near"), (at(13), "last"), (at(16, 23, 59), "last"),
     (at(17), "late")],
)
def test_nearness_counts_working_days_and_the_last_day_is_whole(now: datetime, expected: str) -> None:
    assert URGENCY.nearness(now, BY) is Nearness(expected)
    assert URGENCY.nearness(now, None) is Nearness.CALM


def test_a_holiday_before_the_end_begins_it_earlier() -> None:
    # 2026-10-08 is off in Gannan: the working day before Friday the 9th is September the 30th.
    by = end_of(date(2026, 10, 9))
    assert URGENCY.nearness(at(30, month=9), by) is Nearness.LAST
    assert Urgency(load_calendars(ROOT)["cn"]).nearness(at(30, month=9), by) is Nearness.NEAR


@pytest.mark.parametrize(
    ("planned", "now", "expected"),
    [
        (300.0, at(3, 10), 300.0),  # calm: as the schedule says
        (86_400.0, at(10, 10), 81_000.0),  # not left until after the time in which it is near: day 11, 8:30
        (7200.0, at(11, 10), 900.0),  # near, in office hours: every quarter of an hour
        (60.0, at(11, 10), 60.0),  # never later than the schedule
        (7200.0, at(11, 11, 50), 7200.0),  # the noon break is longer than that
        (10_000.0, at(11, 11, 50), 9600.0),  # from 11:50 to 14:30
        (None, at(11, 10), 900.0),  # not given up while its period runs
        (None, at(3, 10), 8 * 86_400.0 - 5400.0),  # until day 11, 8:30
        (None, at(17), None), (300.0, at(17), 300.0),  # over
    ],
)
def test_the_next_attempt(planned: float | None, now: datetime, expected: float | None) -> None:
    assert URGENCY.delay(planned, now, BY, chance=0.0) == expected


def test_without_a_period_the_schedule_alone_counts() -> None:
    assert (URGENCY.delay(None, at(3), None), URGENCY.delay(5.0, at(3), None)) == (None, 5.0)


def test_jitter_only_lengthens_by_a_fifth() -> None:
    assert URGENCY.delay(None, at(11, 10), BY, chance=1.0) == 900 * 1.2


def test_a_departments_own_hours_go_first() -> None:
    assert URGENCY.delay(None, at(11, 12, 30), BY, parse_office_hours("12:00-13:00"), chance=0.0) == 900


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), st.integers(1, 20),
    st.none() | st.floats(0, 1e6), st.floats(0, 1),
)
def test_the_next_attempt_of_a_running_period_is_never_later_than_the_schedule_nor_given_up(
    now: datetime, days: int, planned: float | None, chance: float
) -> None:
    moment = now.replace(tzinfo=UTC)
    by = end_of(CALENDAR.due_date(moment.date(), days).date)
    found = URGENCY.delay(planned, moment, by, chance=chance)
    assert found is not None and found >= 0
    assert planned is None or found <= planned


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)))
def test_the_office_opens_at_an_office_time_and_none_is_skipped(now: datetime) -> None:
    moment = now.replace(tzinfo=UTC)
    opens = next_office_time(moment, DEFAULT_HOURS, CALENDAR.is_working_day)
    assert opens >= moment and is_office_time(opens, DEFAULT_HOURS, CALENDAR.is_working_day)
    probe = moment
    while (probe := probe + timedelta(minutes=30)) < opens:
        assert not is_office_time(probe, DEFAULT_HOURS, CALENDAR.is_working_day)


def test_an_office_that_never_opens_is_not_waited_for() -> None:
    assert next_office_time(at(3), (Span(0, 60),), lambda day: False) == at(3)
