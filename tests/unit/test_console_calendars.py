"""The console's calendars: the days of a year, what is not in force yet, and counting what it would move."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from functools import cache

import pytest

from hub.contracts.calendars import load_calendars
from hub.domain.calendar import Calendar
from hub.errors import BrokerError, ContractError
from hub.web.site.console import answers
from hub.web.site.console.calendar_year import holidays_of, months_of
from hub.web.site.console.long_work import LongWork
from tests.support_console import Stage, client_of, sent
from tests.support_contracts import ROOT

PATH = "/console/calendars"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@cache
def gannan() -> Calendar:
    return load_calendars(ROOT)["gannan"]


def test_every_day_of_a_year_stands_once_and_is_what_the_calendar_says() -> None:
    months = months_of(gannan(), 2026, [date(2026, 8, 3)])
    days = [day for month in months for week in month.weeks for day in week if day is not None]
    assert [each.day.timetuple().tm_yday for each in days] == list(range(1, 366))
    for each in days:
        assert gannan().is_working_day(each.day) is (each.kind in ("working", "worked"))
        assert bool(each.title) is (each.kind in ("rest", "worked"))
    assert [each.day for each in days if each.is_to_change] == [date(2026, 8, 3)]
    assert sum(month.working for month in months) == sum(gannan().is_working_day(each.day) for each in days)
    assert all(len(week) == 7 for month in months for week in month.weeks)
    # The prefecture's own day off, which the country does not have.
    assert next(each for each in days if each.day == date(2026, 10, 8)).title == "州庆"


def test_holidays_of_a_year_are_named_with_what_is_worked_for_them() -> None:
    found = {each.title: each for each in holidays_of(gannan(), 2026)}
    assert found["州庆"].rest == (date(2026, 10, 8),) and found["州庆"].worked == ()
    assert any(each.worked for each in found.values())
    assert holidays_of(gannan(), 2027) == []


def test_the_page_shows_the_year_by_words_and_what_is_to_change() -> None:
    client = client_of(Stage().site(), "over-looker")
    listed = client.get(PATH).text
    assert "有变动尚未生效" in listed and "已生效" in listed
    page = client.get(f"{PATH}/gannan?year=2026").text
    for word in ("十二月", "州庆", "香浪节", "2026-08-03", "调休上班", "hub calendar publish gannan",
                 "首次启动时文件所载"):
        assert word in page, word
    assert page.count("<table class=\"month\">") == 12 and "day-changes" in page
    assert "day-changes" not in client.get(f"{PATH}/cn?year=2026").text
    provisional = client.get(f"{PATH}/gannan?year=2027").text
    assert "暂定" in provisional and "hub calendar add gannan --year 2027" in provisional
    for path in (f"{PATH}/nowhere", f"{PATH}/gannan?year=2028", f"{PATH}/gannan?year=1999"):
        assert client.get(path).status_code == 404, path


def test_a_faulty_file_is_said_and_what_is_in_force_is_shown_all_the_same() -> None:
    stage = Stage()
    stage.calendars.fault = "reference/calendars/gannan.yaml: 2026-08-03 is no date"
    page = client_of(stage.site(), "over-looker").get(PATH).text
    assert "2026-08-03 is no date" in page and "gannan-2026" in page


def test_what_would_move_is_counted_beside_the_page() -> None:
    stage = Stage()
    stage.calendars.may_compare.clear()
    client = client_of(stage.site(), "night-watch")
    assert "尚未测算" in client.get(f"{PATH}/gannan?year=2026").text
    begun = client.post(f"{PATH}/gannan/preview", data=sent("night-watch"))
    assert (begun.status_code, begun.headers["location"]) == (303, f"{PATH}/gannan")
    client.post(f"{PATH}/gannan/preview", data=sent("night-watch"))
    running = [each for each in threading.enumerate() if each.name == "long-work"]
    assert len(running) == 1, "one at a time"
    page = client.get(f"{PATH}/gannan?year=2026").text
    assert "正在读取全部时限" in page and "<progress" in page
    stage.calendars.may_compare.set()
    running[0].join(20)
    page = client.get(f"{PATH}/gannan?year=2026").text
    for word in ("21 个时限变动", "未结时限 40 个，须重算 30 个", "另有 1 个", "自然人", "2026-08-04"):
        assert word in page, word
    assert "0a1b2c3d" not in page


def test_a_count_of_other_files_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEEP_SECONDS", -1.0)
    stage = Stage()
    client = client_of(stage.site(), "night-watch")
    client.post(f"{PATH}/gannan/preview", data=sent("night-watch"))
    for each in threading.enumerate():
        if each.name == "long-work":
            each.join(20)
    off = {**stage.calendars.entered.off, date(2026, 8, 4): "香浪节"}
    assert "21 个时限变动" in client.get(f"{PATH}/gannan?year=2026").text
    old = gannan()
    stage.calendars.entered = Calendar("gannan", old.title, off, old.worked, old.first_year, old.last_year, "cn")
    page = client.get(f"{PATH}/gannan?year=2026").text
    assert "尚未测算" in page and "2026-08-04" in page


@pytest.mark.parametrize("name", ["over-looker", "fin-clerk"])
def test_who_may_not_begin_a_count(name: str) -> None:
    made = Stage().site()
    assert client_of(made, name).post(f"{PATH}/gannan/preview", data=sent(name)).status_code == 403


@pytest.mark.parametrize("error", [BrokerError("no broker"), ContractError("x is wrong"), ZeroDivisionError()])
def test_work_that_fails_says_so_and_may_be_begun_again(error: Exception) -> None:
    def fail() -> int:
        raise error

    work = LongWork[int]()
    for make, result in ((fail, None), (lambda: 7, 7)):
        thread = work.start("k", make, NOW)
        assert thread is not None
        thread.join(20)
        found = work.last("k")
        assert found is not None and found.result == result and bool(found.fault) is (result is None)
        assert not found.is_running
    work.forget("k")
    assert work.last("k") is None
