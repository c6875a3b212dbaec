"""A clerk in the portal: what is due, a notice, why its clock is due, the answer; by mouse, keyboard and phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import pytest
import redis
from playwright.sync_api import expect

from hub.delivery.settings import SubscriptionSettings
from hub.domain.desk import Colour, NoticeState, Score
from hub.settings import load
from hub.web.site.oversight_pages import LISTS
from tests.browser.conftest import SignIn, faults_of, is_scrolled_sideways, shot
from tests.support_browser import Pages
from tests.support_portal import (
    TODAY,
    MemoryDesk,
    MemoryKeeper,
    Outbox,
    SeasonNotices,
    a_clock,
    a_lead,
    a_notice,
    portal_pages,
)
from tests.support_served import served
from tests.support_site import site as made_site

if TYPE_CHECKING:
    from tests.conftest import IndexLike

NOTICES, OUTBOX = SeasonNotices(), Outbox()
KEEPER = MemoryKeeper()
KEEPER.settings["government-procurement"] = SubscriptionSettings(
    "government-procurement", 1, url="https://receiver.example/in", is_verified=True
)
NOTICE = f"/desk/notices/{NOTICES.inbox['notice_id']}"
PAGES = {
    "home": "/", "deadlines": "/desk/deadlines", "notices": "/desk/notices?show=all", "leads": "/desk/leads",
    "scoreboard": "/desk/scoreboard", "notice": NOTICE, "subscriptions": "/desk/subscriptions",
}


def filled_desk() -> MemoryDesk:
    desk = MemoryDesk()
    desk.of_clocks["finance"] = [
        a_clock(1, date(2026, 3, 2), Colour.RED, "act-and-answer"), a_clock(2, TODAY, Colour.RED, "register-notice"),
        a_clock(3, date(2026, 3, 9), Colour.AMBER, "act-and-answer"),
        *(a_clock(n, date(2026, 3, 31), Colour.GREEN, "act-and-answer") for n in range(4, 40)),
    ]
    desk.of_notices["finance"] = [
        a_notice(1, notice_id=NOTICES.inbox["notice_id"]),
        a_notice(2, NoticeState.ANSWERED, answer="acted", measure="依法限制参加政府采购活动"),
    ]
    desk.of_leads["finance"] = [a_lead(1), a_lead(2, kind="report", status="accepted")]
    desk.scores["finance"] = {
        days: [("采取措施并反馈时限", Score("act-and-answer", 41, 2, 3, 0, 5))] for days in (30, 90)
    }
    return desk


@pytest.fixture(scope="module")
def site(valkey: IndexLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The portal on a desk in memory."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushdb()
        made = made_site(client, portal_pages(filled_desk(), NOTICES, OUTBOX, KEEPER))
        with served(made.app) as url:
            yield Pages(url, made.app, load(data=tmp_path_factory.mktemp("portal")))
            made.parts.ending.set()
        client.flushdb()


def test_a_clerk_answers_in_three_clicks(sign_in: SignIn, site: Pages) -> None:
    before = len(OUTBOX.outputs)
    page = sign_in("fin-clerk")
    expect(page.get_by_role("heading", name="我的办理")).to_be_visible()
    page.get_by_role("link", name="政府采购限制").first.click()
    page.get_by_label("限制参加政府采购活动").check()
    page.get_by_role("button", name="提交反馈").click()
    expect(page.get_by_text("反馈已入库")).to_be_visible()
    assert page.url == site.url + NOTICE
    # It says by itself that the clock is met.
    expect(page.get_by_text("已反馈 · 采取措施并反馈时限：按期完成")).to_be_visible()
    (value,) = OUTBOX.values()[before:]
    assert (value["status"], value["answered_by"], value["way"]) == ("acted", "fin-clerk", "portal")


def test_the_answer_can_be_given_by_the_keyboard(sign_in: SignIn) -> None:
    page = sign_in("fin-leader", path="/profile")
    page.goto(page.url.replace("/profile", NOTICE))
    before = len(OUTBOX.outputs)
    page.get_by_label("不适用").focus()
    page.keyboard.press("Space")
    page.locator("#reason").focus()
    page.keyboard.type("该企业未参加政府采购")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("反馈已入库")).to_be_visible()
    assert len(OUTBOX.outputs) == before + 1


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_every_page_is_fit_for_all(sign_in: SignIn, site: Pages, width: str) -> None:
    page = sign_in("fin-clerk", width=width)
    for name, path in PAGES.items():
        page.goto(site.url + path)
        assert not is_scrolled_sideways(page), path
        shot(page, f"portal-{name}-{width}")
        assert faults_of(page) == [], path


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_what_an_auditor_sees_is_fit_for_all(sign_in: SignIn, site: Pages, width: str) -> None:
    page = sign_in("over-looker", width=width)
    page.goto(f"{site.url}/oversight")
    page.get_by_role("link", name="甘南州财政局").click()
    notice = NOTICES.inbox["notice_id"]
    for name, path in {
        "all": "/oversight", **{each: f"/oversight/departments/finance?show={each}" for each in LISTS},
        "trace": f"/trace?id={notice}", "trace-none": "/trace?id=none",
    }.items():
        page.goto(site.url + path)
        assert not is_scrolled_sideways(page), path
        shot(page, f"oversight-{name}-{width}")
        assert faults_of(page) == [], path


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_what_leaders_do_with_subscriptions_is_fit_for_all(sign_in: SignIn, site: Pages, width: str) -> None:
    page = sign_in("fin-leader", width=width)
    page.goto(f"{site.url}/desk/subscriptions")
    page.get_by_role("button", name="变更接收地址").click()
    expect(page.get_by_label("新地址")).to_be_visible()
    assert faults_of(page) == []
    shot(page, f"portal-address-{width}")
    page.get_by_role("button", name="取消").locator("visible=true").click()
    page.get_by_role("button", name="发送测试事件").click()
    page.get_by_label("原因").locator("visible=true").fill("联调")
    page.get_by_role("button", name="发送", exact=True).click()
    expect(page.get_by_text("测试事件已被接收")).to_be_visible()
    assert faults_of(page) == [] and not is_scrolled_sideways(page)
    shot(page, f"portal-test-event-{width}")
    page.get_by_role("link", name="重发通知").click()
    expect(page.get_by_role("heading", name="重发通知")).to_be_visible()
    assert faults_of(page) == [] and not is_scrolled_sideways(page)
    shot(page, f"portal-replay-{width}")
