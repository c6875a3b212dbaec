"""Connects what the API is besides taking facts and answers: its description, limits, read pages, health."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from hub.contracts.asyncapi import LiveTopic, Surroundings, describe
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import UsageError
from hub.settings import Settings
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
