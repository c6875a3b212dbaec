"""Connects what the API is besides taking facts and answers: its description, limits, read pages, health."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter

from hub.bus.reader import partitions_of, read_topics
from hub.bus.records import Record
from hub.clocks.view import ClocksView
from hub.contracts.asyncapi import LiveTopic, Surroundings, describe
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.murmur2 import partition_of
from hub.errors import UsageError
from hub.settings import Settings
from hub.web.callers import AnyOf, SubscriptionCallers
from hub.web.cursor import Cursors
from hub.web.log_readers import log_readers
from hub.web.pages import pages_router
from hub.web.readers import Callers
from hub.web.subscriptions import SettingsReader
from hub.wiring.parts import file_secret, utc_now
from hub.wiring.topics import topic_specs

#: Stands for the hub's own listener where it is not said or not known.
_NOWHERE = "hub.example:9092"


def asyncapi(
    settings: Settings, hub_map: HubMap, catalog: Catalog, subjects: Mapping[str, Sequence[int]],
    groups: Mapping[str, Sequence[str]], registry_url: str | None = None,
) -> dict[str, Any]:
    """The AsyncAPI document of the topics as the map asks for them; Kafka is not asked.

    ``registry_url`` is that of a caller of the web side, who is not told where the hub's own listener is: whoever
    reaches that may do all. Without it, it is the operator's document.
    """
    specs = topic_specs(settings, hub_map)
    kafka = _NOWHERE
    if registry_url is None:
        with contextlib.suppress(UsageError):
            kafka = settings.bootstrap.partition(",")[0]
    return describe(hub_map, catalog, Surroundings(
        topics={spec.name: LiveTopic(spec.partitions, spec.replication, spec.configs) for spec in specs},
        subjects=subjects,
        groups=groups,
        kafka=kafka,
        departments_kafka=(settings.departments_bootstrap or "").partition(",")[0] or None,
        registry_url=registry_url or f"http://{settings.web_host}:{settings.web_port}/registry",
    ))


def build_pages(
    settings: Settings, hub_map: HubMap, catalog: Catalog, table: SettingsReader, clocks: Callable[[], ClocksView],
    others: Sequence[Callers] = (),
) -> APIRouter:
    """The read pages. ``table`` has the settings in force; ``others`` know further tokens."""
    departments = {
        name: str(hub_map.departments[entry.department]["code"]) for name, entry in hub_map.subscriptions.items()
    }
    found = log_readers(
        partial(_read_log, settings.bootstrap), catalog, list(hub_map.subscriptions), hub_map.own_topics(), clocks,
        time.monotonic,
    )
    callers = AnyOf([SubscriptionCallers(table, departments), *others])
    # Web processes that share their vault understand each other's cursors.
    cursors = Cursors(file_secret(settings, settings.vault_secret, "vault.secret"))
    titles = {name: rule.title for name, rule in hub_map.clocks.items()}
    return pages_router(found, callers, cursors, titles, utc_now)


def _read_log(bootstrap: str, topics: Sequence[str], subject: str | None = None) -> Iterator[Record]:
    if subject is None:
        return read_topics(bootstrap, topics)
    count = partitions_of(bootstrap, "routing.decisions.v1")
    return read_topics(bootstrap, topics, partition_of(subject.encode(), count) if count else 0)
