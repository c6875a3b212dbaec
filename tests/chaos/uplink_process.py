"""The uplink as a process of its own, to be killed.

Run as ``python -m tests.chaos.uplink_process BOOTSTRAP URL GROUP`` from the root of the project.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from connectors.lead_feed.source import LeadFeed
from hub.bus.flow import Flow
from hub.uplink.engine import UplinkEngine
from hub.uplink.rules import TOPICS
from tests.chaos.stopping import stop_at_sigterm
from tests.support_intake import catalog
from tests.support_lead_feed import feed_config


def main(bootstrap: str, url: str, group: str) -> None:
    uplink = LeadFeed.make_uplink(feed_config(url))
    engine = UplinkEngine(uplink, catalog(), lambda: datetime.now(UTC), delays=(0.01, 0.2))
    flow = Flow(engine, name="uplink", topics=TOPICS, group=group, bootstrap=bootstrap)
    stop_at_sigterm(flow.stop)
    flow.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
