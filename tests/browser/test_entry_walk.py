"""A clerk enters an inspection by hand: what is wrong is told beside its field, what is right becomes one event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import redis
from playwright.sync_api import expect

from hub.intake.forms import FormDesk
from hub.settings import load
from hub.web.site.portal.entry_pages import entry_pages
from hub.web.site.portal.event_pages import event_pages
from hub.web.site.portal.lead_pages import lead_pages
from hub.web.site.portal.leads import LedgerLeads
from hub.web.site.portal.own_events import LedgerEvents
from tests.browser.conftest import SignIn, faults_of, is_scrolled_sideways, shot
from tests.integration.test_entry_pages import NAME, PATH, TYPE, OnceDesk, filled
from tests.integration.test_lead_pages import FEED, OWN, Leads, forms_of, ledger_of
from tests.support_browser import Pages
from tests.support_contracts import catalog
from tests.support_http_intake import receiver, source
from tests.support_portal import TODAY, MemoryDesk
from tests.support_served import served
from tests.support_site import site as made_site

if TYPE_CHECKING:
    from tests.conftest import IndexLike

DESK, LEADS = OnceDesk(), Leads()


@pytest.fixture(scope="module")
def site(valkey: IndexLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages of entry on a desk in memory."""
    schemas = {TYPE: "inspection/result", "inspection.result.withdrawn": "inspection/result"}
    forms = FormDesk(receiver(source(NAME)), DESK, schemas, catalog())
    with redis.Redis.from_url(valkey.url) as client:
        client.flushdb()
        ledger, desks = ledger_of(LEADS), forms_of(DESK)
        made = made_site(client, [
            lambda: entry_pages({NAME: ("finance", forms), **desks}),
            lambda: event_pages(LedgerEvents(ledger, {"finance": frozenset([OWN])}), desks),
            lambda: lead_pages(LedgerLeads(ledger, desks), MemoryDesk(), desks, lambda: TODAY),
        ])
        with served(made.app) as url:
            yield Pages(url, made.app, load(data=tmp_path_factory.mktemp("portal")))
            made.parts.ending.set()
        client.flushdb()


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_an_inspection_is_entered_mended_and_taken(sign_in: SignIn, site: Pages, width: str) -> None:
    before = len(DESK.taken)
    page = sign_in("fin-clerk", width=width)
    page.goto(f"{site.url}/desk/entry")
    assert faults_of(page) == [] and not is_scrolled_sideways(page)
    shot(page, f"entry-forms-{width}")
    page.get_by_role("link", name="录入 抽查检查结果").click()
    wanted = filled(f"JC-{width}")
    for name, value in wanted.items():
        if name.startswith("_") or name == "f.party_name":
            continue
        field = page.locator(f'[name="{name}"]').first
        if isinstance(value, list):
            for code in value:
                page.locator(f'[name="{name}"][value="{code}"]').check()
        elif field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(value)
        elif value:
            field.fill(value)
    page.get_by_role("button", name="提交").last.click()
    # The name is missing: said at the head and beside the field, where the cursor stands.
    expect(page.get_by_role("alert")).to_contain_text("未入库")
    expect(page.locator('[name="f.party_name"]')).to_be_focused()
    assert faults_of(page) == [] and not is_scrolled_sideways(page)
    shot(page, f"entry-faults-{width}")
    page.keyboard.type(wanted["f.party_name"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("已入库")).to_be_visible()
    assert faults_of(page) == [] and not is_scrolled_sideways(page)
    shot(page, f"entry-taken-{width}")
    # Loaded anew it is sent again, and is the same event.
    page.reload()
    expect(page.get_by_text("已入库")).to_be_visible()
    assert len(DESK.taken) == before + 1 and page.url == site.url + PATH


@pytest.mark.parametrize("width", ["desk", "phone"])
def test_leads_and_the_way_of_an_event_are_fit_for_all(sign_in: SignIn, site: Pages, width: str) -> None:
    page = sign_in("fin-clerk", width=width)
    event = LEADS.entries[LEADS.of(OWN)].event_id
    paths = {
        "lead-own": f"/desk/leads/{LEADS.of(OWN)}", "lead-national": f"/desk/leads/{LEADS.of(FEED)}",
        "lead-elsewhere": f"/desk/leads/{LEADS.of('exports')}", "event": f"/desk/events/{event}",
        "event-none": "/desk/events/none",
    }
    for name, path in paths.items():
        page.goto(site.url + path)
        assert not is_scrolled_sideways(page), path
        assert faults_of(page) == [], path
        shot(page, f"{name}-{width}")
