"""Pictures of the main pages for docs/screens.md, of a hub that runs on this machine with its sandbox.

    .venv/bin/hub up                                                          # in another terminal, once it is up:
    .venv/bin/python -m tests.browser.screens [--data .hub] [--folder docs/screens]

Each page is taken as it is first seen, at 1280 and at 390 pixels; nothing is clicked but what leads there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from hub.settings import PROJECT_ROOT

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
CLERK, OPERATOR = "czj-clerk", "yunwei"
#: Name of the picture -> who looks, and at what.
PAGES = {
    "home": (CLERK, "/"), "deadlines": (CLERK, "/desk/deadlines"), "notice": (CLERK, "/desk/notices?show=all"),
    "scoreboard": (CLERK, "/desk/scoreboard"), "flow": (OPERATOR, "/console/flow"),
    "endpoints": (OPERATOR, "/console/endpoints"), "channels": (OPERATOR, "/console/channels"),
    "channel": (OPERATOR, "/console/channels/province"), "calendar": (OPERATOR, "/console/calendars/gannan"),
    "versions": (OPERATOR, "/console/map/versions"),
}
#: Of these the first entry of the list is opened.
OPENED = {"notice"}


def main() -> int:
    """0 once all pictures are there; 2 where no hub runs or no browser is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(".hub"), help="data folder of the running hub")
    parser.add_argument("--folder", type=Path, default=PROJECT_ROOT / "docs" / "screens", help="where they go")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        url = str(json.loads((given.data / "run.json").read_text(encoding="utf-8"))["web"])
        lines = (given.data / "sandbox-accounts.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"no hub with its sandbox runs on {given.data}: {error}\n")
        return 2
    if chromium is None:
        sys.stderr.write("there is no Chromium: apt-get install chromium fonts-noto-cjk\n")
        return 2
    passwords = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width, (across, down) in WIDTHS.items():
            for who in (CLERK, OPERATOR):
                page = signed_in(browser, url, who, passwords[who], across, down)
                for name, (whose, path) in PAGES.items():
                    if whose == who:
                        take(page, url + path, name in OPENED, given.folder / f"{name}-{width}.png")
                page.context.close()
        browser.close()
    return 0


def signed_in(browser: Browser, url: str, name: str, password: str, across: int, down: int) -> Page:
    page = browser.new_context(viewport={"width": across, "height": down}, locale="zh-CN").new_page()
    page.goto(f"{url}/sign-in")
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("main button")
    page.wait_for_selector("nav.side")
    return page


def take(page: Page, address: str, is_opened: bool, path: Path) -> None:
    page.goto(address)
    if is_opened:
        page.locator("main td a").first.click()
        page.wait_for_selector("h1")
    # Live parts are there after a moment.
    page.wait_for_timeout(1500)
    page.screenshot(path=str(path))
    sys.stdout.write(f"{path}  {path.stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    sys.exit(main())
