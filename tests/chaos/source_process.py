"""The intake of a source as a process of its own, to be killed: it reads until nothing waits, and ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hub.intake.beside.readers import Readers
from hub.intake.build import build_intake
from hub.intake.sources import SourceConfig
from tests.support_intake import ROOT, catalog

#: Rows from which on a portion is read by a process beside, so that both ways are killed.
_LARGE = 2000


def run(job: dict[str, Any]) -> None:
    config = SourceConfig.of(job["entry"])
    session = build_intake(
        config, catalog(), job["bootstrap"], job["redis_url"], Path(job["data"]), b"only-for-tests",
        Readers(ROOT, most=1, least_rows=_LARGE),
    )  # fmt: skip
    print("begun", flush=True)
    with session:
        while True:
            for _ in session.run_pending(progress=lambda portion, batch: print(batch.rows_read, flush=True)):
                pass
            if not session.source.waits():
                return


if __name__ == "__main__":
    run(json.load(sys.stdin))
