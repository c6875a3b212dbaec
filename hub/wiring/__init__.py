"""The one place that picks and connects parts. Nothing here decides anything of the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from hub.bus.lag import has_members
from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.stage import Stage
from hub.bus.steady_clock import SteadyClock
from hub.bus.table_loader import TableLoader
from hub.clocks.calendar_desk import CalendarDesk
from hub.clocks.calendars import CalendarReader, publish_missing
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.rebuild import Rebuild
from hub.clocks.stage import ClocksStage
from hub.clocks.view import ClocksView
from hub.clocks.wire import STATES
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import load_endpoints
from hub.contracts.map import HubMap
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.service import group_of
from hub.domain.clocks import ClockRule
from hub.errors import UsageError
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.service import IntakeService
from hub.intake.session import IntakeSession, Means, tune_collector
from hub.intake.sources import load_sources
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import RoutingStage
from hub.settings import Settings
from hub.state.due_index import DueIndex
from hub.wiring.access import apply_cluster as apply_cluster
from hub.wiring.access import change_password as change_password
from hub.wiring.access import direct_state as direct_state
from hub.wiring.access import plan_cluster as plan_cluster
from hub.wiring.acts import acts_desk as acts_desk
from hub.wiring.acts import dead_letter_desk as dead_letter_desk
from hub.wiring.acts import open_acts as open_acts
from hub.wiring.acts import replays as replays
from hub.wiring.api import asyncapi
from hub.wiring.delivery import address_guard as address_guard
from hub.wiring.delivery import build_delivery
from hub.wiring.delivery import settings_desk as settings_desk
from hub.wiring.delivery import vault as vault
from hub.wiring.delivery import verify_address as verify_address
from hub.wiring.delivery import waiting_notices as waiting_notices
from hub.wiring.direct import direct_groups
from hub.wiring.disclosure import build_disclosure, channel_groups
from hub.wiring.disclosure import mend as mend
from hub.wiring.disclosure import public_states as public_states
from hub.wiring.disclosure import reconcile as reconcile
from hub.wiring.disclosure import withdraw_again as withdraw_again
from hub.wiring.guards import sources_guard as sources_guard
from hub.wiring.health import with_health as with_health
from hub.wiring.http_intake import http_sources as http_sources
from hub.wiring.http_intake import keys_desk as keys_desk
from hub.wiring.ledger import LedgerRebuild as LedgerRebuild
from hub.wiring.ledger import build_ledger, ledger_groups
from hub.wiring.ledger import open_ledger as open_ledger
from hub.wiring.maps import MapNote
from hub.wiring.maps import open_map_log as open_map_log
from hub.wiring.ops import build_ops
from hub.wiring.ops import lag_watch as lag_watch
from hub.wiring.parts import Service as Service
from hub.wiring.parts import Together as Together
from hub.wiring.parts import open_catalog as open_catalog
from hub.wiring.parts import open_map as open_map
from hub.wiring.parts import open_redis as open_redis
from hub.wiring.parts import subject_secret as subject_secret
from hub.wiring.parts import utc_now
from hub.wiring.seeds import seed_accounts as seed_accounts
from hub.wiring.site import accounts_desk as accounts_desk
from hub.wiring.site import api_keys_desk as api_keys_desk
from hub.wiring.site import key_uses as key_uses
from hub.wiring.topics import topic_specs as topic_specs
from hub.wiring.uplink import build_uplink
from hub.wiring.uplink import find_uplinks as find_uplinks
from hub.wiring.uplink import uplink_groups as uplink_groups
from hub.wiring.web import build_web
from hub.wiring.web import registry_subjects as registry_subjects

STAGES = ("intake", "routing", "disclosure", "delivery", "clocks", "uplink", "ledger", "ops", "web")


def asyncapi_document(
    settings: Settings, hub_map: HubMap, catalog: Catalog, registry_url: str | None = None
) -> dict[str, Any]:
    """The topics and webhooks as an AsyncAPI document; see :mod:`hub.contracts.asyncapi`."""
    subjects = registry_subjects(hub_map, catalog)
    return asyncapi(settings, hub_map, catalog, subjects, consumer_groups(hub_map), registry_url)


def consumer_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """Consumer group -> topics that it reads."""
    groups: dict[str, tuple[str, ...]] = {
        "hub-routing": hub_map.routed_topics(),
        "hub-clocks": _CLOCK_INPUTS,
    }
    handed_out = {group_of(name): (f"inbox.{name}", COMMANDS_TOPIC) for name in hub_map.subscriptions}
    return groups | channel_groups(hub_map) | handed_out | direct_groups(hub_map) | ledger_groups(hub_map)


def all_groups(settings: Settings, hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """The same, with the way back up where there is one."""
    return {**consumer_groups(hub_map), **uplink_groups(settings)}


_CLOCK_INPUTS = ("clock.signals.v1", "disclosure.receipts.v1", "delivery.receipts.v1", "discipline.feedback.v1")


def intake_means(settings: Settings, catalog: Catalog, hub_map: HubMap) -> Means:
    return Means(
        catalog, settings.bootstrap, settings.redis_url, settings.data, subject_secret(settings),
        RegisterFeed(settings.bootstrap, catalog), is_watched=True, facts=hub_map.facts(),
    )


def build_intake(settings: Settings, name: str) -> IntakeSession:
    """The intake of one source, to be entered as a context. Raises UsageError for an unknown name."""
    from hub.intake.build import open_session

    sources = load_sources(settings.sources)
    if name not in sources:
        raise UsageError(f"There is no source {name!r}; there are: {', '.join(sources) or 'none'}.")
    catalog = open_catalog(settings)
    return open_session(sources[name], intake_means(settings, catalog, open_map(settings, catalog)))


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


def build_service(settings: Settings, stage: str) -> Service:
    """One stage as a service. Raises UsageError for an unknown name, ContractError for a faulty set-up."""
    catalog = open_catalog(settings)
    if stage == "intake":
        tune_collector()
        hub_map = open_map(settings, catalog)
        guard = sources_guard(settings, hub_map, catalog)
        return IntakeService(load_sources(settings.sources), intake_means(settings, catalog, hub_map), guard=guard)
    if stage == "uplink":
        return build_uplink(settings, catalog)
    hub_map = open_map(settings, catalog)
    if stage == "web":
        document = partial(asyncapi_document, settings, hub_map, catalog)
        return build_web(settings, hub_map, catalog, document, partial(clocks_view, settings))
    if stage == "ledger":
        return build_ledger(settings, hub_map, catalog)
    if stage == "ops":
        return build_ops(settings, hub_map, catalog, all_groups(settings, hub_map))
    if stage == "delivery":
        return build_delivery(settings, hub_map, catalog, load_endpoints(settings.endpoints))
    if stage == "disclosure":
        return build_disclosure(settings, hub_map, catalog, load_endpoints(settings.endpoints))
    builders: dict[str, Callable[[], Stage]] = {
        "routing": lambda: RoutingStage(
            hub_map, catalog, loader=TableLoader(settings.bootstrap, topic=HOLDINGS),
            calendars=load_calendars(settings.home),
        ),
        "clocks": lambda: _clocks(settings, hub_map, catalog),
    }
    if stage not in builders:
        raise UsageError(f"There is no stage {stage!r}; the stages are {', '.join(STAGES)}.")
    group = f"hub-{stage}"
    topics = consumer_groups(hub_map)[group]
    if stage != "clocks":
        lane = _lane(settings, hub_map, stage, builders[stage](), group, topics)
        return Together({stage: lane, "map-note": MapNote(settings, hub_map)})
    # What falls due is said within a part of a second, and by a time that nobody's hand can step.
    clock = SteadyClock()
    return _lane(settings, hub_map, stage, builders[stage](), group, topics, tick_seconds=0.25, now=clock)


def _lane(
    settings: Settings,
    hub_map: HubMap,
    name: str,
    stage: Stage,
    group: str,
    topics: Sequence[str],
    dead_letters: str | None = None,
    tick_seconds: float = 1.0,
    now: Callable[[], datetime] | None = None,
) -> Lane:
    return Lane(
        stage,
        name=name,
        topics=topics,
        group=group,
        bootstrap=settings.bootstrap,
        dead_letters=dead_letters,
        # That a version was routed is said when all that it brought is on the log.
        behind=(HOLDINGS,),
        rule_version=hub_map.version,
        shutdown_seconds=settings.shutdown_seconds,
        tick_seconds=tick_seconds,
        now=now or utc_now,
    )


def _clocks(settings: Settings, hub_map: HubMap, catalog: Catalog) -> ClocksStage:
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
