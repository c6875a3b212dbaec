"""One process that writes the receipts of directly read inboxes, to be killed by tests.

Run as ``python -m tests.chaos.direct_process BOOTSTRAP NAME …`` from the root of the project.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from hub.bus.publisher import KafkaPublisher
from hub.contracts.catalog import Catalog
from hub.delivery.direct import DirectReceipts
from tests.chaos.clocks_process import ROOT
from tests.chaos.stopping import stop_at_sigterm


def position_group(name: str) -> str:
    return f"chaos-direct-{name}"


def sharing_group(names: list[str]) -> str:
    return f"chaos-direct-sharing-{names[0]}"


def main(bootstrap: str, *names: str) -> None:
    receipts = DirectReceipts(
        bootstrap, names, Catalog.load(ROOT), KafkaPublisher(bootstrap, client_id="direct"), lambda: datetime.now(UTC),
        position_group=position_group, sharing_group=sharing_group(list(names)), look_seconds=0.05,
    )
    stop_at_sigterm(receipts.stop)
    receipts.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
