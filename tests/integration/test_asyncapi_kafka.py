"""The AsyncAPI document against a live cluster and the registry; tests/e2e/test_up.py does so with all topics."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from hub.bus.topics import admin, apply
from hub.contracts.map import HubMap
from hub.settings import Settings, load
from hub.web.app import create_app
from hub.web.registry import registry_router
from hub.wiring import asyncapi_document, registry_subjects, topic_specs
from tests.support_asyncapi import as_described, as_live
from tests.support_contracts import ROOT, catalog
from tests.support_served import wait_until

if TYPE_CHECKING:
    from tests.conftest import KafkaLike

#: One of each shape: by age, compacted, for ever, dead letters, of one partition and of twelve.
SHAPES = ("blacklist.notices.v1", "intake.heartbeats.v1", "reference.calendars.v1", "routing.dead-letters.v1")


@cache
def hub_map() -> HubMap:
    found = HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")
    topics = {name: found.model.topics[name] for name in SHAPES}
    subscriptions = {"works-bidding": found.subscriptions["works-bidding"]}
    return replace(found, model=found.model.model_copy(update={"topics": topics, "subscriptions": subscriptions}))


@pytest.fixture
def settings(kafka: KafkaLike) -> Settings:
    return load(bootstrap_servers=kafka.bootstrap, replication=1)


def document(settings: Settings) -> dict[str, Any]:
    return asyncapi_document(settings, hub_map(), catalog())


def test_topics_are_as_the_cluster_has_them(settings: Settings) -> None:
    described = as_described(document(settings))
    assert set(described) == {*SHAPES, "inbox.works-bidding"}
    with admin(settings.bootstrap) as client:
        apply(client, topic_specs(settings, hub_map()))
        try:
            wait_until(lambda: as_live(settings.bootstrap, described) == described, "the topics as they are described")
            wrong = {**described, SHAPES[0]: (11, *described[SHAPES[0]][1:])}
            assert as_live(settings.bootstrap, wrong) != wrong
        finally:
            client.delete_topics(sorted(described))


def test_schema_ids_are_those_of_the_registry(settings: Settings) -> None:
    router = registry_router(catalog(), registry_subjects(hub_map(), catalog()))
    client = TestClient(create_app([("/registry", router)]))
    components = document(settings)["components"]
    messages = [each for each in components["messages"].values() if "x-schema-subject" in each]
    assert len(messages) == len([topic for topic in hub_map().topics.values() if topic.schema_])
    for message in messages:
        told = client.get(f"/registry/subjects/{message['x-schema-subject']}/versions/latest").json()
        assert told["id"] == message["x-schema-id"]
