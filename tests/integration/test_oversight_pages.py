"""What an auditor sees of departments and of the way of an event: all of it, and nothing of a person."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import redis

from hub.domain.desk import Colour, NoticeState, Score
from hub.web.site.oversight_pages import MOST_STEPS, oversight_pages
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_portal import (
    PERSON,
    TODAY,
    MemoryDesk,
    MemoryWays,
    SeasonNotices,
    a_clock,
    a_lead,
    a_notice,
)
from tests.support_site import Site, site

AUDITOR, FINANCE = "over-looker", "/oversight/departments/finance"


@pytest.fixture
def desk() -> MemoryDesk:
    made = MemoryDesk()
    made.of_clocks["finance"] = [
        a_clock(number, TODAY + timedelta(days=number), Colour.AMBER) for number in range(1, 31)
    ]
    made.of_notices["finance"] = [a_notice(1), a_notice(2, NoticeState.ANSWERED, answer="acted", measure="依法限制")]
    made.of_leads["finance"] = [a_lead(1)]
    made.scores["finance"] = {30: [("规则甲", Score("a", 5, 1, 2, 0, 3))], 90: [("规则甲", Score("a", 50, 1, 2, 0, 3))]}
    made.of_clocks["taxation"] = [
        a_clock(99, date(2026, 3, 9), Colour.RED, subject=PERSON, is_person=True)
    ]
    return made


@pytest.fixture
def ways() -> MemoryWays:
    return SeasonNotices().ways()


@pytest.fixture
def here(redis_client: redis.Redis, desk: MemoryDesk, ways: MemoryWays) -> Site:
    return site(redis_client, [lambda: oversight_pages(desk, ways, ["finance", "taxation"], lambda: TODAY)])


def test_each_department_stands_there_with_what_is_open(here: Site) -> None:
    text = signed_in(here, AUDITOR).get("/oversight").text
    rows = text.split("<tr>")[2:]
    assert [row.count("</td>") for row in rows] == [4, 4]
    assert "甘南州财政局" in rows[0] and [f">{count}</td>" in rows[0] for count in (30, 1)] == [True, True]
    assert f'href="{FINANCE}"' in text and "各部门办理" in text


def test_its_lists_and_its_punctuality_can_be_read(here: Site) -> None:
    browser = signed_in(here, AUDITOR)
    first = browser.get(FINANCE).text
    assert "在办时限共30项" in first and first.count("<tr>") == 26
    assert f"{FINANCE}?show=deadlines&amp;after=25" in first
    assert browser.get(f"{FINANCE}?show=deadlines&after=25").text.count("<tr>") == 6
    notices = browser.get(f"{FINANCE}?show=notices").text
    assert "依法限制" in notices and 'href="/trace?id=notice-001"' in notices and "/desk/" not in notices
    leads = browser.get(f"{FINANCE}?show=leads").text
    assert "投诉" in leads and "/trace?id=" in leads and "/desk/" not in leads
    assert ">5</td>" in browser.get(f"{FINANCE}?show=scores").text
    assert ">50</td>" in browser.get(f"{FINANCE}?show=scores&days=90").text
    # What nobody knows is the first of each.
    assert browser.get(f"{FINANCE}?show=nothing").text.count("<tr>") == 26
    assert browser.get("/oversight/departments/taxation?show=leads").text.count('class="empty"') == 1


def test_a_person_is_a_natural_person_and_no_number(here: Site) -> None:
    text = signed_in(here, AUDITOR).get("/oversight/departments/taxation").text
    assert "自然人" in text and PERSON not in text


def test_the_way_of_an_event_is_told_with_rules_and_places(here: Site, ways: MemoryWays) -> None:
    browser, (id_, *_) = signed_in(here, AUDITOR), sorted(ways.ids)
    empty = browser.get("/trace").text
    assert "<table" not in empty and 'class="empty"' not in empty
    text = browser.get(f"/trace?id=%20{id_}%20").text
    assert text.count("<tr>") == len(ways.steps(id_)) + 1
    for step in ways.steps(id_):
        assert f"{step.topic}/{step.partition}/{step.offset}" in text
        assert step.rule is None or step.rule in text
    assert "台账中没有这个编号" in browser.get("/trace?id=%3Cscript%3E").text
    ways.all = ways.all * (MOST_STEPS // len(ways.all) + 1)
    many = browser.get(f"/trace?id={id_}").text
    assert many.count("<tr>") == MOST_STEPS + 1 and f"更早的{len(ways.all) - MOST_STEPS}步未显示" in many


@pytest.mark.parametrize("path", ["/oversight", FINANCE, "/trace?id=x"])
def test_nobody_else_sees_it_and_what_is_not_there_is_said(here: Site, desk: MemoryDesk, path: str) -> None:
    for name in ("fin-clerk", "fin-leader", "fin-admin", "night-watch"):
        assert signed_in(here, name).get(path).status_code == 403
    auditor = signed_in(here, AUDITOR)
    assert auditor.get("/oversight/departments/nobody").status_code == 404
    desk.is_down = True
    assert auditor.get(path).status_code == 503


def test_english_has_the_pages_too(here: Site, ways: MemoryWays) -> None:
    browser = signed_in(here, AUDITOR)
    browser.client.cookies.set("lang", "en")
    for path, word in (("/oversight", "All departments"), (f"{FINANCE}?show=leads", "Trace"),
                       (f"/trace?id={min(ways.ids)}", "Place on the log")):
        assert word in browser.get(path).text
