"""A stage as a lane of its own: what routing and clocks have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from hub.bus.lane import Lane
from hub.bus.stage import Stage
from hub.contracts.map import HubMap
from hub.routing.holdings import HOLDINGS
from hub.settings import Settings
from hub.wiring.parts import utc_now


def lane(
    settings: Settings,
    hub_map: HubMap,
    name: str,
    stage: Stage,
    group: str,
    topics: Sequence[str],
    dead_letters: str | None = None,
    tick_seconds: float = 1.0,
    now: Callable[[], datetime] | None = None,
) -> Lane:
    return Lane(
        stage,
        name=name,
        topics=topics,
        group=group,
        bootstrap=settings.bootstrap,
        dead_letters=dead_letters,
        # That a version was routed is said when all that it brought is on the log.
        behind=(HOLDINGS,),
        rule_version=hub_map.version,
        shutdown_seconds=settings.shutdown_seconds,
        tick_seconds=tick_seconds,
        now=now or utc_now,
    )
