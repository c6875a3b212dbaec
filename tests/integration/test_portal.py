"""The pages of the portal on a desk in memory: what is shown, to whom, in which order, and what is not."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import redis

from hub.domain.calendar import Calendar
from hub.domain.desk import Colour, NoticeState, Score
from hub.ops.ledger.desk_queries import DeskClock
from hub.web.site.portal.desk import Left, filtered, time_left
from hub.web.site.portal.desk_pages import desk_pages
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_ledger import calendars
from tests.support_portal import ENTERPRISE, PERSON, TODAY, MemoryDesk, a_clock, a_lead, a_notice
from tests.support_site import Site, site

PAGES = ("/desk/deadlines", "/desk/notices", "/desk/leads", "/desk/scoreboard")


@pytest.fixture
def desk() -> MemoryDesk:
    made = MemoryDesk()
    made.of_clocks["finance"] = [
        a_clock(1, date(2026, 3, 2), Colour.RED), a_clock(2, TODAY, Colour.RED),
        a_clock(3, date(2026, 3, 9), Colour.AMBER), a_clock(4, date(2026, 3, 31), Colour.GREEN, rule="push-blacklist"),
    ]
    made.of_notices["finance"] = [a_notice(1), a_notice(2, NoticeState.ANSWERED, answer="acted", measure="依法限制")]
    made.of_leads["finance"] = [a_lead(1), a_lead(2, kind="report", status="accepted")]
    made.scores["finance"] = {30: [("规则甲", Score("a", 5, 1, 2, 0, 3))], 90: [("规则甲", Score("a", 50, 1, 2, 0, 3))]}
    return made


@pytest.fixture
def here(redis_client: redis.Redis, desk: MemoryDesk) -> Site:
    return site(redis_client, [lambda: desk_pages(desk, lambda: TODAY)])


def test_the_first_page_says_what_is_due_first_and_how_much_there_is(here: Site) -> None:
    text = signed_in(here, "fin-clerk").get("/").text
    assert "我的办理" in text
    assert text.index("已逾期2个工作日") < text.index("今日到期</span>") < text.index("剩余3个工作日")
    assert 'href="/desk/deadlines?colour=red">2</a>' in text and 'href="/desk/leads">2</a>' in text
    assert 'href="/desk/notices/notice-001"' in text and "notice-002" not in text


@pytest.mark.parametrize("path", ["/", *PAGES])
def test_another_department_sees_nothing_of_it_and_is_told_what_comes_there(here: Site, path: str) -> None:
    text = signed_in(here, "tax-clerk").get(path).text
    assert ENTERPRISE not in text and "规则甲" not in text and "notice-001" not in text
    assert 'class="empty"' in text


@pytest.mark.parametrize("path", PAGES)
def test_who_has_no_desk_is_refused(here: Site, path: str) -> None:
    assert signed_in(here, "night-watch").get(path).status_code == 403
    assert signed_in(here, "over-looker").get(path).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_both_languages_have_every_page(here: Site, path: str) -> None:
    browser = signed_in(here, "fin-clerk")
    browser.client.cookies.set("lang", "en")
    answer = browser.get(path)
    assert answer.status_code == 200 and '<html lang="en">' in answer.text


def test_filters_leave_what_they_name(here: Site) -> None:
    browser = signed_in(here, "fin-clerk")
    amber = browser.get("/desk/deadlines?colour=amber").text
    assert "剩余3个工作日" in amber and "今日到期" not in amber.partition("<table")[2]
    assert "共4项" in amber
    assert "没有在办时限" in browser.get("/desk/deadlines?colour=purple").text
    assert "notice-002" in browser.get("/desk/notices?show=all").text
    reports = browser.get("/desk/leads?kind=report").text
    assert "待办结" in reports and "待认领</span>" not in reports.partition("<table")[2]
    assert PERSON not in reports and "自然人" in reports
    assert "<td data-label=\"按时办结\">50</td>" in browser.get("/desk/scoreboard?days=90").text


def test_pages_follow_each_other_and_keep_their_filter(here: Site, desk: MemoryDesk) -> None:
    day = date(2026, 4, 1)
    desk.of_clocks["finance"] = [a_clock(n, day + timedelta(n), Colour.GREEN) for n in range(60)]
    browser = signed_in(here, "fin-clerk")
    first = browser.get("/desk/deadlines?colour=green").text
    assert 'href="/desk/deadlines?colour=green&amp;after=25" rel="next"' in first
    last = browser.get("/desk/deadlines?colour=green&after=50").text
    assert last.count('data-label="到期日"') == 10 and 'rel="next"' not in last


def test_without_the_index_the_first_page_stays_and_the_others_say_so(here: Site, desk: MemoryDesk) -> None:
    browser = signed_in(here, "fin-clerk")
    desk.is_down = True
    assert "台账暂时无法读取" in browser.get("/").text
    assert [browser.get(path).status_code for path in PAGES] == [503] * 4
    desk.is_down, desk.has_index = False, False
    assert "台账正在填写" in browser.get("/desk/deadlines").text


@pytest.mark.parametrize(("due", "status", "left"), [
    (date(2026, 3, 2), "running", Left("overdue", 2)), (TODAY, "running", Left("today", 0)),
    (date(2026, 3, 9), "running", Left("days", 3)), (date(2026, 3, 9), "suspended", Left("suspended", 0)),
])
def test_what_is_left_counts_working_days(due: date, status: str, left: Left) -> None:
    gannan: Calendar = calendars()["gannan"]
    assert time_left(a_clock(1, due, Colour.GREEN, status=status), TODAY, gannan) == left


def test_over_a_weekend_something_is_overdue_by_no_working_day() -> None:
    clock = a_clock(1, date(2026, 3, 6), Colour.RED)
    assert time_left(clock, date(2026, 3, 7), calendars()["gannan"]) == Left("overdue-just", 0)
    assert time_left(clock._replace(due_on=None), TODAY, None) == Left("open-ended", 0)


def test_a_filter_that_nothing_passes_ends() -> None:
    desk = MemoryDesk()
    desk.of_clocks["finance"] = [a_clock(n, TODAY, Colour.GREEN) for n in range(3000)]
    found: list[DeskClock]
    found, cursor = filtered(lambda at, most: desk.clocks("finance", TODAY, at, most), lambda each: False, None)
    assert found == [] and cursor == "1000"
