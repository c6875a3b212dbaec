"""Which consumer groups there are, of all stages together."""

from __future__ import annotations

from hub.clocks.wire import INPUTS as CLOCK_INPUTS
from hub.contracts.map import HubMap
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.service import group_of
from hub.settings import Settings
from hub.wiring.clocks import GROUP as CLOCKS
from hub.wiring.direct import direct_groups
from hub.wiring.disclosure import channel_groups
from hub.wiring.ledger import ledger_groups
from hub.wiring.routing import GROUP as ROUTING
from hub.wiring.spans import span_groups
from hub.wiring.uplink import uplink_groups


def consumer_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """Consumer group -> topics that it reads."""
    groups: dict[str, tuple[str, ...]] = {
        ROUTING: hub_map.routed_topics(),
        CLOCKS: CLOCK_INPUTS,
    }
    handed_out = {group_of(name): (f"inbox.{name}", COMMANDS_TOPIC) for name in hub_map.subscriptions}
    return groups | channel_groups(hub_map) | handed_out | direct_groups(hub_map) | ledger_groups(hub_map)


def all_groups(settings: Settings, hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """The same, with the way back up and the spans where there are any."""
    return {**consumer_groups(hub_map), **uplink_groups(settings), **span_groups(settings, hub_map)}
