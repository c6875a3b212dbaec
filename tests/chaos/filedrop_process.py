"""One process that delivers to a folder, to be killed by tests.

Run as ``python -m tests.chaos.filedrop_process BOOTSTRAP REDIS_URL ROOT SECRET`` from the root of the project.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import redis

from hub.bus.address_guard import AddressGuard
from hub.contracts.catalog import Catalog
from hub.delivery.answers import AnswerDesk
from hub.delivery.filedrop.box import Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.sender import Drop, FileSender
from hub.delivery.service import Means
from hub.delivery.settings import SubscriptionSettings
from hub.domain.vault import Vault
from hub.state.notice_index import NoticeIndex
from hub.wiring import Together
from tests.chaos.clocks_process import ROOT
from tests.support_delivery import EveryDay
from tests.support_filedrop import MEASURES, NAME

#: As in production, but a hundred times as fast.
PACKING, TIMING = Packing(window_seconds=0.1, max_notices=12), Timing(0.02, 0.02, 0.0)


def now() -> datetime:
    return datetime.now(UTC)


def file_sender(bootstrap: str, redis_url: str, root: Path, secret: str) -> FileSender:
    catalog, vault = Catalog.load(ROOT), Vault(b"made up")
    index = NoticeIndex(redis.Redis.from_url(redis_url))
    index.rebuild([])
    drop = Drop(
        root, Columns(catalog, MEASURES), AnswerDesk(catalog, index, lambda name: [], now), index, PACKING, TIMING,
        lock_seconds=0.05,
    )
    sender = FileSender(NAME, Means(
        bootstrap, catalog, index, vault, AddressGuard(), EveryDay(), now, "test", shutdown_seconds=5.0,
    ), drop)
    sender.use(replace(SubscriptionSettings(NAME, revision=1).with_key(secret, vault, now())))
    return sender


def main(bootstrap: str, redis_url: str, root: str, secret: str) -> None:
    together = Together({"file": file_sender(bootstrap, redis_url, Path(root), secret)})
    signal.signal(signal.SIGTERM, lambda *_: together.stop())
    together.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
