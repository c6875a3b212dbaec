"""Connects routing."""

from __future__ import annotations

from hub.bus.table_loader import TableLoader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import RoutingStage
from hub.settings import Settings
from hub.wiring.lanes import lane
from hub.wiring.maps import MapNote
from hub.wiring.parts import Service, Together

GROUP = "hub-routing"


def build_routing(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Service:
    stage = RoutingStage(
        hub_map, catalog, loader=TableLoader(settings.bootstrap, topic=HOLDINGS),
        calendars=load_calendars(settings.home),
    )
    way = lane(settings, hub_map, "routing", stage, GROUP, hub_map.routed_topics())
    return Together({"routing": way, "map-note": MapNote(settings, hub_map)})
