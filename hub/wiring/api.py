"""Connects what the API is besides taking facts and answers: its description, limits, read pages, health."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hub.bus.reader import partitions_of, read_topics
from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.clocks.view import ClocksView
from hub.contracts.asyncapi import LiveTopic, Surroundings, describe
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.murmur2 import partition_of
from hub.domain.quota import Quota
from hub.errors import UsageError
from hub.ops.holdings import HOLDINGS
from hub.ops.holdings_shelf import HoldingsShelf
from hub.settings import Settings
from hub.state.quotas import MemoryQuotas, RedisQuotas
from hub.web.callers import AnyOf, SubscriptionCallers
from hub.web.cursor import Cursors
from hub.web.ledger_readers import ledger_readers
from hub.web.log_readers import log_readers
from hub.web.pages import pages_router
from hub.web.quota import limit
from hub.web.readers import Callers
from hub.web.subscriptions import SettingsReader
from hub.wiring.ledger import ledger_view
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


def find_callers(hub_map: HubMap, table: SettingsReader, others: Sequence[Callers] = ()) -> Callers:
    """Who tokens are. ``table`` has the settings in force; ``others`` know further tokens."""
    departments = {
        name: str(hub_map.departments[entry.department]["code"]) for name, entry in hub_map.subscriptions.items()
    }
    return AnyOf([SubscriptionCallers(table, departments), *others])


def limit_requests(
    app: FastAPI, settings: Settings, source_of_key: Callable[[str], str | None], callers: Callers
) -> None:
    """Puts the limits of the settings before ``app``, counted in Redis for all web processes."""
    def identify(token: str) -> str | None:
        source = source_of_key(token)
        if source is not None:
            return f"source:{source}"
        caller = callers.find(token)
        return caller.name if caller is not None else None

    def quota(name: str, per_minute: int) -> Quota | None:
        return Quota(name, per_minute) if per_minute else None

    client = AsyncRedis.from_url(
        settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
    )
    limit(
        app, quotas=RedisQuotas(client, MemoryQuotas()), identify=identify,
        caller=quota("caller", settings.rate_per_minute), address=quota("address", settings.rate_per_minute_address),
    )


def holdings_shelf(settings: Settings, catalog: Catalog) -> HoldingsShelf:
    """Who holds what, for a process that keeps it."""
    return HoldingsShelf(Tail(settings.bootstrap, [HOLDINGS], is_whole=True), catalog)


def build_pages(
    settings: Settings, hub_map: HubMap, catalog: Catalog, callers: Callers, clocks: Callable[[], ClocksView],
    shelf: HoldingsShelf, used: Callable[[str], None],
) -> APIRouter:
    """The read pages: out of the ledger's index, and out of the log where that cannot tell. ``used`` is told the ids of
    keys as they are used."""
    by_log = log_readers(
        partial(_read_log, settings.bootstrap), catalog, list(hub_map.subscriptions), hub_map.own_topics(), clocks,
        time.monotonic,
    )
    found = ledger_readers(ledger_view(settings, hub_map, catalog, {}), by_log, shelf, utc_now)
    # Web processes that share their vault understand each other's cursors.
    cursors = Cursors(file_secret(settings, settings.vault_secret, "vault.secret"))
    titles = {name: rule.title for name, rule in hub_map.clocks.items()}
    return pages_router(found, callers, cursors, titles, utc_now, used)


def _read_log(bootstrap: str, topics: Sequence[str], subject: str | None = None) -> Iterator[Record]:
    if subject is None:
        return read_topics(bootstrap, topics)
    count = partitions_of(bootstrap, "routing.decisions.v1")
    return read_topics(bootstrap, topics, partition_of(subject.encode(), count) if count else 0)
