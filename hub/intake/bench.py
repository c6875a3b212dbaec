"""How fast connectors are, and how much memory they take: a CSV or a table of N rows, whole way through.

The connector runs in a process of its own, so that its memory is its own. The clock runs from the
start of that process's intake to the last row stored; the making of file or table is not counted.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.check_digits import ALPHABET, organisation_check_character, uscc_check_character
from hub.errors import HubError
from hub.intake.beside.readers import Readers, same_modules
from hub.intake.build import open_session
from hub.intake.session import Means, tune_interpreter
from hub.intake.sources import SourceConfig

_HEADINGS = (
    "序号",
    "抽查计划编号",
    "抽查计划名称",
    "抽查任务名称",
    "检查编号",
    "检查对象名称",
    "统一社会信用代码/注册号",
    "法定代表人",
    "抽查事项",
    "事项编码",
    "检查机关",
    "检查人员",
    "检查日期",
    "检查结果",
    "结果形成日期",
    "是否公示",
    "不公示理由",
    "备注",
)
_RESULTS = ("未发现问题", "未发现问题", "未发现问题", "发现问题经责令已改正", "未按规定公示应当公示的信息")


@dataclass(frozen=True, slots=True)
class BenchResult:
    """``seconds`` is the time from the first row read to the last stored; ``peak_rss_bytes`` the most
    memory that the connector's process ever had, ``reader_…`` are of the process that read beside it."""

    rows: int
    accepted: int
    file_bytes: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    reader_cpu_seconds: float
    reader_peak_rss_bytes: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0

    def line(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} rows ({self.file_bytes / 1e6:,.0f} MB) in {self.seconds:,.1f} s: "
            f"{self.rows_per_second:,.0f} rows/s; {self._cost(self.cpu_seconds, self.peak_rss_bytes)}, of the reader "
            f"beside {self._cost(self.reader_cpu_seconds, self.reader_peak_rss_bytes)}; {self.accepted:,} events "
            "acknowledged"
        )

    def _cost(self, cpu_seconds: float, peak_bytes: int) -> str:
        return f"{cpu_seconds / self.rows * 1e6:,.0f} µs CPU a row and {peak_bytes / 1e6:,.0f} MB at most"


def bench_intake(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, *, rows: int = 1_000_000
) -> BenchResult:
    """Runs it against a hub whose topics exist. ``root`` holds ``schemas/`` and ``reference/``.

    The events stay on ``inspection.results.v1``: use a hub of its own.

    :raises HubError: when the connector's process fails, with what it said.
    """
    folder = work_dir / "in"
    folder.mkdir(parents=True, exist_ok=True)
    run = f"{os.getpid()}-{time.monotonic_ns()}"
    path = folder / f"bench-{run}.csv"
    write_export(path, rows, run)
    size = path.stat().st_size
    entry = {"folder": str(folder), "mappings": ["inspection-results"], "settle_seconds": 0}
    return _measure(root, bootstrap, redis_url, work_dir, {"name": f"bench-{run}", **entry}, rows, size)


def bench_table(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, url: str, password: str, *, rows: int, mode: str
) -> BenchResult:
    """The same for a table of a PostgreSQL, which is filled first. ``mode`` is ``increasing`` or ``snapshot``."""
    size = fill_table(url, password, rows)
    entry: dict[str, object] = {
        "name": f"bench-{os.getpid()}-{time.monotonic_ns()}", "connector": "sql", "url": url, "password": password,
        "table": "bench_inspection", "mapping": "inspection-results", "mode": mode, "every_seconds": 3600,
    }  # fmt: skip
    if mode == "increasing":
        entry["cursor"] = "id"
    return _measure(root, bootstrap, redis_url, work_dir, entry, rows, size)


def _measure(
    root: Path, bootstrap: str, redis_url: str, work_dir: Path, entry: dict[str, object], rows: int, size: int
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
    done = subprocess.run(
        [sys.executable, "-m", "hub.intake.bench"],
        input=json.dumps(job),
        text=True,
        capture_output=True,
        check=False,
        env=same_modules(),
    )
    if done.returncode:
        raise HubError(f"The connector's process failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return BenchResult(
        rows, found["accepted"], size, found["seconds"], found["cpu_seconds"], found["peak_rss"],
        found["reader_cpu_seconds"], found["reader_peak_rss"],
    )  # fmt: skip


def write_export(path: Path, rows: int, run: str, *, name: Callable[[int], str] | None = None) -> None:
    """An export of inspection results in GB18030 with a title row, ``rows`` rows, made-up enterprises."""
    codes = [_code(number) for number in range(min(rows, 50_000))]
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["2026年度双随机抽查检查结果汇总表"])
        writer.writerow(_HEADINGS)
        for number in range(rows):
            day = number % 28 + 1
            title = name(number) if name else f"合作市雪域牦牛乳业第{number % 50_000}分公司"
            writer.writerow(
                (
                    number + 1,
                    "JH2026-001",
                    "2026年度双随机抽查计划",
                    f"第{number % 12 + 1}批",
                    f"JC{run}-{number:08d}",
                    title,
                    codes[number % len(codes)],
                    "扎西东智",
                    "年报公示信息检查",
                    "",
                    "合作市市场监督管理局",
                    "才让卓玛、王实验",
                    f"2026/3/{day}",
                    _RESULTS[number % len(_RESULTS)],
                    f"2026040{day % 9 + 1}",
                    "是",
                    "",
                    "",
                )
            )


def fill_table(url: str, password: str, rows: int) -> int:
    """A table ``bench_inspection`` of that many inspection results, as the database types them; its bytes."""
    import psycopg

    codes = [_code(number) for number in range(min(rows, 50_000))]
    day = date(2026, 3, 1)
    with psycopg.connect(url, password=password) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_inspection")
        connection.execute(
            "CREATE TABLE bench_inspection (id bigint PRIMARY KEY, plan_number text, plan_name text, task_name text,"
            " behaviour_number text, party_name text, party_code text, legal_representative text, item_name text,"
            " item_code text, inspecting_body text, inspectors text, checked_on date, results text, result_on date,"
            " is_public boolean, nonpublic_reason text, remark text)"
        )
        with connection.cursor().copy("COPY bench_inspection FROM STDIN") as copy:
            for number in range(rows):
                copy.write_row(
                    (
                        number + 1, "JH2026-001", "2026年度双随机抽查计划", f"第{number % 12 + 1}批",
                        f"JC-{number:08d}", f"合作市雪域牦牛乳业第{number % 50_000}分公司",
                        codes[number % len(codes)], "扎西东智",
                        "年报公示信息检查", None, "合作市市场监督管理局", "才让卓玛、王实验",
                        day + timedelta(days=number % 28), _RESULTS[number % len(_RESULTS)],
                        day + timedelta(days=30 + number % 9), True, None, None,
                    )
                )  # fmt: skip
        found = connection.execute("SELECT pg_table_size('bench_inspection')").fetchone()
    return int(found[0]) if found else 0


def _code(number: int) -> str:
    """A valid code of an enterprise that cannot exist: the ninth character on is a counter."""
    digits = ""
    for _ in range(5):
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    body = f"91623000MA9{digits}"
    body += organisation_check_character(body[8:16])
    return body + uscc_check_character(body)


def _run(job: dict[str, Any]) -> dict[str, float]:
    config = SourceConfig.of(job["entry"])
    catalog = Catalog.load(Path(job["root"]))
    root = Path(job["root"])
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
