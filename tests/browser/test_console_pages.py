"""Operators at the console: the flow, deadlines, endpoints, dead letters and the second person; desks in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import SignIn, faults_of, is_scrolled_sideways, shot
from tests.conftest import IndexLike
from tests.support_console import Console, running_console


@pytest.fixture(scope="module")
def site(valkey: IndexLike) -> Iterator[Console]:
    with running_console(valkey.url) as made:
        made.stage.fill_letters()
        yield made


def test_the_flow_changes_by_itself(sign_in: SignIn, site: Console) -> None:
    page = sign_in("night-watch", path="/console/flow")
    expect(page.locator(".flow-wide .flow-stopped")).to_have_count(1)
    expect(page.get_by_role("row", name="hub-clocks")).to_contain_text("积压")
    found = site.stage.snapshot
    assert found is not None
    calm = [replace(each, verdict="ok", unread=0, lag_seconds=0.0) for each in found.groups]
    site.stage.snapshot = replace(found, at=found.at.replace(minute=1), groups=calm)
    try:
        expect(page.get_by_role("row", name="hub-clocks")).to_contain_text("已追平")
        expect(page.locator(".flow-wide .flow-stopped")).to_have_count(0)
    finally:
        site.stage.snapshot = found


def carried_out_by_another(page: Page, sign_in: SignIn, context: BrowserContext, site: Console) -> Page:
    """The request that ``page`` stands on, approved and carried out by the other operator."""
    address = page.url
    context.clear_cookies()
    other = sign_in("day-watch", path=address.removeprefix(site.url))
    other.get_by_role("button", name="批准").click()
    other.get_by_role("dialog").get_by_label("原因").fill("已核对")
    other.get_by_role("dialog").get_by_role("button", name="批准").click()
    other.get_by_role("button", name="执行").click()
    return other


def test_letters_are_looked_at_and_put_back_by_two(sign_in: SignIn, context: BrowserContext, site: Console) -> None:
    page = sign_in("night-watch", path="/console/letters")
    page.get_by_role("link", name="routing-PoisonError").click()
    page.locator("tbody a").first.click()
    page.fill("#purpose", "核查代码缺失")
    page.get_by_role("button", name="注明用途并查看").click()
    expect(page.locator("h2")).to_have_text("内容")
    shot(page, "console-letter-content")
    assert faults_of(page) == []
    page.goto(f"{site.url}/console/letters")
    page.get_by_role("link", name="重新投递全部").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="重新投递").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("第二人复核")
    dialog.get_by_label("原因").fill("代码表已补")
    shot(page, "console-redrive-dialog")
    assert faults_of(page) == []
    dialog.get_by_role("button", name="提交复核").click()
    expect(page.locator("main")).to_contain_text("须由另一人批准")
    other = carried_out_by_another(page, sign_in, context, site)
    expect(other.locator("main")).to_contain_text("4 put back")
    shot(other, "console-request-done")
    assert faults_of(other) == []
    assert len(site.stage.log.records("inspection.results.v1")) == 4


def test_an_operator_follows_a_stop_to_its_cause_and_lets_it_go_on(sign_in: SignIn, site: Console) -> None:
    """From the flow to the deadlines, the channel whose circuit is open, and the endpoint that a person paused."""
    page = sign_in("night-watch", path="/console/flow")
    expect(page.get_by_role("row", name="hub-delivery-works-bidding")).to_contain_text("未运行")
    page.get_by_role("link", name="时限风险").click()
    expect(page.locator("main")).to_contain_text("行政处罚公示时限")
    expect(page.locator(".deadline-red").first).to_contain_text("已逾期")
    page.get_by_role("link", name="公示渠道").click()
    row = page.get_by_role("row", name="gsxt")
    expect(row).to_contain_text("已断开")
    row.get_by_role("link").click()
    page.get_by_role("button", name="重发", exact=True).first.click()
    page.get_by_role("dialog").get_by_label("原因").fill("已恢复权限")
    shot(page, "console-channel-dialog")
    assert faults_of(page) == []
    page.get_by_role("dialog").get_by_role("button", name="重发").click()
    expect(page.get_by_role("status").first).to_contain_text("已重发")
    assert site.stage.channels.asked[-1] == ("gsxt", "record-0", "night-watch", "已恢复权限")
    page.get_by_role("link", name="送达端点").click()
    paused = page.get_by_role("row", name="government-procurement")
    expect(paused).to_contain_text("已暂停")
    paused.get_by_role("button", name="恢复").click()
    page.get_by_role("dialog").get_by_label("原因").fill("对端维护结束")
    page.get_by_role("dialog").get_by_role("button", name="恢复").click()
    expect(page.get_by_role("status").first).to_be_visible()
    assert site.stage.endpoints.asked[-1] == ("resume", "government-procurement", "night-watch", "对端维护结束")


def test_a_range_is_sent_again_by_two(sign_in: SignIn, context: BrowserContext, site: Console) -> None:
    page = sign_in("night-watch", path="/console/replay")
    page.select_option("[name=subscription]", "works-bidding")
    page.fill("[name=since]", "2026-03-01T08:00")
    page.fill("[name=until]", "2026-03-02T08:00")
    page.get_by_role("button", name="预览").click()
    page.get_by_role("button", name="提出重发").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("第二人复核")
    dialog.get_by_label("原因").fill("对端丢失数据")
    dialog.get_by_role("button", name="提交复核").click()
    expect(page.locator("main")).to_contain_text("须由另一人批准")
    other = carried_out_by_another(page, sign_in, context, site)
    expect(other.locator("main")).to_contain_text("2 put into the inbox again")
    assert [each.name for each in site.stage.replays.carried] == ["day-watch"]
    assert faults_of(other) == []


@pytest.mark.parametrize(("name", "width"), [
    ("night-watch", "desk"), ("night-watch", "phone"), ("over-looker", "desk"),
])
def test_pages_of_the_console_can_be_read_by_all(sign_in: SignIn, site: Console, name: str, width: str) -> None:
    page = sign_in(name, width=width)
    for path in ("flow", "risks", "endpoints", "letters", "letters/redrive?every=true", "requests", "replay",
                 "sources", "map", "channels", "channels/gsxt", "calendars", "calendars/gannan?year=2026",
                 "map/versions", "map/versions/2", "sources/manifests"):
        page.goto(f"{site.url}/console/{path}")
        shot(page, f"{width}-{name}-{path.partition('?')[0].replace('/', '-')}")
        # What axe looks at is the same at both widths and for both roles but for the layout and the buttons.
        assert width == "phone" or name == "over-looker" or faults_of(page) == [], path
        assert not is_scrolled_sideways(page), path
