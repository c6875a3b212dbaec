"""One process that delivers to several departments, to be killed by tests.

Run as ``python -m tests.chaos.delivery_process BOOTSTRAP SECRET NAME=URL …`` from the root of the project.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime

from hub.bus.flow import Flow
from hub.bus.spans import Backlog
from hub.bus.table_loader import TableLoader
from hub.contracts.catalog import Catalog
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.engine import DeliveryEngine
from hub.delivery.waits import WAITS_TOPIC
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.circuit import Circuit
from hub.domain.retry import RetryPolicy, Schedule
from hub.wiring import Together
from tests.chaos.clocks_process import ROOT
from tests.support_delivery import NoIndex

#: As in production, but a hundred times as fast.
POLICY = RetryPolicy(max_attempts=3, first_delay_seconds=0.01, max_delay_seconds=0.1)
SCHEDULE = Schedule((0.1,) * 1000)


def group_of(name: str) -> str:
    return f"chaos-delivery-{name}"


def main(bootstrap: str, secret: str, *endpoints: str) -> None:
    catalog, waits = Catalog.load(ROOT), TableLoader(bootstrap, topic=WAITS_TOPIC)

    def now() -> datetime:
        return datetime.now(UTC)

    flows = {}
    for name, _, url in (each.partition("=") for each in endpoints):
        engine = DeliveryEngine(
            name, WebhookTransport(WebhookEndpoint(url, secret), now), catalog, now, NoIndex(), waits,
            backlog=Backlog(bootstrap, topic=f"inbox.{name}", group=group_of(name)),
            policy=POLICY, schedule=SCHEDULE, circuit=Circuit(delay=0.1, longest=0.5),
        )
        flows[name] = Flow(
            engine, name=f"delivery-{name}", topics=[f"inbox.{name}", COMMANDS_TOPIC], group=group_of(name),
            bootstrap=bootstrap,
        )
    together = Together(flows)
    signal.signal(signal.SIGTERM, lambda *_: together.stop())
    together.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
