"""The one place that picks and connects parts. Nothing here decides anything of the domain."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import redis
import uvicorn
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.clients import DEAD_LETTER_BYTES
from hub.bus.flow import Flow
from hub.bus.lag import has_members
from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.stage import Stage
from hub.bus.steady_clock import SteadyClock
from hub.bus.table_loader import TableLoader
from hub.bus.topics import TopicSpec, admin, plan
from hub.clocks.calendar_desk import CalendarDesk
from hub.clocks.calendars import CalendarReader, publish_missing
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.rebuild import Rebuild
from hub.clocks.stage import ClocksStage
from hub.clocks.view import ClocksView
from hub.clocks.wire import STATES
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import Endpoints, load_endpoints
from hub.contracts.map import HubMap
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.engine import DeliveryEngine
from hub.delivery.message import read_notices
from hub.delivery.waits import WAITS_TOPIC, Waiting, WaitLog
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.disclosure.stage import ChannelEndpoint, DisclosureStage
from hub.domain.clocks import ClockRule
from hub.domain.webhook import parse_verifier
from hub.errors import HubError, UsageError
from hub.intake.service import IntakeService
from hub.intake.session import IntakeSession, Means, tune_collector
from hub.intake.sources import load_sources
from hub.routing.stage import RoutingStage
from hub.settings import Settings
from hub.state.due_index import DueIndex
from hub.state.notice_index import NoticeIndex
from hub.web.app import create_app, health_router
from hub.web.feedback import feedback_router
from hub.web.registry import registry_router

STAGES = ("intake", "routing", "disclosure", "delivery", "clocks", "web")


class Service(Protocol):
    """A part that runs until it is told to stop. ``stop`` may be called from any thread."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


def _now() -> datetime:
    return datetime.now(UTC)


def open_catalog(settings: Settings) -> Catalog:
    return Catalog.load(settings.home)


def open_map(settings: Settings, catalog: Catalog | None = None) -> HubMap:
    """The map, checked against schemas and reference data. Raises MapError with all its faults."""
    return HubMap.load(settings.topic_map, catalog or open_catalog(settings), settings.home / "reference")


def topic_specs(settings: Settings, hub_map: HubMap) -> list[TopicSpec]:
    """The topics of the map as Kafka knows them."""
    replication = settings.copies or hub_map.model.replication
    in_sync = min(hub_map.model.min_in_sync, replication)
    specs = []
    for name, topic in hub_map.topics.items():
        configs = {"cleanup.policy": topic.cleanup, "min.insync.replicas": str(in_sync)}
        if topic.cleanup == "delete":
            is_forever = topic.retention == timedelta.max
            configs["retention.ms"] = "-1" if is_forever else str(int(topic.retention.total_seconds() * 1000))
        if name.endswith(".dead-letters.v1"):
            configs["max.message.bytes"] = str(DEAD_LETTER_BYTES)
        specs.append(TopicSpec(name, topic.partitions, replication, configs))
    return specs


def registry_subjects(hub_map: HubMap, catalog: Catalog) -> dict[str, list[int]]:
    """Registry subject -> schema ids: every topic's value, and each view that leaves the hub."""
    subjects = {
        f"{name}-value": [catalog.schema(topic.schema_).id]
        for name, topic in hub_map.topics.items()
        if topic.schema_ is not None
    }
    for schema in catalog.schemas:
        if schema.view != "full":
            subjects.setdefault(f"{schema.name.replace('/', '.')}.{schema.view}", []).append(schema.id)
    return subjects


def consumer_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """Consumer group -> topics that it reads."""
    groups: dict[str, tuple[str, ...]] = {
        "hub-routing": hub_map.routed_topics(),
        "hub-disclosure": ("disclosure.orders.v1",),
        "hub-clocks": _CLOCK_INPUTS,
    }
    return groups | {
        f"hub-delivery-{name}": (f"inbox.{name}", COMMANDS_TOPIC) for name in hub_map.subscriptions
    }


_CLOCK_INPUTS = ("clock.signals.v1", "disclosure.receipts.v1", "delivery.receipts.v1", "discipline.feedback.v1")


def subject_secret(settings: Settings) -> bytes:
    """The key of the hash that stands for certificate numbers; made once where none is set."""
    if settings.subject_secret is not None:
        return settings.subject_secret.get_secret_value().encode()
    path = settings.data / "subject.secret"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()


def intake_means(settings: Settings, catalog: Catalog) -> Means:
    return Means(catalog, settings.bootstrap, settings.redis_url, settings.data, subject_secret(settings))


def build_intake(settings: Settings, name: str) -> IntakeSession:
    """The intake of one source, to be entered as a context. Raises UsageError for an unknown name."""
    from hub.intake.build import build_intake as build

    sources = load_sources(settings.sources)
    if name not in sources:
        raise UsageError(f"There is no source {name!r}; there are: {', '.join(sources) or 'none'}.")
    means = intake_means(settings, open_catalog(settings))
    return build(sources[name], means.catalog, means.bootstrap, means.redis_url, means.data_dir, means.subject_secret)


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
        loader=KafkaStateLoader(settings.bootstrap), index=DueIndex(_redis(settings)), catalog=catalog,
        rules=open_map(settings, catalog).clocks, calendars=calendars,
        is_stage_running=lambda: has_members(settings.bootstrap, "hub-clocks"),
    )


class Together:
    """Several services as one: each in its own thread; one that ends with an error ends all."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = dict(services)
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._guard, args=(service,), name=name) for name, service in self._services.items()
        ]
        for thread in threads:
            thread.start()
        self._ended.wait()
        self.stop()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._ended.set()
        for service in self._services.values():
            service.stop()

    def _guard(self, service: Service) -> None:
        try:
            service.run()
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._ended.set()


class WebService:
    """Uvicorn as a service; run outside the main thread it leaves signals to the command line."""

    def __init__(self, server: uvicorn.Server, close: Callable[[], None]) -> None:
        self._server, self._close = server, close

    def run(self) -> None:
        try:
            self._server.run()
        finally:
            self._close()

    def stop(self) -> None:
        self._server.should_exit = True


def build_service(settings: Settings, stage: str) -> Service:
    """One stage as a service. Raises UsageError for an unknown name, ContractError for a faulty set-up."""
    catalog = open_catalog(settings)
    if stage == "intake":
        tune_collector()
        return IntakeService(load_sources(settings.sources), intake_means(settings, catalog))
    hub_map = open_map(settings, catalog)
    if stage == "web":
        return _web(settings, hub_map, catalog)
    if stage == "delivery":
        return _delivery(settings, hub_map, catalog, load_endpoints(settings.endpoints))
    builders: dict[str, Callable[[], Stage]] = {
        "routing": lambda: RoutingStage(hub_map, catalog),
        "disclosure": lambda: _disclosure(catalog, load_endpoints(settings.endpoints)),
        "clocks": lambda: _clocks(settings, hub_map, catalog),
    }
    if stage not in builders:
        raise UsageError(f"There is no stage {stage!r}; the stages are {', '.join(STAGES)}.")
    group = f"hub-{stage}"
    topics = consumer_groups(hub_map)[group]
    if stage != "clocks":
        return _lane(settings, hub_map, stage, builders[stage](), group, topics)
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
        rule_version=hub_map.version,
        shutdown_seconds=settings.shutdown_seconds,
        tick_seconds=tick_seconds,
        now=now or _now,
    )


def _disclosure(catalog: Catalog, endpoints: Endpoints) -> DisclosureStage:
    channels = {
        name: ChannelEndpoint(entry.url, entry.token.get_secret_value() if entry.token else None)
        for name, entry in endpoints.channels.items()
    }
    return DisclosureStage(channels, catalog, _now)


def _delivery(settings: Settings, hub_map: HubMap, catalog: Catalog, endpoints: Endpoints) -> Service:
    """A flow for each subscription: a dead endpoint keeps its own queue and slows no other."""
    index, waits = NoticeIndex(_redis(settings)), TableLoader(settings.bootstrap, topic=WAITS_TOPIC)
    guard = AddressGuard(parse_networks(settings.delivery_networks))
    lanes: dict[str, Service] = {}
    for name in hub_map.subscriptions:
        if name not in endpoints.subscriptions:
            raise UsageError(f"{settings.endpoints} has no address for the subscription {name!r}.")
        entry = endpoints.subscriptions[name]
        endpoint = WebhookEndpoint(
            entry.url,
            entry.secret.get_secret_value(),
            tuple(secret.get_secret_value() for secret in entry.previous_secrets),
        )
        transport = WebhookTransport(endpoint, _now, guard=guard)
        engine = DeliveryEngine(name, transport, catalog, _now, index, waits, rule_version=hub_map.version)
        group = f"hub-delivery-{name}"
        lanes[group] = Flow(
            engine, name=f"delivery-{name}", topics=[f"inbox.{name}", COMMANDS_TOPIC], group=group,
            bootstrap=settings.bootstrap, shutdown_seconds=settings.shutdown_seconds,
        )
    return Together(lanes)


def waiting_notices(settings: Settings) -> list[Waiting]:
    """What stands on the topic of waits now, in the order of the inboxes."""
    partitions = range(open_map(settings).topics[WAITS_TOPIC].partitions)
    return list(WaitLog(open_catalog(settings)).load(TableLoader(settings.bootstrap, topic=WAITS_TOPIC), partitions))


def _clocks(settings: Settings, hub_map: HubMap, catalog: Catalog) -> ClocksStage:
    rules, departments = clock_parts(settings, hub_map)
    files, reader = load_calendars(settings.home), CalendarReader(settings.bootstrap, catalog)
    publisher = KafkaPublisher(settings.bootstrap, client_id="calendars")
    published = publish_missing(reader, publisher, catalog, files, _now())
    return ClocksStage(
        rules=rules,
        calendars=published.calendars(files),
        news=reader,
        catalog=catalog,
        loader=KafkaStateLoader(settings.bootstrap),
        index=DueIndex(_redis(settings)),
        map_version=hub_map.version,
        departments=departments,
        partitions=hub_map.topics[STATES].partitions,
    )


def _web(settings: Settings, hub_map: HubMap, catalog: Catalog) -> WebService:
    publisher = KafkaPublisher(settings.bootstrap, client_id="web")
    specs = topic_specs(settings, hub_map)

    def missing() -> str | None:
        try:
            with admin(settings.bootstrap) as client:
                changes = [change for change in plan(client, specs) if change.kind == "create"]
        except HubError as error:
            return str(error)
        return f"{len(changes)} topics are missing" if changes else None

    known = load_endpoints(settings.endpoints).subscriptions
    keys = {
        name: [secret.get_secret_value() for secret in (entry.secret, *entry.previous_secrets)]
        for name, entry in known.items()
    }
    for subscription_keys in keys.values():
        for text in subscription_keys:
            parse_verifier(text)
    index = NoticeIndex(_redis(settings))
    # An index that was wiped is told from a notice that never was: it is filled before the first question.
    inboxes = [f"inbox.{name}" for name in hub_map.subscriptions]
    index.rebuild(read_notices(read_topics(settings.bootstrap, inboxes), catalog))
    feedback = feedback_router(publisher.publish, catalog, index, keys, _now)
    registry = registry_router(catalog, registry_subjects(hub_map, catalog))
    app = create_app([("", health_router(missing)), ("", feedback), ("/registry", registry)])
    config = uvicorn.Config(app, host=settings.web_host, port=settings.web_port, log_level="warning", access_log=False)
    return WebService(uvicorn.Server(config), publisher.close)


def _redis(settings: Settings) -> redis.Redis:
    """A client that says at once when the index is away: its users go on without it."""
    return redis.Redis.from_url(
        settings.redis_url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
    )
