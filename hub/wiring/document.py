"""The AsyncAPI document of this hub."""

from __future__ import annotations

from typing import Any

from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.settings import Settings
from hub.wiring.api import asyncapi
from hub.wiring.groups import consumer_groups
from hub.wiring.web import registry_subjects


def asyncapi_document(
    settings: Settings, hub_map: HubMap, catalog: Catalog, registry_url: str | None = None
) -> dict[str, Any]:
    """The topics and webhooks as an AsyncAPI document; see :mod:`hub.contracts.asyncapi`."""
    subjects = registry_subjects(hub_map, catalog)
    return asyncapi(settings, hub_map, catalog, subjects, consumer_groups(hub_map), registry_url)
