"""Connects what disclosure is made of: a sink and a position on the log for each channel."""

from __future__ import annotations

import structlog

from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import Endpoints
from hub.contracts.map import HubMap
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.service import Means, channel_senders, group_of
from hub.errors import ContractError
from hub.settings import Settings
from hub.wiring.parts import Service, Together, utc_now

_log = structlog.get_logger()


def channel_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """Consumer group -> topics that it reads, for each channel of the map."""
    return {group_of(name): (ORDERS_TOPIC,) for name in hub_map.channels}


def channel_configs(settings: Settings, hub_map: HubMap, endpoints: Endpoints) -> dict[str, ChannelConfig]:
    """The channels that have an address, by name. Raises ContractError naming the file and every fault."""
    base = settings.endpoints.resolve().parent
    configs: dict[str, ChannelConfig] = {}
    faults: list[str] = []
    for name, channel in hub_map.channels.items():
        if name not in endpoints.channels:
            continue
        try:
            configs[name] = ChannelConfig.of(
                name, channel.title, channel.view, channel.connector, endpoints.channels[name], base
            )
        except ContractError as error:
            faults.append(str(error))
    if faults:
        raise ContractError("\n".join([f"{settings.endpoints}:", *faults]))
    return configs


def build_disclosure(settings: Settings, hub_map: HubMap, catalog: Catalog, endpoints: Endpoints) -> Service:
    """A sender for each channel that has an address. One that has none keeps its queue in the log."""
    configs = channel_configs(settings, hub_map, endpoints)
    for name in hub_map.channels.keys() - configs.keys():
        _log.warning("channel without an address: its orders wait", channel=name)
    for name in endpoints.channels.keys() - hub_map.channels.keys():
        _log.warning("the map knows no such channel", channel=name)
    means = Means(settings.bootstrap, catalog, utc_now, hub_map.version, settings.shutdown_seconds)
    sinks = {name: build_sink(config, catalog, settings.data, utc_now) for name, config in configs.items()}
    senders = channel_senders(sinks, hub_map.channels, means)
    return Together({group_of(name): sender for name, sender in senders.items()})
