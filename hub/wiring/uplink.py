"""The uplink put together: which sources have a way back up, and the service that goes each."""

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
from hub.wiring.parts import Service, Together, utc_now

#: Begins the groups, one for each source.
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


def find_uplinks(settings: Settings) -> list[Uplink]:
    """The ways back up of the sources that have one.

    :raises ContractError: for a faulty ``sources.yaml``, and where there are several and the number of a task does not
        say whose it is: an accepted lead names a task, not the platform that it came from.
    """
    if not settings.sources.exists():
        return []
    found = []
    for config in load_sources(settings.sources).values():
        make = getattr(find_connector(config.connector, config.base), "make_uplink", None)
        if make is not None:
            found.append(cast(Uplink, make(config)))
    faults = [
        f"  source {one.source}: task_prefix: tasks of {other.source} may begin so too; several ways back up need one "
        "each, and none may begin with another"
        for one in found for other in found
        if one is not other and (one.task_prefix is None or (other.task_prefix or "").startswith(one.task_prefix))
    ]
    if faults:
        raise ContractError("\n".join([f"{settings.sources}:", *faults]))
    return found


def uplink_groups(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Consumer group -> topics, of each way back up."""
    return {group_of(uplink): TOPICS for uplink in find_uplinks(settings)}


def group_of(uplink: Uplink) -> str:
    return f"{GROUP}-{uplink.source}"


def build_uplink(settings: Settings, catalog: Catalog) -> Service:
    """The service: a flow of its own for each way back up, so that a platform that is away holds up no other. It waits
    idly where no source has one."""
    flows: dict[str, Service] = {
        group_of(uplink): Flow(
            UplinkEngine(uplink, catalog, utc_now), name=STAGE, topics=TOPICS, group=group_of(uplink),
            bootstrap=settings.bootstrap, max_open=MAX_OPEN, shutdown_seconds=settings.shutdown_seconds,
        )
        for uplink in find_uplinks(settings)
    }  # fmt: skip
    return Together(flows) if flows else Idle()
