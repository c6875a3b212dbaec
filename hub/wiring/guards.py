"""Connects the watch of sources: what each is held to, the calendar, and where events are counted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from hub.bus.publisher import KafkaPublisher
from hub.clocks.calendars import CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.silence import Rhythm
from hub.intake.guards.events_of_day import events_of_day
from hub.intake.guards.service import SourcesGuard
from hub.intake.guards.watch import SourcesWatch, WatchRule
from hub.intake.sources import load_sources
from hub.settings import Settings
from hub.wiring.parts import utc_now
from hub.wiring.sources_http import department_facts, http_sources

#: Working days of the departments.
CALENDAR = "gannan"


def watch_rules(settings: Settings, hub_map: HubMap) -> dict[str, WatchRule]:
    """What each source of ``sources.yaml`` is held to. Raises ContractError."""
    rules = {
        name: WatchRule(
            name, Rhythm.parse(source.rhythm) if source.rhythm else None, source.manifest_key is not None,
            counts_rows=source.manifest_key is not None and source.counts_rows,
        )
        for name, source in load_sources(settings.sources).items()
    }
    for name, given in http_sources(settings, hub_map).items():
        rules[name] = WatchRule(name, Rhythm.parse(given.rhythm) if given.rhythm else None, given.manifest, True)
    return rules


def sources_guard(settings: Settings, hub_map: HubMap, catalog: Catalog) -> SourcesGuard:
    """The watch over all sources, to be closed. Working days are those in force when it is made."""
    rules = watch_rules(settings, hub_map)
    topics = sorted(set(department_facts(hub_map).values()))
    files = load_calendars(settings.home)

    def events_of(source: str, day: date) -> Iterable[str]:
        return events_of_day(settings.bootstrap, topics, source, day)

    def make() -> SourcesWatch:
        calendar = CalendarReader(settings.bootstrap, catalog).read().calendars(files)[CALENDAR]
        return SourcesWatch(rules, calendar, events_of)

    publisher = KafkaPublisher(settings.bootstrap, client_id="sources-guard")
    return SourcesGuard(settings.bootstrap, catalog, make, publisher, utc_now)
