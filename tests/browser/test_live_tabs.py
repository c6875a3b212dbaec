"""Live parts in many tabs: a hidden one holds no connection, and what it missed is there when it is seen again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import SignIn
from tests.conftest import IndexLike
from tests.support_console import Console, running_console

#: To this browser every tab is seen. Here a tab is seen until a test says otherwise, as those behind another are not.
HIDING = """
{
  let isHidden = false;
  Object.defineProperty(Document.prototype, "hidden", { get: () => isHidden });
  window.hide = (given) => { isHidden = given; document.dispatchEvent(new Event("visibilitychange")); };
}
"""


@pytest.fixture(scope="module")
def site(valkey: IndexLike) -> Iterator[Console]:
    with running_console(valkey.url) as made:
        yield made


@pytest.fixture(autouse=True)
def hiding(context: BrowserContext) -> None:
    context.add_init_script(HIDING)


def bring_to_front(tabs: Sequence[Page], seen: Page) -> None:
    for each in sorted(tabs, key=lambda each: each is seen):
        each.evaluate("(given) => hide(given)", each is not seen)


def test_every_one_of_eight_tabs_can_be_gone_on_with(sign_in: SignIn, context: BrowserContext, site: Console) -> None:
    tabs = [sign_in("night-watch", path="/console/flow")]
    for _ in range(7):
        expect(tabs[-1].locator(".count").first).to_have_text("2")
        tabs.append(context.new_page())
        bring_to_front(tabs[:-1], tabs[-1])
        tabs[-1].goto(f"{site.url}/console/flow")
    for tab in tabs:
        bring_to_front(tabs, tab)
        tab.get_by_role("link", name="时限风险").click()
        expect(tab.locator("main")).to_contain_text("行政处罚公示时限")
        expect(tab.locator(".count").first).to_have_text("2")


def test_a_tab_that_is_seen_again_is_told_what_it_missed_and_nothing_twice(sign_in: SignIn, site: Console) -> None:
    page = sign_in("night-watch", path="/console/flow")
    row, number = page.get_by_role("row", name="hub-clocks"), page.locator(".count").first
    expect(number).to_have_text("2")
    with page.expect_event("requestfailed", lambda request: "/live/console/flow" in request.url):
        page.evaluate("hide(true)")
    found = site.stage.snapshot
    assert found is not None
    calm = [replace(each, verdict="ok", unread=0, lag_seconds=0.0) for each in found.groups]
    site.stage.snapshot = replace(found, at=found.at.replace(minute=1), groups=calm)
    page.wait_for_timeout(2_000)
    expect(row).to_contain_text("积压")
    # The number did not change: what stands there is not put there again.
    number.evaluate("each => each.firstChild.isOld = true")
    try:
        with page.expect_response(lambda answer: "/live/nav?last-event-id=" in answer.url):
            page.evaluate("hide(false)")
        expect(row).to_contain_text("已追平")
    finally:
        site.stage.snapshot = found
    expect(row).to_contain_text("积压")
    assert number.evaluate("each => each.firstChild.isOld") is True
