"""Connects the department portal with the ledger that its pages read."""

from __future__ import annotations

from hub.clocks.calendars import CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import HubError
from hub.settings import Settings
from hub.web.site.pages import PageSet
from hub.web.site.portal.desk import LedgerDesk
from hub.web.site.portal.desk_pages import desk_pages, gannan_today
from hub.wiring.ledger import ledger_view
from hub.wiring.parts import utc_now


def portal_parts(settings: Settings, hub_map: HubMap, catalog: Catalog) -> tuple[PageSet, ...]:
    """The parts of the site that departments have. Calendars are those in force when the process starts."""
    files = load_calendars(settings.home)
    try:
        calendars = CalendarReader(settings.bootstrap, catalog).read().calendars(files)
    except HubError:
        calendars = files  # only colours and days left depend on them
    ledger = ledger_view(settings, hub_map, catalog, calendars)
    today = gannan_today(utc_now)
    return (desk_pages(LedgerDesk(ledger), today),)
