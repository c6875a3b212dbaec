"""Working days: agreement with two libraries on every day, the known vectors, and what is provisional."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import chinese_calendar
import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.calendars import load_calendars
from hub.domain.calendar import Calendar, end_of, local_date
from hub.errors import ContractError, InputError

CALENDARS = load_calendars(Path(__file__).parents[2])
CN = CALENDARS["cn"]
GANNAN = CALENDARS["gannan"]
FIRST, LAST = date(2010, 1, 1), date(2026, 12, 31)
PUBLISHED_DAYS = [FIRST + timedelta(days) for days in range((LAST - FIRST).days + 1)]

VECTORS = [
    ("2021-07-20", ("2021-07-27", "2021-08-03", "2021-08-17")),
    ("2021-09-15", ("2021-09-23", "2021-09-29", "2021-10-19")),
    ("2021-09-30", ("2021-10-13", "2021-10-20", "2021-11-03")),
    ("2026-09-15", ("2026-09-21", "2026-09-29", "2026-10-19")),
    ("2026-09-30", ("2026-10-13", "2026-10-20", "2026-11-03")),
]


def test_agrees_with_chinesecalendar_on_every_published_day() -> None:
    assert [day for day in PUBLISHED_DAYS if CN.is_working_day(day) != chinese_calendar.is_workday(day)] == []


def test_agrees_with_holidays_on_every_published_day() -> None:
    library = holidays.country_holidays("CN", years=range(2010, 2027))
    assert [day for day in PUBLISHED_DAYS if CN.is_working_day(day) != library.is_working_day(day)] == []


def test_gannan_differs_by_the_day_after_the_national_day_holiday_alone() -> None:
    differing = [day for day in PUBLISHED_DAYS if CN.is_working_day(day) != GANNAN.is_working_day(day)]
    assert differing == [date(2025, 10, 9), date(2026, 10, 8)]
    for day in differing:
        assert not CN.is_working_day(day - timedelta(1))
        assert GANNAN.why_off(day) == "州庆"


@pytest.mark.parametrize(("start", "dues"), VECTORS)
def test_national_vectors(start: str, dues: tuple[str, ...]) -> None:
    assert [str(CN.due_date(date.fromisoformat(start), n).date) for n in (5, 10, 20)] == list(dues)


@pytest.mark.parametrize(
    ("start", "dues"),
    [
        ("2021-09-30", ("2021-10-13", "2021-10-20", "2021-11-03")),
        ("2026-09-15", ("2026-09-21", "2026-09-29", "2026-10-20")),
        ("2026-09-30", ("2026-10-14", "2026-10-21", "2026-11-04")),
    ],
)
def test_gannan_vectors(start: str, dues: tuple[str, ...]) -> None:
    assert [str(GANNAN.due_date(date.fromisoformat(start), n).date) for n in (5, 10, 20)] == list(dues)


def test_a_start_on_a_day_off_counts_from_the_next_working_day() -> None:
    assert CN.due_date(date(2021, 7, 24), 5) == (date(2021, 7, 30), False)


@given(st.dates(date(2009, 1, 1), date(2028, 12, 31)), st.integers(1, 300))
def test_due_date_is_what_walking_the_days_gives(start: date, n: int) -> None:
    day, left = start, n
    is_certain = True
    while left:
        day += timedelta(1)
        is_certain &= GANNAN.is_published(day)
        left -= GANNAN.is_working_day(day)
    assert GANNAN.due_date(start, n) == (day, not is_certain)
    assert GANNAN.count(start, day) == n
    assert GANNAN.before(day, n) <= start


@pytest.mark.parametrize(
    ("start", "n", "due", "is_provisional"),
    [
        ("2026-11-23", 20, "2026-12-21", False),
        ("2026-12-04", 20, "2027-01-01", True),
        ("2026-12-31", 1, "2027-01-01", True),
        ("2027-02-01", 5, "2027-02-08", True),
        ("2009-12-31", 1, "2010-01-04", False),
        ("2009-12-30", 1, "2009-12-31", True),
    ],
)
def test_what_touches_an_unpublished_year_is_provisional(
    start: str, n: int, due: str, is_provisional: bool
) -> None:
    assert CN.due_date(date.fromisoformat(start), n) == (date.fromisoformat(due), is_provisional)


def test_publishing_a_year_changes_the_version_and_settles_the_date() -> None:
    data = {
        "calendar": "cn",
        "years": {
            2026: {},
            2027: {"rest": {"元旦": [date(2027, 1, 1)]}, "work": {"元旦": [date(2027, 1, 3)]}},
        },
    }
    published = Calendar.from_data(data)
    assert published.version != CN.version
    assert published.due_date(date(2026, 12, 31), 1) == (date(2027, 1, 3), False)


def test_a_place_whose_own_days_are_not_entered_stays_provisional() -> None:
    base = Calendar.from_data({"calendar": "cn", "years": {2026: {}, 2027: {}}})
    place = Calendar.from_data({"calendar": "gannan", "extends": "cn", "years": {2026: {}}}, base)
    assert not base.is_provisional(date(2027, 5, 1))
    assert place.is_provisional(date(2027, 5, 1))


@pytest.mark.parametrize(
    ("start", "n", "due", "is_provisional"),
    [
        ("2026-09-21", 3, "2026-09-24", False),
        ("2026-09-21", 4, "2026-09-28", False),  # the 25th is off, the 26th and 27th a weekend
        ("2026-09-30", 3, "2026-10-09", False),  # 3 October is in the holiday, the 8th is 州庆
        ("2026-02-10", 4, "2026-02-14", False),  # a worked Saturday
        ("2026-12-30", 1, "2026-12-31", False),
        ("2026-12-30", 2, "2027-01-01", True),
    ],
)
def test_calendar_days_end_on_a_working_day(start: str, n: int, due: str, is_provisional: bool) -> None:
    found = GANNAN.due_date_in_calendar_days(date.fromisoformat(start), n)
    assert found == (date.fromisoformat(due), is_provisional)


def test_a_day_off_says_why() -> None:
    assert CN.why_off(date(2026, 10, 1)) == "国庆节"
    assert CN.why_off(date(2026, 10, 11)) == "星期日"
    assert CN.why_off(date(2026, 10, 10)) is None


def test_the_last_moment_is_midnight_in_shanghai() -> None:
    assert end_of(date(2026, 10, 19)) == datetime(2026, 10, 19, 16, tzinfo=UTC)
    assert local_date(datetime(2026, 10, 19, 16, tzinfo=UTC)) == date(2026, 10, 20)


@pytest.mark.parametrize("n", [0, -1, 10**9])
def test_impossible_periods_are_refused(n: int) -> None:
    with pytest.raises(InputError):
        CN.due_date(date(2026, 1, 1), n)
    with pytest.raises(InputError):
        CN.due_date_in_calendar_days(date(2026, 1, 1), n)


@pytest.mark.parametrize(
    "years",
    [
        {},
        {2024: {}, 2026: {}},
        {2026: {"rest": {"x": [date(2026, 10, 3)]}}},
        {2026: {"work": {"x": [date(2026, 10, 9)]}}},
        {2026: {"rest": {"x": [date(2025, 10, 9)]}}},
        {2026: {"rest": {"x": ["2026-10-09"]}}},
    ],
)
def test_a_wrong_table_is_refused(years: dict[int, object]) -> None:
    with pytest.raises(ContractError, match="'cn'"):
        Calendar.from_data({"calendar": "cn", "years": years})


def test_a_calendar_without_its_base_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "reference" / "calendars"
    folder.mkdir(parents=True)
    with pytest.raises(ContractError):
        load_calendars(tmp_path)
    (folder / "x.yaml").write_text("calendar: x\nextends: y\nyears: {2026: {}}\n")
    with pytest.raises(ContractError, match="x extend"):
        load_calendars(tmp_path)


# -- what holds of every calendar ---------------------------------------------------------------

STARTS = st.dates(date(2009, 6, 1), date(2029, 6, 30))
PERIODS = st.integers(1, 300)
#: Also days of years before, between and after the published ones.
DAYS = st.dates(date(2009, 6, 1), date(2030, 12, 31))


@given(st.sampled_from([CN, GANNAN]), STARTS, PERIODS)
def test_the_last_day_is_a_working_day_after_the_start(calendar: Calendar, start: date, n: int) -> None:
    due = calendar.due_date(start, n).date
    assert calendar.is_working_day(due)
    assert due > start
    assert calendar.count(start, due) == n
    rolled = calendar.due_date_in_calendar_days(start, n).date
    assert calendar.is_working_day(rolled)
    assert rolled >= start + timedelta(n)


@given(st.sampled_from([CN, GANNAN]), STARTS, PERIODS, st.integers(1, 50))
def test_more_days_or_a_later_start_never_end_earlier(calendar: Calendar, start: date, n: int, more: int) -> None:
    due = calendar.due_date(start, n).date
    assert calendar.due_date(start, n + more).date > due
    assert calendar.due_date(start + timedelta(more), n).date >= due
    in_days = calendar.due_date_in_calendar_days(start, n).date
    assert calendar.due_date_in_calendar_days(start, n + more).date >= in_days
    assert calendar.due_date_in_calendar_days(start + timedelta(more), n).date >= in_days


@given(STARTS, PERIODS, st.sets(DAYS, max_size=30))
def test_a_day_off_more_never_makes_a_date_earlier(start: date, n: int, days: set[date]) -> None:
    more = changed(rest={day for day in days if day.weekday() < 5})
    assert more.due_date(start, n).date >= GANNAN.due_date(start, n).date
    in_days = more.due_date_in_calendar_days(start, n).date
    assert in_days >= GANNAN.due_date_in_calendar_days(start, n).date


@given(STARTS, PERIODS, st.sets(DAYS, max_size=30))
def test_a_worked_weekend_more_never_makes_a_date_later(start: date, n: int, days: set[date]) -> None:
    more = changed(work={day for day in days if day.weekday() >= 5})
    assert more.due_date(start, n).date <= GANNAN.due_date(start, n).date
    in_days = more.due_date_in_calendar_days(start, n).date
    assert in_days <= GANNAN.due_date_in_calendar_days(start, n).date


@given(st.dates(date(CN.last_year + 1, 1, 1), date(CN.last_year + 3, 12, 31)), PERIODS)
def test_an_unpublished_year_is_never_guessed(start: date, n: int) -> None:
    for calendar in (CN, GANNAN):
        found = calendar.due_date(start, n)
        assert found.is_provisional
        # Monday to Friday, nothing else: no holiday of an unpublished year is assumed.
        day, left = start, n
        while left:
            day += timedelta(1)
            left -= day.weekday() < 5
        assert found.date == day
        assert calendar.is_provisional(day)
        assert calendar.is_working_day(day)


def changed(rest: set[date] | None = None, work: set[date] | None = None) -> Calendar:
    """Gannan's calendar with more days; their years count as published, as far as the first and last go."""
    rest, work = rest or set(), work or set()
    last = max([2026, *(day.year for day in rest | work)])
    first = min([2010, *(day.year for day in rest | work)])
    off = {**GANNAN.off, **dict.fromkeys(rest, "x")}
    return Calendar("gannan", "x", off, {**GANNAN.worked, **dict.fromkeys(work, "x")}, first, last)
