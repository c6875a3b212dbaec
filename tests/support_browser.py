"""The whole web application on a real Kafka and Valkey, with accounts of every role, on a port of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import redis
from confluent_kafka.cimpl import NewTopic
from fastapi import FastAPI

from hub.access.accounts import ACCOUNTS_TOPIC, Account, AccountsLog, seal_password
from hub.access.keys import KEYS_TOPIC
from hub.access.reports import REPORTS_TOPIC
from hub.bus.publisher import KafkaPublisher
from hub.delivery.settings import SETTINGS_TOPIC
from hub.intake.source_keys import KEYS_TOPIC as SOURCE_KEYS_TOPIC
from hub.ops.acts import ACTS_TOPIC
from hub.settings import Settings, load
from hub.wiring import asyncapi_document, clocks_view
from hub.wiring.delivery import vault
from hub.wiring.parts import Together, open_catalog, open_map
from hub.wiring.web import WebParts, build_app
from tests.support_served import served, wait_until
from tests.support_site import PASSWORD, PEOPLE, account
from tests.support_topics import having

TOPICS = (ACCOUNTS_TOPIC, REPORTS_TOPIC, KEYS_TOPIC, ACTS_TOPIC, SETTINGS_TOPIC, SOURCE_KEYS_TOPIC)


#: The application holds its clients of Redis as long as its process lives, and nobody closes them. Collected in the
#: middle of another test they would fail that one.
_KEPT: list[WebParts] = []


class Pages(NamedTuple):
    """``url`` is the root. Every account of PEOPLE is in it, with PASSWORD; ``newcomer`` has to change his."""

    url: str
    app: FastAPI
    settings: Settings


def site_settings(bootstrap: str, redis_url: str, data: Path) -> Settings:
    (data / "endpoints.yaml").write_text("channels: {}\nsubscriptions: {}\n")
    return load(data=data, bootstrap_servers=bootstrap, redis_index_url=redis_url)


def people(settings: Settings) -> list[Account]:
    """The accounts of PEOPLE and one whose password was given by somebody else."""
    made = [account(name, department, *roles) for name, (department, roles) in PEOPLE.items()]
    made.append(account("newcomer", "finance", "clerk", must_change=True))
    sealed_by = vault(settings)
    opened = []
    for each in made:
        values = {name: getattr(each, name) for name in each.__slots__}
        opened.append(Account(**values | {"password": seal_password(each.name, PASSWORD, sealed_by)}))
    return opened


@contextlib.contextmanager
def pages(bootstrap: str, redis_url: str, data: Path) -> Iterator[Pages]:
    """The application while it runs."""
    settings = site_settings(bootstrap, redis_url, data)
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("hub:tries:*"):
            client.delete(key)
    names = [f"inbox.{name}" for name in open_map(settings).subscriptions]
    with (
        having(bootstrap, names, *(NewTopic(name, 1, -1) for name in TOPICS)),
        closing(KafkaPublisher(bootstrap, client_id="test")) as publisher,
    ):
        catalog = open_catalog(settings)
        log = AccountsLog(catalog)
        publisher.publish([log.entry(each) for each in people(settings)])
        hub_map = open_map(settings, catalog)
        document = partial(asyncapi_document, settings, hub_map, catalog)
        parts = build_app(settings, hub_map, catalog, publisher, document, partial(clocks_view, settings))
        _KEPT.append(parts)
        beside = Together(parts.services)
        thread = threading.Thread(target=beside.run)
        thread.start()
        try:
            with served(parts.app) as url:
                wait_until(lambda: httpx2.get(f"{url}/startupz").status_code == 200, "all that is read at the start")
                yield Pages(url, parts.app, settings)
                beside.stop()
        finally:
            beside.stop()
            thread.join(30)
