"""A browser, and somebody who is signed in by it. Without Chromium these are skipped; with CI=true they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support_browser import Pages, pages
from tests.support_site import PASSWORD

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

#: Where pictures go: a folder that is named, or nowhere.
SHOTS = os.environ.get("HUB_TEST_SHOTS", "")
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}

SignIn = Callable[..., Page]


@pytest.fixture(scope="module")
def site(kafka: KafkaLike, valkey: IndexLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with pages(kafka.bootstrap, valkey.url, tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing = "There is no Chromium: apt-get install chromium fonts-noto-cjk."
        pytest.fail(missing, pytrace=False) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, site: Pages) -> Iterator[BrowserContext]:
    """A browser of nobody yet, at a desk. What it asks for elsewhere, and every fault of a script or of the policy,
    fails the test."""
    faults: list[str] = []
    made = browser.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    made.set_default_timeout(20_000)
    made.on("request", lambda request: None if request.url.startswith(site.url) else faults.append(request.url))
    made.on("weberror", lambda error: faults.append(str(error.error)))
    made.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield made
    made.close()
    assert faults == []


@pytest.fixture
def sign_in(context: BrowserContext, site: Pages) -> SignIn:
    """``sign_in("fin-admin")``: the page after it; ``width="phone"`` by a phone."""

    def enter(name: str, password: str = PASSWORD, *, width: str = "desk", path: str = "/sign-in") -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": WIDTHS[width][0], "height": WIDTHS[width][1]})
        page.goto(site.url + path)
        page.fill("#name", name)
        page.fill("#password", password)
        page.click("main button")
        return page

    return enter


def faults_of(page: Page) -> list[str]:
    """What axe finds serious or critical (WCAG 2.2 A and AA, and best practices)."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document)")
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in found["violations"] if each["impact"] in ("serious", "critical") for node in each["nodes"]
    ]


def shot(page: Page, name: str) -> None:
    """A picture of the whole page, where HUB_TEST_SHOTS names a folder."""
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def is_scrolled_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
