"""Connects the clocks: the stage, what is seen of them, their calendars, and the index made anew."""

from __future__ import annotations

from collections.abc import Mapping

from hub.bus.lag import has_members
from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.steady_clock import SteadyClock
from hub.clocks.calendar_desk import CalendarDesk
from hub.clocks.calendars import CalendarReader, publish_missing
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.rebuild import Rebuild
from hub.clocks.stage import ClocksStage
from hub.clocks.view import ClocksView
from hub.clocks.wire import INPUTS, STATES
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.clocks import ClockRule
from hub.settings import Settings
from hub.state.due_index import DueIndex
from hub.wiring.lanes import lane
from hub.wiring.parts import open_catalog, open_map, open_redis, utc_now

GROUP = "hub-clocks"


def clock_parts(settings: Settings, hub_map: HubMap) -> tuple[Mapping[str, ClockRule], dict[str, str]]:
    """Clock rules, and department ids to codes."""
    return hub_map.clocks, {name: str(entry["code"]) for name, entry in hub_map.departments.items()}


def clocks_view(settings: Settings) -> ClocksView:
    """The clocks as they stand on the log now."""
    catalog = open_catalog(settings)
    hub_map = open_map(settings, catalog)
    calendars = CalendarReader(settings.bootstrap, catalog).read().calendars(load_calendars(settings.home))
    return ClocksView.read(KafkaStateLoader(settings.bootstrap), catalog, hub_map.clocks, calendars)


def calendar_desk(settings: Settings) -> CalendarDesk:
    """The calendars of the files and of the hub, and the clocks that count by them."""
    catalog = open_catalog(settings)
    hub_map = open_map(settings, catalog)
    return CalendarDesk(settings.bootstrap, catalog, hub_map.clocks, load_calendars(settings.home))


def clocks_rebuild(settings: Settings) -> Rebuild:
    """The due index beside the topic that it is made from."""
    catalog = open_catalog(settings)
    calendars = CalendarReader(settings.bootstrap, catalog).read().calendars(load_calendars(settings.home))
    return Rebuild(
        loader=KafkaStateLoader(settings.bootstrap), index=DueIndex(open_redis(settings)), catalog=catalog,
        rules=open_map(settings, catalog).clocks, calendars=calendars,
        is_stage_running=lambda: has_members(settings.bootstrap, "hub-clocks"),
    )


def build_clocks(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Lane:
    stage = _stage(settings, hub_map, catalog)
    # What falls due is said within a part of a second, and by a time that nobody's hand can step.
    return lane(settings, hub_map, "clocks", stage, GROUP, INPUTS, tick_seconds=0.25, now=SteadyClock())


def _stage(settings: Settings, hub_map: HubMap, catalog: Catalog) -> ClocksStage:
    rules, departments = clock_parts(settings, hub_map)
    files, reader = load_calendars(settings.home), CalendarReader(settings.bootstrap, catalog)
    publisher = KafkaPublisher(settings.bootstrap, client_id="calendars")
    published = publish_missing(reader, publisher, catalog, files, utc_now())
    return ClocksStage(
        rules=rules,
        calendars=published.calendars(files),
        news=reader,
        catalog=catalog,
        loader=KafkaStateLoader(settings.bootstrap),
        index=DueIndex(open_redis(settings)),
        map_version=hub_map.version,
        departments=departments,
        partitions=hub_map.topics[STATES].partitions,
    )
