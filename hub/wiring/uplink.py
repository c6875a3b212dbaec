"""The uplink put together: which source has a way back up, and the service that goes it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import cast

import structlog

from hub.bus.flow import Flow
from hub.contracts.catalog import Catalog
from hub.errors import ContractError
from hub.intake.registry import find_connector
from hub.intake.sources import load_sources
from hub.settings import Settings
from hub.uplink import Uplink
from hub.uplink.engine import STAGE, UplinkEngine
from hub.uplink.rules import TOPICS
from hub.wiring.parts import Service, utc_now

GROUP = "hub-uplink"
#: Answers that are open at a time; a platform that never takes some of them does not hold up the others until then.
MAX_OPEN = 2000
_log = structlog.get_logger()


class Idle:
    """No source has a way back up: nothing to do until told to stop."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self) -> None:
        _log.info("no source has a way back up")
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


def find_uplink(settings: Settings) -> Uplink | None:
    """The way back up of the one source that has one.

    :raises ContractError: for a faulty ``sources.yaml``, and for two such sources: an accepted lead names a task,
        not the platform that it came from.
    """
    if not settings.sources.exists():
        return None
    found = []
    for config in load_sources(settings.sources).values():
        make = getattr(find_connector(config.connector, config.base), "make_uplink", None)
        if make is not None:
            found.append(cast(Uplink, make(config)))
    if len(found) > 1:
        names = ", ".join(uplink.source for uplink in found)
        raise ContractError(f"{settings.sources}: {names}: only one source can have a way back up")
    return found[0] if found else None


def uplink_groups(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Consumer group -> topics, where there is a way back up."""
    return {GROUP: TOPICS} if find_uplink(settings) is not None else {}


def build_uplink(settings: Settings, catalog: Catalog) -> Service:
    """The service; it waits idly where no source has a way back up."""
    uplink = find_uplink(settings)
    if uplink is None:
        return Idle()
    return Flow(
        UplinkEngine(uplink, catalog, utc_now), name=STAGE, topics=TOPICS, group=GROUP, bootstrap=settings.bootstrap,
        max_open=MAX_OPEN, shutdown_seconds=settings.shutdown_seconds,
    )  # fmt: skip
