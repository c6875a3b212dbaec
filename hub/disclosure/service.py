"""Disclosure as a service: one sender for each channel, with its own position on the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from hub.bus.commits import Position
from hub.bus.flow import Flow
from hub.bus.pulse import Pulse
from hub.bus.spans import Backlog, Since
from hub.bus.steady_clock import SteadyClock
from hub.contracts.catalog import Catalog
from hub.disclosure.engine import DisclosureEngine
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.receipts import RECEIPTS_TOPIC
from hub.disclosure.sink import Sink
from hub.disclosure.status import ChannelStatus
from hub.errors import BrokerError

#: The one group of all channels, of before each had its own.
FORMER_GROUP = "hub-disclosure"
#: A broker that has just started has no coordinator of groups for a moment.
_ATTEMPTS, _PAUSE_SECONDS = 10, 0.5
_log = structlog.get_logger()


def group_of(channel: str) -> str:
    """The consumer group that holds the position of a channel."""
    return f"{FORMER_GROUP}-{channel}"


@dataclass(frozen=True)
class Means:
    """What all channels of a process share. ``now`` gives aware UTC."""

    bootstrap: str
    catalog: Catalog
    now: Callable[[], datetime]
    rule_version: str = ""
    shutdown_seconds: float = 20.0


class ChannelSender:
    """Carries out the orders of one channel. ``stop`` may be called from any thread.

    ``audience`` and ``adopts`` as for DisclosureEngine.
    """

    def __init__(
        self, channel: str, sink: Sink, means: Means, *, audience: str = "public",
        adopts: Callable[[str | None], bool] = lambda channel: False,
    ) -> None:
        self._channel, self._means = channel, means
        self._engine = engine = DisclosureEngine(
            channel, sink, means.catalog, means.now, audience=audience,
            backlog=Backlog(means.bootstrap, topic=ORDERS_TOPIC, group=group_of(channel)),
            load_receipts=Since(means.bootstrap, topic=RECEIPTS_TOPIC),
            adopts=adopts, rule_version=means.rule_version, steady=SteadyClock(wall=means.now),
        )
        self._flow = Flow(
            engine, name=f"disclosure-{channel}", topics=[ORDERS_TOPIC], group=group_of(channel),
            bootstrap=means.bootstrap, max_open=sink.capabilities.max_under_way,
            shutdown_seconds=means.shutdown_seconds,
        )

    @property
    def status(self) -> ChannelStatus:
        return self._engine.status

    @property
    def pulse(self) -> Pulse:
        return self._flow.pulse

    def run(self) -> None:
        take_over(self._means.bootstrap, group_of(self._channel))
        self._flow.run()

    def stop(self) -> None:
        self._flow.stop()


def channel_senders(
    sinks: Mapping[str, Sink], known: Collection[str], means: Means, audiences: Mapping[str, str] | None = None
) -> dict[str, ChannelSender]:
    """A sender for each channel. ``known`` are the channels of the map: the orders of one that has no sink yet wait
    in the log. Those of others, and what nobody can read, one of the senders buries. Who is not among ``audiences``
    is read by the public."""
    adopting = min(sinks, default=None)

    def adopts_for(name: str) -> Callable[[str | None], bool]:
        return lambda channel: name == adopting and channel not in known

    return {
        name: ChannelSender(name, sink, means, audience=(audiences or {}).get(name, "public"), adopts=adopts_for(name))
        for name, sink in sinks.items()
    }


def take_over(bootstrap: str, group: str) -> None:
    """Gives a group that never committed the position of the former one of all channels; else it changes nothing.

    Without a former one the group begins at the beginning of the log, where an order that has its receipt is passed
    over: nothing is skipped either way.
    """
    with Position(bootstrap, FORMER_GROUP, ORDERS_TOPIC) as former, Position(bootstrap, group, ORDERS_TOPIC) as own:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            try:
                if not own.read() and (found := former.read()):
                    own.write(found)
                    _log.info("position taken over", group=group, partitions=len(found))
                return
            except BrokerError as error:
                # The broker has just started; or another process of this channel is in the group already.
                fault = str(error)
    _log.warning("position not taken over", group=group, error=fault)
