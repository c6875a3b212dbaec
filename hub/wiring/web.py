"""Connects the web side: interfaces of programs, the registry face, and the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI

from hub.bus.publisher import KafkaPublisher
from hub.bus.pulse import Pulse
from hub.bus.reader import read_topics
from hub.bus.topics import admin, plan
from hub.clocks.view import ClocksView
from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import load_endpoints
from hub.contracts.map import HubMap
from hub.delivery.answers import AnswerDesk
from hub.delivery.message import read_notices
from hub.delivery.service import group_of
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.settings_desk import AnswerKeys
from hub.errors import HubError
from hub.settings import Settings
from hub.state.notice_index import NoticeIndex
from hub.web.app import create_app, health_router
from hub.web.asyncapi import asyncapi_router
from hub.web.feedback import feedback_router
from hub.web.registry import registry_router
from hub.web.startup import Startup, StartupGate
from hub.web.subscriptions import subscriptions_router
from hub.wiring.api import build_pages, find_callers, holdings_shelf, limit_requests
from hub.wiring.delivery import fetched_senders, settings_desk, settings_in_force, settings_table, vault, verify_address
from hub.wiring.health import first_fault, pulses_of
from hub.wiring.http_intake import build_http_intake
from hub.wiring.parts import Service, Together, open_redis, utc_now
from hub.wiring.recovery import Recovery
from hub.wiring.served import WebService
from hub.wiring.site import build_site, key_callers
from hub.wiring.topics import topic_specs

#: A department that waits for notices is let go after this long when the web side ends.
SHUTDOWN_SECONDS = 3


class WebParts(NamedTuple):
    """The application, and what has to run beside it."""

    app: FastAPI
    services: dict[str, Service]


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


#: The AsyncAPI document, given the address of the registry as a caller sees it.
Document = Callable[[str], Mapping[str, Any]]


def build_web(
    settings: Settings, hub_map: HubMap, catalog: Catalog, document: Document, clocks: Callable[[], ClocksView]
) -> Service:
    """The web side as a service. Raises ContractError for a faulty set-up, BrokerError."""
    publisher = KafkaPublisher(settings.bootstrap, client_id="web")
    parts = build_app(settings, hub_map, catalog, publisher, document, clocks)
    config = uvicorn.Config(
        parts.app, host=settings.web_host, port=settings.web_port, log_config=None, log_level="warning",
        access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        # Whom a request comes from, and whether by https, is a proxy's word only where it is named.
        proxy_headers=bool(settings.trusted_proxies), forwarded_allow_ips=settings.trusted_proxies or "",
    )
    web = WebService(uvicorn.Server(config), publisher.close)
    return Together({"web": web, **parts.services})


def build_app(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: KafkaPublisher, document: Document,
    clocks: Callable[[], ClocksView],
) -> WebParts:
    """The whole application with what it reads, as ``hub run web`` serves it."""
    specs = topic_specs(settings, hub_map)

    def missing() -> str | None:
        try:
            with admin(settings.bootstrap) as client:
                changes = [change for change in plan(client, specs) if change.kind == "create"]
        except HubError as error:
            return str(error)
        return f"{len(changes)} topics are missing" if changes else None

    senders, pullers = fetched_senders(settings, hub_map, catalog)

    def tell(changed: SubscriptionSettings) -> None:
        if changed.subscription in senders:
            senders[changed.subscription].use(changed)

    table = settings_table(settings, catalog, tell)
    table.fill(settings_in_force(settings, hub_map, catalog, load_endpoints(settings.endpoints)))
    keys = AnswerKeys(table, vault(settings), utc_now)
    index = NoticeIndex(open_redis(settings))
    # An index that was wiped is told from a notice that never was: it is filled before the first question.
    inboxes = [f"inbox.{name}" for name in hub_map.subscriptions]
    shelf = holdings_shelf(settings, catalog)
    startup = Startup(["notices", "holdings"])
    recovery = Recovery({
        "notices": lambda: index.rebuild(read_notices(read_topics(settings.bootstrap, inboxes), catalog)),
        "holdings": shelf.read_on,
    }, startup)
    pulses = [pulse for sender in senders.values() for pulse in pulses_of(sender)]
    health = health_router(
        missing, is_started=startup.missing, is_alive=lambda: first_fault(pulses, Pulse.why_dead)
    )
    feedback = feedback_router(publisher.publish, AnswerDesk(catalog, index, keys, utc_now))
    registry = registry_router(catalog, registry_subjects(hub_map, catalog))
    subscriptions = subscriptions_router(
        table, settings_desk(settings, catalog, publisher), pullers, partial(verify_address, settings)
    )
    intake = build_http_intake(settings, hub_map, catalog, publisher)
    site = build_site(settings, hub_map, catalog, publisher, intake.forms)
    callers = find_callers(hub_map, table, [key_callers(hub_map, site.parts.keys)])
    routers = [
        health, *intake.routers, feedback, subscriptions, asyncapi_router(document),
        build_pages(
            settings, hub_map, catalog, callers, clocks, shelf,
            lambda key_id: site.parts.key_uses.used(key_id, utc_now()),
        ), *site.routers,
    ]
    app = create_app([*(("", router) for router in routers), ("/registry", registry)], site.parts)
    limit_requests(app, settings, intake.source_of_key, callers)
    app.add_middleware(StartupGate, startup=startup)
    services: dict[str, Service] = {"settings": table, "recovery": recovery, **intake.services, **site.services}
    return WebParts(app, services | {group_of(name): sender for name, sender in senders.items()})
