"""Connects what hands in by HTTP: sources, their keys, and a desk for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import redis
from fastapi import APIRouter

from hub.bus.follower import Follower
from hub.bus.publisher import Publisher
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import UsageError
from hub.intake.desk import DeskMeans, SourceDesk
from hub.intake.forms import Form, FormDesk, describe_form
from hub.intake.guards.log import GuardLog, ManifestTaken
from hub.intake.guards.reporter import SharedReporter
from hub.intake.http_sources import HttpSource, matching
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.source_keys import KEYS_TOPIC, KeysLog
from hub.intake.source_keys_desk import KeysDesk, KeysTable
from hub.intake.submissions import MAX_NATURAL_KEY, Receiver
from hub.settings import Settings
from hub.web.events import Entrance, events_router
from hub.web.manifests import manifests_router
from hub.wiring.parts import Service, open_redis, subject_secret, utc_now
from hub.wiring.sources_http import department_facts, http_sources


class HttpIntake(NamedTuple):
    """The routers, and what has to run beside them."""

    routers: tuple[APIRouter, ...]
    services: Mapping[str, Service]
    #: Name of the source that a key opens for, ``None`` for a key that opens nothing.
    source_of_key: Callable[[str], str | None]
    #: What each source may hand in by hand too: (code of its department, desk), by its name.
    forms: Mapping[str, tuple[str, FormDesk]]


def entry_form(event: str, hub_map: HubMap, catalog: Catalog) -> Form:
    """The form by which a clerk enters events of a type. Raises UsageError for what departments do not enter."""
    facts = department_facts(hub_map)
    if event not in facts:
        raise UsageError(f"There is no form for {event!r}; there are: {', '.join(sorted(facts))}.")
    schema = catalog.schema(str(hub_map.topics[facts[event]].schema_))
    return describe_form(event, schema, catalog.codes, MAX_NATURAL_KEY)


def keys_desk(settings: Settings, catalog: Catalog, publisher: Publisher) -> KeysDesk:
    return KeysDesk(settings.bootstrap, publisher, KeysLog(catalog), utc_now)


def build_http_intake(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher
) -> HttpIntake:
    """Reads the keys in force first. Raises ContractError for a faulty file, BrokerError."""
    facts, log = department_facts(hub_map), KeysLog(catalog)
    table = KeysTable(Follower(settings.bootstrap, KEYS_TOPIC), log)
    table.fill(KeysDesk(settings.bootstrap, publisher, log, utc_now).read().values())
    client = open_redis(settings)
    entrances: dict[str, Entrance] = {}
    services: dict[str, Service] = {"source-keys": table}
    reporters: dict[str, SharedReporter] = {}
    register = RegisterFeed(settings.bootstrap, catalog)
    for name, source in http_sources(settings, hub_map).items():
        reporters[name] = SharedReporter(settings.bootstrap, catalog, name, publisher, utc_now)
        desk, entrance = source_entrance(
            source, settings, hub_map, catalog, publisher, client, partial(reporters[name].heard, "rows"),
            register,
        )
        entrances[name], services[f"desk-{name}"] = entrance, desk
    guard_log = GuardLog(catalog)

    def take(taken: ManifestTaken) -> None:
        publisher.publish([guard_log.manifest(taken)])
        if not taken.manifest.count:
            reporters[taken.source].spoke("nothing-today")

    sources = {name: entrance.source for name, entrance in entrances.items()}
    routers = (events_router(table, entrances, facts, utc_now), manifests_router(table, sources, take, utc_now))

    def source_of_key(text: str) -> str | None:
        found = table.find(text, utc_now())
        return found[0] if found is not None else None

    forms = {
        name: (each.source.department_code, _form_desk(each, facts, hub_map, catalog))
        for name, each in entrances.items()
    }
    return HttpIntake(routers, services, source_of_key, forms)


def _form_desk(entrance: Entrance, facts: Mapping[str, str], hub_map: HubMap, catalog: Catalog) -> FormDesk:
    """The desk that takes filled forms of a source: the one that takes what its system posts."""
    schemas = {
        event: str(hub_map.topics[facts[event]].schema_) for event in matching(entrance.source.events, facts)
    }
    return FormDesk(entrance.receiver, entrance.desk, schemas, catalog)


def source_entrance(
    source: HttpSource, settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher,
    client: redis.Redis, heard: Callable[[], None] = lambda: None, register: RegisterFeed | None = None,
) -> tuple[SourceDesk, Entrance]:
    facts = department_facts(hub_map)
    schemas = {
        facts[event]: str(hub_map.topics[facts[event]].schema_) for event in matching(source.events, facts)
    }
    means = DeskMeans(
        catalog, settings.bootstrap, client, settings.data, subject_secret(settings), publisher, register,
        hub_map.facts(),
    )
    desk = SourceDesk(
        source.name, schemas, means, heard, asks_register=source.identity == "register", way=source.way
    )
    topics = {event: topic for event, topic in facts.items() if topic in schemas}
    return desk, Entrance(source, Receiver(source, topics, schemas, catalog), desk)
