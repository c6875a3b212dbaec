"""The watch over groups and deadlines put together: for the command line, and as a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hub.bus.publisher import KafkaPublisher
from hub.bus.tail import Tail
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.delivery.leaves import Leaves
from hub.delivery.service import group_of as delivery_group_of
from hub.delivery.settings import SETTINGS_TOPIC, SettingsLog
from hub.disclosure.service import group_of as channel_group_of
from hub.domain.direct import group_of as direct_group_of
from hub.ops.lag_unread import Role
from hub.ops.lag_watch import Watch
from hub.ops.probe import LogProbe
from hub.ops.service import OpsService
from hub.ops.snapshot import Snapshot
from hub.settings import Settings
from hub.state.snapshot_store import SnapshotStore
from hub.wiring.direct import served_by
from hub.wiring.parts import Service, Together, open_redis, utc_now
from hub.wiring.spans import build_spans


def group_roles(hub_map: HubMap) -> dict[str, Role]:
    """What each group does with the records that it reads, as far as clocks wait for it."""
    return {
        "hub-routing": Role("itself"), "hub-clocks": Role("itself"),
        **{channel_group_of(name): Role("channel", name) for name in hub_map.channels},
        **{delivery_group_of(name): Role("subscription", name) for name in hub_map.subscriptions},
        **{direct_group_of(name): Role("subscription", name) for name in hub_map.delivered_by("kafka")},
    }


def dead_letter_topics(hub_map: HubMap) -> list[str]:
    """Where records stand that no stage can process."""
    return [name for name in hub_map.topics if name.endswith(".dead-letters.v1")]


def lag_watch(
    settings: Settings, hub_map: HubMap, catalog: Catalog, groups: Mapping[str, Sequence[str]], *,
    keeps_clocks: bool = False,
) -> Watch:
    """To be closed. ``keeps_clocks`` is for who looks again and again."""
    leaves = Leaves(
        {name: entry.delivery for name, entry in hub_map.subscriptions.items()},
        Tail(settings.bootstrap, [SETTINGS_TOPIC], is_whole=True), SettingsLog(catalog),
        load_calendars(settings.home)["gannan"].is_working_day,
    )
    return Watch(
        settings.bootstrap, catalog, hub_map.clocks, groups, group_roles(hub_map), dead_letter_topics(hub_map),
        now=utc_now, keeps_clocks=keeps_clocks, leaves=leaves, served_by=served_by(hub_map),
    )  # fmt: skip


class Probed:
    """A watch whose snapshots hold the latest probe."""

    def __init__(self, watch: Watch, probe: LogProbe) -> None:
        self._watch, self._probe = watch, probe

    def look(self) -> Snapshot:
        return replace(self._watch.look(), probes=self._probe.latest())

    def close(self) -> None:
        self._watch.close()


def build_ops(
    settings: Settings, hub_map: HubMap, catalog: Catalog, groups: Mapping[str, Sequence[str]]
) -> Service:
    """The service, over all groups of the map."""
    publisher = KafkaPublisher(settings.bootstrap, client_id="probe")
    probe = LogProbe(settings.bootstrap, publisher, seconds=settings.ops_seconds)
    watch = lag_watch(settings, hub_map, catalog, groups, keeps_clocks=True)
    spans, figures = build_spans(settings, hub_map) if settings.otlp_endpoint else (None, None)
    service = OpsService(
        Probed(watch, probe), SnapshotStore(open_redis(settings)), seconds=settings.ops_seconds,
        host=settings.metrics_host, port=settings.metrics_port, figures=[figures] if figures is not None else [],
    )  # fmt: skip
    beside: dict[str, Service] = {"spans": spans} if spans is not None else {}
    return Together({"ops": service, "probe": probe, **beside})
