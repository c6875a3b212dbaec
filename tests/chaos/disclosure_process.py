"""One process that serves several channels, to be killed by tests.

Run as ``python -m tests.chaos.disclosure_process BOOTSTRAP FOLDER CHANNEL=URL …`` from the root of the project.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from hub.contracts.catalog import Catalog
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.service import Means, channel_senders
from hub.wiring import Together
from tests.chaos.clocks_process import ROOT


def now() -> datetime:
    return datetime.now(UTC)


def main(bootstrap: str, folder: str, *channels: str) -> None:
    catalog, sinks = Catalog.load(ROOT), {}
    for name, _, url in (each.partition("=") for each in channels):
        given = {"url": url, "max_batch": 20, "timeout_seconds": 5}
        config = ChannelConfig.of(name, "渠道", "public", "collaboration-platform", given, Path(folder))
        sinks[name] = build_sink(config, catalog, Path(folder), now)
    together = Together(dict(channel_senders(sinks, sinks, Means(bootstrap, catalog, now))))
    signal.signal(signal.SIGTERM, lambda *_: together.stop())
    together.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
