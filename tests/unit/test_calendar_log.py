"""Versions of calendars: as text, what differs, what is in force when, which clocks another one moves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clocks.calendar_preview import is_behind, preview
from hub.clocks.calendars import CalendarChange, CalendarLog
from hub.domain.calendar import Calendar
from hub.domain.calendar_table import DayChange, differences, family, from_text, to_text, years_published
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockState, Signal
from hub.errors import ContractError
from tests.support_clocks import CALENDARS, RULES, signal

CN, GANNAN = CALENDARS["cn"], CALENDARS["gannan"]
NOW = datetime(2026, 11, 2, 1, 30, 0, 123456, tzinfo=UTC)


def with_days(calendar: Calendar, *, rest: tuple[str, ...] = (), last_year: int | None = None) -> Calendar:
    off = {**calendar.off, **{date.fromisoformat(day): "藏历新年" for day in rest}}
    last = last_year or calendar.last_year
    return Calendar(calendar.name, calendar.title, off, calendar.worked, calendar.first_year, last, calendar.base)


GANNAN_2 = with_days(GANNAN, rest=("2026-10-20", "2026-10-21"))
CN_2027 = with_days(CN, rest=("2027-01-01",), last_year=2027)
GANNAN_2027 = with_days(GANNAN, rest=("2027-01-01",), last_year=2027)


def log_of(*steps: Calendar) -> CalendarLog:
    """One publication a day, from 2 November on."""
    log = CalendarLog()
    for number, calendar in enumerate(steps):
        for change in log.changes_to([calendar], notice="文", by="张三", at=NOW + timedelta(days=number)):
            log.add(change)
    return log


@pytest.mark.parametrize("calendar", [CN, GANNAN, GANNAN_2, CN_2027])
def test_a_calendar_comes_back_from_its_text_whole(calendar: Calendar) -> None:
    again = from_text(to_text(calendar))
    assert (again.name, again.title, again.base) == (calendar.name, calendar.title, calendar.base)
    assert again.version == calendar.version
    assert to_text(again) == to_text(calendar)
    assert again.due_date(date(2026, 9, 30), 20) == calendar.due_date(date(2026, 9, 30), 20)


def test_the_text_of_an_extending_calendar_holds_the_days_of_its_base() -> None:
    gannan = from_text(to_text(GANNAN))
    assert gannan.base == "cn"
    assert gannan.off.items() >= CN.off.items()
    assert gannan.why_off(date(2026, 10, 8)) == "州庆"


@pytest.mark.parametrize("text", ["", "{}", "[]", to_text(CN).replace("2010-01-01", "first"), "null"])
def test_what_is_no_calendar_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        from_text(text)


def test_days_that_differ_are_named() -> None:
    assert differences(GANNAN, GANNAN) == []
    assert differences(CN, GANNAN) == [
        DayChange(date(2025, 10, 9), "上班", "休息（州庆）"), DayChange(date(2026, 10, 8), "上班", "休息（州庆）"),
    ]
    assert differences(CN, CN_2027) == [DayChange(date(2027, 1, 1), "上班", "休息（藏历新年）")]
    assert years_published(CN, CN_2027) == ([2027], [])
    assert years_published(CN_2027, CN) == ([], [2027])


def test_a_calendar_is_published_with_what_hangs_together_with_it() -> None:
    assert family(CALENDARS, "cn") == family(CALENDARS, "gannan") == ["cn", "gannan"]
    assert family({"a": Calendar("a", "a", {}, {}, 2026, 2026)}, "a") == ["a"]


def test_the_last_publication_is_in_force_and_every_earlier_one_at_its_time() -> None:
    log = log_of(GANNAN, GANNAN_2)
    assert log.in_force()["gannan"].calendar is GANNAN_2
    assert log.in_force(NOW + timedelta(hours=23))["gannan"].calendar is GANNAN
    assert log.in_force(NOW - timedelta(days=1)) == {}
    assert log.calendars(CALENDARS)["gannan"] is GANNAN_2
    assert log.calendars(CALENDARS)["cn"] is CN
    # Before the first publication nothing is on record: the first one counts.
    assert log_of(GANNAN_2).calendars(CALENDARS, NOW - timedelta(days=1))["gannan"] is GANNAN_2
    assert CalendarLog().calendars(CALENDARS) == CALENDARS


def test_the_same_content_is_published_once_and_an_old_one_can_come_back() -> None:
    log = log_of(GANNAN, GANNAN, GANNAN_2, GANNAN, GANNAN_2)
    found = log.of("gannan")
    assert [change.calendar for change in found] == [GANNAN, GANNAN_2, GANNAN, GANNAN_2]
    assert [change.number for change in found] == [1, 2, 3, 4]
    assert [change.previous_version for change in found] == [
        None, GANNAN.version, GANNAN_2.version, GANNAN.version
    ]
    assert len({change.change_id for change in found}) == 4
    assert log.changes_to([GANNAN_2], notice="文", by="张三", at=NOW) == []


def test_two_who_publish_the_same_make_one_event() -> None:
    log = log_of(GANNAN)
    (one,) = log.changes_to([GANNAN_2], notice="a", by="张三", at=NOW)
    (other,) = log.changes_to([GANNAN_2], notice="b", by="李四", at=NOW + timedelta(seconds=3))
    assert one.change_id == other.change_id
    assert log.add(one)
    assert not log.add(other)
    assert log.of("gannan")[-1].published_by == "张三"


def test_no_publication_is_earlier_than_the_one_before_it() -> None:
    log = CalendarLog()
    for calendar, at in ((GANNAN, NOW), (GANNAN_2, NOW - timedelta(hours=1))):
        for change in log.changes_to([calendar], notice="文", by="张三", at=at):
            log.add(change)
    first, second = log.of("gannan")
    assert first.published_at == NOW.replace(microsecond=123000)
    assert second.published_at == first.published_at + timedelta(milliseconds=1)


def clock(*signals: Signal) -> ClockState:
    state: ClockState | None = None
    for each in signals:
        rule = RULES[each.rule]
        state, _ = apply(state, each, rule, CALENDARS[rule.calendar])
    assert state is not None
    return state


MOVES = clock(signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30"))
STAYS = clock(signal("start", "v2", "2026-09-01", counts_from="2026-09-01", entity="e2"))
MET = clock(
    signal("start", "v3", "2026-09-30", counts_from="2026-09-30", entity="e3"),
    signal("meet", "r1", "2026-10-10", entity="e3"),
)
SETTLED = clock(signal("start", "v4", "2026-12-04", counts_from="2026-12-04", entity="e4"))


def test_the_preview_names_the_clocks_that_move_and_agrees_with_the_counting() -> None:
    found = preview([MOVES, STAYS, MET, SETTLED], RULES, {"gannan": GANNAN_2})
    assert found.open == 3
    assert set(found.behind) == {MOVES.clock_id, STAYS.clock_id, SETTLED.clock_id}
    (moved,) = found.moved
    assert (moved.clock_id, str(moved.old_due), str(moved.new_due)) == (MOVES.clock_id, "2026-11-04", "2026-11-06")
    assert found.by_rule() == {"disclose": 1}
    after = rederive(MOVES, RULES["disclose"], GANNAN_2, "event", NOW)
    assert after is not None and after.due_on == moved.new_due
    assert not is_behind(after, RULES, {"gannan": GANNAN_2})


def test_a_date_that_becomes_certain_moves_also_where_the_day_stays() -> None:
    found = preview([SETTLED], RULES, {"gannan": with_days(GANNAN, last_year=2027)})
    (moved,) = found.moved
    assert (moved.old_due, moved.was_provisional) == (moved.new_due, True)
    assert not moved.is_provisional
    (moved,) = preview([SETTLED], RULES, {"gannan": GANNAN_2027}).moved
    assert (str(moved.old_due), str(moved.new_due)) == ("2027-01-01", "2027-01-04")


def test_the_preview_leaves_alone_what_is_none_of_its_business() -> None:
    assert preview([MOVES], RULES, {"cn": CN_2027}).behind == frozenset()
    assert preview([MOVES], {}, {"gannan": GANNAN_2}).behind == frozenset()
    assert preview([MOVES], RULES, {"gannan": GANNAN}).behind == frozenset()


@given(st.lists(st.sampled_from([CN, GANNAN, GANNAN_2, CN_2027, GANNAN_2027]), max_size=12))
def test_what_is_in_force_is_what_was_asked_for_last(steps: list[Calendar]) -> None:
    log = log_of(*steps)
    wanted = {calendar.name: calendar.version for calendar in steps}
    assert {name: found.calendar.version for name, found in log.in_force().items()} == wanted
    changes: list[CalendarChange] = [*log.of("cn"), *log.of("gannan")]
    for change in changes:
        assert log.in_force(change.published_at)[change.calendar.name].event_id == change.change_id
