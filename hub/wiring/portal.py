"""Connects the department portal with the ledger that its pages read."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from hub.bus.publisher import Publisher
from hub.clocks.calendars import CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.delivery.answers import AnswerDesk
from hub.delivery.rehearsal import Receipt
from hub.delivery.settings import SubscriptionSettings
from hub.errors import HubError
from hub.intake.forms import FormDesk
from hub.ops.acts import ActsDesk
from hub.settings import Settings
from hub.state.notice_index import NoticeIndex
from hub.web.site.oversight_pages import LedgerWays, oversight_pages
from hub.web.site.pages import PageSet
from hub.web.site.portal.answering import Answering
from hub.web.site.portal.desk import LedgerDesk
from hub.web.site.portal.desk_pages import desk_pages, gannan_today
from hub.web.site.portal.entry_pages import entry_pages
from hub.web.site.portal.event_pages import event_pages
from hub.web.site.portal.lead_pages import lead_pages
from hub.web.site.portal.leads import LedgerLeads
from hub.web.site.portal.notice import LedgerNotices
from hub.web.site.portal.notice_pages import notice_pages
from hub.web.site.portal.own_events import LedgerEvents
from hub.web.site.portal.replay_pages import replay_pages
from hub.web.site.portal.subscription_pages import subscription_pages
from hub.web.site.portal.upload_pages import upload_pages
from hub.wiring.acts import acts_desk, replays
from hub.wiring.delivery import send_test, settings_desk, vault, verify_address
from hub.wiring.ledger import ledger_view
from hub.wiring.parts import open_redis, utc_now
from hub.wiring.uploads import read_sources, upload_desks


class _Endpoint:
    """Endpoints of departments, asked under the rules of delivery."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def verify(self, current: SubscriptionSettings, url: str) -> None:
        asyncio.run(verify_address(self._settings, current, url))

    def send_test(self, current: SubscriptionSettings) -> Receipt:
        return asyncio.run(send_test(self._settings, current))


def portal_parts(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher,
    forms: Mapping[str, tuple[str, FormDesk]], acts: ActsDesk | None = None,
) -> tuple[PageSet, ...]:
    """The parts of the site that departments have; ``acts`` is the process's desk of them. Calendars are those in force
    when the process starts."""
    acts = acts or acts_desk(settings, publisher)
    files = load_calendars(settings.home)
    try:
        calendars = CalendarReader(settings.bootstrap, catalog).read().calendars(files)
    except HubError:
        calendars = files  # only colours and days left depend on them
    ledger = ledger_view(settings, hub_map, catalog, calendars)
    today, desk, index = gannan_today(utc_now), LedgerDesk(ledger), NoticeIndex(open_redis(settings))
    # Who answers is known by his session; nothing that is signed comes this way.
    answering = Answering(AnswerDesk(catalog, index, lambda name: [], utc_now), index, publisher.publish)
    keeper = settings_desk(settings, catalog, publisher, is_kept=True)
    departments = {str(entry["code"]): name for name, entry in hub_map.departments.items()}
    own_forms = {
        name: (departments[code], forms_desk) for name, (code, forms_desk) in forms.items() if code in departments
    }
    sources: dict[str, set[str]] = defaultdict(set)
    codes = {name: code for name, (code, _) in forms.items()}
    codes |= {name: config.department_code for name, config in read_sources(settings).items()}
    for name, code in codes.items():
        sources[departments.get(code, "")].add(name)
    events = LedgerEvents(ledger, {name: frozenset(found) for name, found in sources.items()})
    return (
        desk_pages(desk, today), notice_pages(LedgerNotices(ledger), desk, answering, today),
        subscription_pages(hub_map.subscriptions, keeper, vault(settings), utc_now, _Endpoint(settings)),
        replay_pages(hub_map.subscriptions, replays(settings, publisher, acts), acts),
        entry_pages(own_forms), lead_pages(LedgerLeads(ledger, own_forms), desk, own_forms, today),
        event_pages(events, own_forms),
        upload_pages(upload_desks(settings, hub_map, catalog)),
        oversight_pages(desk, LedgerWays(ledger), list(hub_map.departments), today),
    )
