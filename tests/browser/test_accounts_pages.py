"""People at the pages: coming in, the own account, accounts of a department, reports; by mouse, keyboard and phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import SignIn, faults_of, is_scrolled_sideways, shot
from tests.support_browser import Pages
from tests.support_site import PASSWORD

OTHER = "quiet yaks walk uphill"


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_one_comes_in_and_goes_out(sign_in: SignIn, site: Pages) -> None:
    page = sign_in("fin-clerk", path="/profile")
    expect(page.locator("h1")).to_have_text("本人账号")  # where he wanted to go
    assert page.url == f"{site.url}/profile"
    (cookie,) = [each for each in page.context.cookies() if "session" in each["name"]]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    page.get_by_role("button", name="退出").click()
    expect(page.locator("h1")).to_have_text("登录")
    page.go_back()
    page.reload()
    expect(page.locator("h1")).to_have_text("登录")


def test_a_wrong_password_says_no_more_than_a_wrong_name(sign_in: SignIn) -> None:
    known = sign_in("fin-clerk", "not the password")
    alert = known.get_by_role("alert").inner_text()
    assert "不正确" in alert and known.input_value("#password") == "" and known.input_value("#name") == "fin-clerk"
    assert sign_in("nobody-here", "not the password").get_by_role("alert").inner_text() == alert
    shot(known, "sign-in-wrong")
    assert faults_of(known) == []


def test_too_many_tries_have_to_wait(sign_in: SignIn) -> None:
    page = sign_in("guessed-at", "guess number 0")
    for number in range(1, 11):
        page.fill("#password", f"guess number {number}")
        page.click("main button")
    expect(page.get_by_role("alert")).to_contain_text("分钟后再试")


def test_a_password_of_somebody_else_is_changed_first(sign_in: SignIn, site: Pages) -> None:
    page = sign_in("newcomer")
    expect(page.locator("h1")).to_have_text("修改密码")
    page.goto(f"{site.url}/profile")
    expect(page.locator("h1")).to_have_text("修改密码")
    shot(page, "password-due")
    assert faults_of(page) == []

    def change(present: str, new: str, again: str) -> None:
        for field, text in (("present_password", present), ("password", new), ("password_again", again)):
            page.fill(f"#{field}", text)
        page.click("main button")

    change(PASSWORD, OTHER, f"{OTHER}!")
    expect(page.get_by_role("alert")).to_contain_text("不一致")
    change(PASSWORD, "Password123456", "Password123456")
    expect(page.get_by_role("alert")).to_contain_text("常见密码")
    change(PASSWORD, OTHER, OTHER)
    expect(page.get_by_role("status")).to_contain_text("密码已修改")
    page.fill("#name", "newcomer")
    page.fill("#password", OTHER)
    page.click("main button")
    expect(page.locator("h1")).to_contain_text("您好")


def test_the_language_is_kept(sign_in: SignIn, site: Pages) -> None:
    page = sign_in("fin-clerk")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_contain_text("Welcome")
    page.goto(f"{site.url}/profile")
    expect(page.locator("h1")).to_have_text("My account")
    assert page.locator("html").get_attribute("lang") == "en"
    shot(page, "profile-en")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_have_text("本人账号")


def test_an_administrator_makes_a_clerk_a_leader_and_the_lead_agency_hears_of_it(
    sign_in: SignIn, context: BrowserContext, site: Pages
) -> None:
    page = sign_in("fin-admin")
    page.get_by_role("link", name="账号管理").click()
    page.get_by_role("link", name="新建账号").click()
    page.fill("#display_name", "卓玛示例")
    page.fill("#name", "fin-new")
    page.get_by_label("经办人").check()
    page.fill("#reason", "新到岗")
    shot(page, "account-new")
    assert faults_of(page) == []
    assert page.get_by_label("审计").count() == 0
    page.get_by_role("button", name="创建并生成初始密码").click()
    assert len(page.locator(".secret").inner_text()) >= 19
    shot(page, "account-created")
    page.goto(f"{site.url}/accounts/fin-new")
    assert page.locator(".secret").count() == 0
    page.get_by_role("button", name="调整角色").click()
    page.get_by_role("dialog").get_by_label("分管领导").check()
    page.get_by_role("dialog").get_by_label("原因").fill("分工调整")
    shot(page, "account-dialog")
    assert faults_of(page) == []
    page.get_by_role("dialog").get_by_role("button", name="保存角色").click()
    expect(page.get_by_role("status")).to_contain_text("角色已保存")
    page.goto(f"{site.url}/accounts/tax-clerk")
    expect(page.locator("h1")).to_have_text("没有此页面")
    context.clear_cookies()
    lead = sign_in("lead-admin")
    expect(lead.locator(".count")).to_have_text("1")
    lead.get_by_role("link", name="变动报备").click()
    row = lead.locator("tbody tr").first
    expect(row).to_contain_text("卓玛示例")
    expect(row).to_contain_text("新任分管领导")
    shot(lead, "reports")
    row.get_by_role("button", name="签收").click()
    lead.get_by_role("dialog").get_by_label("签收意见").fill("知悉")
    lead.get_by_role("dialog").get_by_role("button", name="签收").click()
    expect(lead.get_by_role("status").first).to_contain_text("已签收")
    expect(lead.locator(".count")).to_have_text("")
    assert faults_of(lead) == []


def test_who_is_disabled_is_out_at_once(sign_in: SignIn, context: BrowserContext, site: Pages) -> None:
    clerk = sign_in("tax-clerk")
    expect(clerk.locator("h1")).to_contain_text("您好")
    kept = context.cookies()
    context.clear_cookies()
    admin = sign_in("tax-admin", path="/accounts/tax-clerk")
    admin.get_by_role("button", name="停用账号").click()
    admin.get_by_role("dialog").get_by_label("原因").fill("离岗")
    admin.get_by_role("dialog").get_by_role("button", name="停用账号").click()
    expect(admin.get_by_role("status")).to_contain_text("账号已停用")
    shot(admin, "account-disabled")
    context.clear_cookies()
    context.add_cookies(kept)  # type: ignore[arg-type]  # they came from it
    clerk.reload()
    expect(clerk.locator("h1")).to_have_text("登录")


def test_by_keyboard_alone(context: BrowserContext, site: Pages) -> None:
    page = context.new_page()
    page.goto(f"{site.url}/sign-in")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("跳到正文")
    shot(page, "focus-skip")
    page.keyboard.press("Enter")
    for text in ("tax-admin", PASSWORD):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("您好")
    page.goto(f"{site.url}/accounts/tax-admin")
    assert page.get_by_role("button", name="停用账号").count() == 0  # nobody ends himself
    page.goto(f"{site.url}/accounts")
    page.get_by_role("link", name="tax-clerk 示例").focus()
    page.keyboard.press("Enter")
    opener = page.locator("[data-opens=reset-password]")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog[open]').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.dataset.opens") == "reset-password"


@pytest.mark.parametrize("width", ["desk", "phone"])
@pytest.mark.parametrize(("name", "paths"), [
    ("lead-admin", ["/", "/accounts", "/accounts/fin-admin", "/accounts/new", "/reports", "/audit", "/profile"]),
    ("over-looker", ["/console", "/accounts", "/audit"]),
    ("night-watch", ["/console", "/no-such-page", "/accounts"]),
    ("fin-leader", ["/", "/password", "/docs"]),
])
def test_pages_of_every_role_can_be_read_by_all(
    sign_in: SignIn, site: Pages, name: str, paths: list[str], width: str
) -> None:
    page = sign_in(name, width=width)
    for path in paths:
        page.goto(site.url + path)
        assert heading(page)
        shot(page, f"{width}-{name}-{path.strip('/').replace('/', '-') or 'home'}")
        # What axe looks at is the same at both widths but for the layout.
        assert width == "phone" or faults_of(page) == [], path
        assert not is_scrolled_sideways(page), path
