"""Connects intake: the stage, and the intake of one source for a command."""

from __future__ import annotations

from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import UsageError
from hub.intake.beside.readers import Readers
from hub.intake.build import open_session
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.service import IntakeService
from hub.intake.session import IntakeSession, Means, tune_interpreter
from hub.intake.sources import load_sources
from hub.settings import Settings
from hub.wiring.guards import sources_guard
from hub.wiring.parts import open_catalog, open_map, subject_secret


def intake_means(settings: Settings, catalog: Catalog, hub_map: HubMap) -> Means:
    return Means(
        catalog, settings.bootstrap, settings.redis_url, settings.data, subject_secret(settings),
        RegisterFeed(settings.bootstrap, catalog), is_watched=True, facts=hub_map.facts(),
        readers=Readers(settings.home, most=settings.readers),
    )


def build_intake(settings: Settings, name: str) -> IntakeSession:
    """The intake of one source, to be entered as a context. Raises UsageError for an unknown name."""
    sources = load_sources(settings.sources)
    if name not in sources:
        raise UsageError(f"There is no source {name!r}; there are: {', '.join(sources) or 'none'}.")
    catalog = open_catalog(settings)
    return open_session(sources[name], intake_means(settings, catalog, open_map(settings, catalog)))


def build_intake_stage(settings: Settings, hub_map: HubMap, catalog: Catalog) -> IntakeService:
    tune_interpreter()
    guard = sources_guard(settings, hub_map, catalog)
    return IntakeService(load_sources(settings.sources), intake_means(settings, catalog, hub_map), guard=guard)
