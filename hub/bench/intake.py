"""How fast connectors are, and how much memory they take: a CSV or a table of N rows, whole way through, beside a
plain loop over the same rows.

The connector runs in a process of its own, so that its memory is its own. The clock runs from the
start of that process's intake to the last row stored; the making of file or table is not counted.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.bench.intake_plain import MOST_ROWS, PlainResult, plain_export, plain_table
from hub.bench.intake_rows import fill_table, write_export
from hub.bench.told import told_by
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import HubError
from hub.intake.beside.readers import Readers
from hub.intake.build import open_session
from hub.intake.session import Means, tune_interpreter
from hub.intake.sources import SourceConfig


@dataclass(frozen=True, slots=True)
class BenchResult:
    """``seconds`` is the time from the first row read to the last stored; ``peak_rss_bytes`` the most
    memory that the connector's process ever had, ``reader_…`` are of the process that read beside it; ``plain`` is the
    plain loop over the same rows."""

    rows: int
    accepted: int
    file_bytes: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    reader_cpu_seconds: float
    reader_peak_rss_bytes: int
    plain: PlainResult

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def ratio(self) -> float:
        """Of the plain loop's rate."""
        return self.rows_per_second / self.plain.rows_per_second

    def line(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} rows ({self.file_bytes / 1e6:,.0f} MB) in {self.seconds:,.1f} s: "
            f"{self.rows_per_second:,.0f} rows/s; {self._cost(self.cpu_seconds, self.peak_rss_bytes)}, of the reader "
            f"beside {self._cost(self.reader_cpu_seconds, self.reader_peak_rss_bytes)}; {self.accepted:,} events "
            f"acknowledged\n  a plain loop over {self.plain.rows:,} of these rows, which only reads, encodes and "
            f"writes: {self.plain.rows_per_second:,.0f} rows/s, {self.plain.cpu_micros:.0f} µs CPU a row; ratio "
            f"{self.ratio:.2f}"
        )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "plain"},
            "rows_per_second": self.rows_per_second, "plain_rows_per_second": self.plain.rows_per_second,
            "plain_cpu_seconds": self.plain.cpu_seconds, "ratio": self.ratio,
        }  # fmt: skip

    def _cost(self, cpu_seconds: float, peak_bytes: int) -> str:
        return f"{cpu_seconds / self.rows * 1e6:,.0f} µs CPU a row and {peak_bytes / 1e6:,.0f} MB at most"


def bench_intake(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, *, rows: int = 1_000_000
) -> BenchResult:
    """Runs it against a hub whose topics exist, and ``PLAIN_TOPIC`` with them. ``root`` holds ``schemas/`` and
    ``reference/``.

    The events stay on ``inspection.results.v1``: use a hub of its own.

    :raises HubError: when the connector's process or that of the plain loop fails, with what it said.
    """
    folder = work_dir / "in"
    folder.mkdir(parents=True, exist_ok=True)
    run = f"{os.getpid()}-{time.monotonic_ns()}"
    path = folder / f"bench-{run}.csv"
    write_export(path, rows, run)
    size = path.stat().st_size
    plain = plain_export(root, bootstrap, path, min(rows, MOST_ROWS))
    entry = {"folder": str(folder), "mappings": ["inspection-results"], "settle_seconds": 0}
    return _measure(root, bootstrap, redis_url, work_dir, {"name": f"bench-{run}", **entry}, rows, size, plain)


def bench_table(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, url: str, password: str, *, rows: int, mode: str
) -> BenchResult:
    """The same for a table of a PostgreSQL, which is filled first. ``mode`` is ``increasing`` or ``snapshot``."""
    size = fill_table(url, password, rows)
    plain = plain_table(root, bootstrap, url, password, min(rows, MOST_ROWS))
    entry: dict[str, object] = {
        "name": f"bench-{os.getpid()}-{time.monotonic_ns()}", "connector": "sql", "url": url, "password": password,
        "table": "bench_inspection", "mapping": "inspection-results", "mode": mode, "every_seconds": 3600,
    }  # fmt: skip
    if mode == "increasing":
        entry["cursor"] = "id"
    return _measure(root, bootstrap, redis_url, work_dir, entry, rows, size, plain)


def _measure(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, entry: dict[str, object], rows: int, size: int,
    plain: PlainResult,
) -> BenchResult:
    job = {
        "root": str(root),
        "bootstrap": bootstrap,
        "redis_url": redis_url,
        "data_dir": str(work_dir),
        "entry": {
            "department_code": "11623000013999917X",
            "department_name": "甘南州市场监督管理局",
            "region_code": "623000",
            **entry,
        },
    }
    found = told_by("hub.bench.intake", job)
    return BenchResult(
        rows, found["accepted"], size, found["seconds"], found["cpu_seconds"], found["peak_rss"],
        found["reader_cpu_seconds"], found["reader_peak_rss"], plain,
    )  # fmt: skip


def _run(job: dict[str, Any]) -> dict[str, float]:
    config = SourceConfig.of(job["entry"])
    root = Path(job["root"])
    catalog = Catalog.load(root)
    facts = HubMap.load(root / "topics.yaml", catalog, root / "reference").facts()
    session = open_session(config, Means(
        catalog, job["bootstrap"], job["redis_url"], Path(job["data_dir"]), b"bench-only-secret", facts=facts,
        readers=Readers(root),
    ))
    tune_interpreter()
    with session:
        started, cpu = time.monotonic(), time.process_time()
        outcomes = list(session.run_pending())
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    if {outcome.status for outcome in outcomes} != {"finished"}:
        raise HubError(f"not everything was finished: {outcomes}")
    accepted = sum(outcome.counts.accepted_total for outcome in outcomes)
    own, reader = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "accepted": accepted, "seconds": seconds, "cpu_seconds": cpu_seconds,
        "reader_cpu_seconds": reader.ru_utime + reader.ru_stime,
        # Linux counts the peak in KiB.
        "peak_rss": own.ru_maxrss * 1024, "reader_peak_rss": reader.ru_maxrss * 1024,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_run(json.load(sys.stdin))))
