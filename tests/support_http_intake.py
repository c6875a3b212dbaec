"""A source that hands in by HTTP, and events as its system sends them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from fastapi import APIRouter

from hub.contracts.map import HubMap
from hub.domain.plain import to_plain
from hub.intake.answers_kept import Answer, Asked
from hub.intake.desk import Finish
from hub.intake.desk_round import Result, Taken
from hub.intake.guards.log import ManifestTaken
from hub.intake.http_sources import HttpSource
from hub.intake.source_keys import SourceKeys
from hub.intake.source_keys_desk import KeysTable
from hub.intake.submissions import Receiver, Submission
from hub.web.events import Entrance, events_router
from hub.web.manifests import manifests_router
from hub.wiring.sources_http import department_facts
from tests.support_contracts import ROOT, catalog, sample

NAME = "gannan-law"
KEY = "hubk_made-up-for-tests-and-opens-nothing-else"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
TYPE = "inspection.result.recorded"


class NoFollower:
    def news(self) -> list[Any]:
        return []

    def close(self) -> None:
        """Nothing is held."""


@cache
def hub_map() -> HubMap:
    return HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")


def source(name: str = NAME, **more: Any) -> HttpSource:
    return HttpSource.model_validate({
        "name": name, "connector": "http", "department_code": "116230009900000171",
        "department_name": "甘南州市场监督管理局", "region_code": "623000",
        "events": ["inspection.result.*", "enforcement.penalty.*", "enforcement.referral.proposed"], **more,
    })


def keys_table(given: HttpSource, key: str = KEY) -> KeysTable:
    table = KeysTable(NoFollower(), None)  # type: ignore[arg-type]  # it is filled, not followed
    keys = SourceKeys(given.name, revision=1)
    table.fill([keys.with_key(key, given, NOW - timedelta(days=1), keep=timedelta(0))])
    return table


def receiver(given: HttpSource) -> Receiver:
    facts = department_facts(hub_map())
    schemas = {topic: str(hub_map().topics[topic].schema_) for topic in set(facts.values())}
    return Receiver(given, facts, schemas, catalog())


def data(number: int = 1, **content: Any) -> dict[str, Any]:
    """The fields of an inspection as JSON has them, without those that the key says."""
    said = ("record_unique_identity", "department_code", "department_name", "region_code")
    value = to_plain({
        **sample(catalog().schema("inspection/result"), number), "party_certificate_number": None, **content,
    })
    assert isinstance(value, dict)
    return {name: each for name, each in value.items() if name not in said}


def event(number: int = 1, *, name: str = NAME, content: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"JC-{number}", "source": f"/sources/{name}", "type": TYPE,
        "data": data(number, **(content or {})), **more,
    }


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class MemoryDesk:
    """Takes everything once; what it was handed stands in ``taken``."""

    def __init__(self) -> None:
        self.taken: list[Submission] = []

    def submit(self, submissions: Sequence[Submission], finish: Finish, asked: Asked | None = None) -> Future[Answer]:
        results: list[Result] = []
        for each in submissions:
            is_new = each not in self.taken
            if is_new:
                self.taken.append(each)
            results.append(Taken("accepted" if is_new else "repeated", "0" * 36, 1, each.type if is_new else None))
        future: Future[Answer] = Future()
        future.set_result(finish(results))
        return future


def manifests_of(take: Callable[[ManifestTaken], None], given: HttpSource | None = None) -> APIRouter:
    given = given or source()
    return manifests_router(keys_table(given), {given.name: given}, take, lambda: NOW)


def router_of(desk: Any, given: HttpSource | None = None, key: str = KEY, **more: Any) -> APIRouter:
    given = given or source()
    entrance = Entrance(given, receiver(given), desk)
    return events_router(
        keys_table(given, key), {given.name: entrance}, department_facts(hub_map()), lambda: NOW, **more
    )
