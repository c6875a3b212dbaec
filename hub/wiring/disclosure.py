"""Connects what disclosure is made of: a sink and a position on the log for each channel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import partitions_of, read_topics
from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import Endpoints, load_endpoints
from hub.contracts.map import HubMap
from hub.disclosure.book import fold
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.receipts import RECEIPTS_TOPIC
from hub.disclosure.reconcile import Comparison, Difference, compare, refused_withdrawals
from hub.disclosure.reissue import orders_of, reissue
from hub.disclosure.service import Means, channel_senders, group_of
from hub.disclosure.sink import PublicRecord
from hub.disclosure.status import Reconciled
from hub.domain.disclosed import State
from hub.domain.murmur2 import partition_of
from hub.errors import ContractError, UsageError
from hub.settings import Settings
from hub.wiring.channel_notes import ChannelNotes, StatusNotes, note_reconciled
from hub.wiring.parts import Service, Together, open_catalog, open_map, open_redis, utc_now

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
                name, channel.title, channel.view, channel.connector, endpoints.channels[name], base, channel.audience
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
    audiences = {name: channel.audience for name, channel in hub_map.channels.items()}
    senders = channel_senders(sinks, hub_map.channels, means, audiences)
    services: dict[str, Service] = {group_of(name): sender for name, sender in senders.items()}
    try:
        services["channel-status"] = StatusNotes(senders, ChannelNotes(open_redis(settings)))
    except UsageError:
        _log.info("no Redis is named: the console does not see the circuits of the channels")
    return Together(services)


def public_states(settings: Settings, channel: str | None = None, subject: str | None = None) -> list[State]:
    """What the hub believes of its channels, out of the log as it is now; of a subject only its partition is read."""
    partition = None
    if subject is not None:
        count = partitions_of(settings.bootstrap, ORDERS_TOPIC)
        partition = partition_of(subject.encode(), count) if count else 0
    records = read_topics(settings.bootstrap, [ORDERS_TOPIC, RECEIPTS_TOPIC], partition)
    found = fold(records, open_catalog(settings), channel)
    return [state for state in found if subject in (None, state.subject)]


def reconcile(settings: Settings, channel: str) -> Comparison:
    """The channel's own list against the log. Raises UsageError for a channel that cannot be asked, OutletError where
    it does not answer."""
    catalog = open_catalog(settings)
    hub_map, endpoints = open_map(settings, catalog), load_endpoints(settings.endpoints)
    if channel not in hub_map.channels:
        raise UsageError(f"There is no channel {channel!r}; there are: {', '.join(hub_map.channels)}.")
    config = channel_configs(settings, hub_map, endpoints).get(channel)
    if config is None:
        raise UsageError(f"Channel {channel!r} has no address in {settings.endpoints}.")

    async def listed() -> list[PublicRecord]:
        sink = build_sink(config, catalog, settings.data, utc_now)
        try:
            if not sink.capabilities.lists_public:
                raise UsageError(f"Channel {channel!r} cannot say what is public on it ({config.connector}).")
            return [record async for record in sink.public()]
        finally:
            await sink.close()

    began = utc_now()
    found = asyncio.run(listed())
    result = compare(public_states(settings, channel), found, began)
    note_reconciled(settings, channel, Reconciled.of(result, began))
    return result


def withdraw_again(settings: Settings, channel: str, *, by: str, why: str) -> int:
    """Gives every withdrawal again that the channel refused; returns how many. Raises UsageError for no channel of the
    map."""
    known = open_map(settings, open_catalog(settings)).channels
    if channel not in known:
        raise UsageError(f"There is no channel {channel!r}; there are: {', '.join(known)}.")
    return mend(settings, refused_withdrawals(public_states(settings, channel)), by=by, why=why)


def mend(settings: Settings, differences: Sequence[Difference], *, by: str, why: str) -> int:
    """Gives the orders again that the differences need; returns how many. They are on the log when this returns."""
    wanted = {each.state.order_id for each in differences if each.remedy and each.state and each.state.order_id}
    orders = orders_of(read_topics(settings.bootstrap, [ORDERS_TOPIC]), wanted)
    outputs = list(reissue(differences, orders, open_catalog(settings), by=by, why=why, now=utc_now()))
    publisher = KafkaPublisher(settings.bootstrap, client_id="reconcile")
    try:
        publisher.publish(outputs)
    finally:
        publisher.close()
    return len(outputs)
