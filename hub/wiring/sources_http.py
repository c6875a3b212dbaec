"""Which sources hand in by HTTP, and what may be handed in."""

from __future__ import annotations

from hub.contracts.map import HubMap
from hub.intake.http_sources import HttpSource, load_http_sources
from hub.settings import Settings

#: Facts that the hub itself finds stand beside those of departments.
_OWN_DOMAINS = ("hub/", "clock/")


def department_facts(hub_map: HubMap) -> dict[str, str]:
    """Event type -> topic, of what departments enter."""
    return {
        event: name
        for name in hub_map.routed_topics()
        if not (hub_map.topics[name].schema_ or "").startswith(_OWN_DOMAINS)
        for event in hub_map.topics[name].events
    }


def http_sources(settings: Settings, hub_map: HubMap) -> dict[str, HttpSource]:
    """The sources that hand in by HTTP. Raises ContractError."""
    return load_http_sources(settings.sources, department_facts(hub_map))
