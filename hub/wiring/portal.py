"""Connects the department portal with the ledger that its pages read."""

from __future__ import annotations

from hub.bus.publisher import Publisher
from hub.clocks.calendars import CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.delivery.answers import AnswerDesk
from hub.errors import HubError
from hub.settings import Settings
from hub.state.notice_index import NoticeIndex
from hub.web.site.pages import PageSet
from hub.web.site.portal.answering import Answering
from hub.web.site.portal.desk import LedgerDesk
from hub.web.site.portal.desk_pages import desk_pages, gannan_today
from hub.web.site.portal.notice import LedgerNotices
from hub.web.site.portal.notice_pages import notice_pages
from hub.web.site.portal.subscription_pages import subscription_pages
from hub.web.site.portal.upload_pages import upload_pages
from hub.wiring.delivery import settings_desk, vault
from hub.wiring.ledger import ledger_view
from hub.wiring.parts import open_redis, utc_now
from hub.wiring.uploads import upload_desks


def portal_parts(settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher) -> tuple[PageSet, ...]:
    """The parts of the site that departments have. Calendars are those in force when the process starts."""
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
    return (
        desk_pages(desk, today), notice_pages(LedgerNotices(ledger), desk, answering, today),
        subscription_pages(hub_map.subscriptions, keeper, vault(settings), utc_now),
        upload_pages(upload_desks(settings, hub_map, catalog)),
    )
