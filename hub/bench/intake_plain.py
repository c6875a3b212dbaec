"""What intake is held against: a plain loop that reads the same rows, encodes them and writes them.

It checks nothing, remembers nothing and asks nobody: a row that comes twice is written twice. It goes first, so that
the broker, which spends its first half minute on compiling itself, is as warm as one that has been at work.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from hub.bench.plain_avro import encoder
from hub.bench.told import told_by
from hub.bench.usage import cpu_seconds
from hub.bus.clients import new_producer, produce
from hub.contracts.catalog import Catalog
from hub.errors import BrokerError

#: Where it writes; as wide as the topic of the events.
PLAIN_TOPIC = "bench.plain.v1"
#: Rows that it is given at most: it needs fewer for its figure.
MOST_ROWS = 200_000
_SCHEMA = "inspection/result"
_FLUSH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PlainResult:
    """``seconds`` from the first row read to the last acknowledged."""

    rows: int
    seconds: float
    cpu_seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def cpu_micros(self) -> float:
        return self.cpu_seconds / self.rows * 1e6 if self.rows else 0.0


def plain_export(root: Path, bootstrap: str, path: Path, rows: int) -> PlainResult:
    """The first ``rows`` rows of an export as ``write_export`` makes them. Raises HubError."""
    return _in_a_process({"root": str(root), "bootstrap": bootstrap, "path": str(path), "rows": rows})


def plain_table(root: Path, bootstrap: str, url: str, password: str, rows: int) -> PlainResult:
    """The first ``rows`` rows of a table as ``fill_table`` makes it. Raises HubError."""
    return _in_a_process(
        {"root": str(root), "bootstrap": bootstrap, "url": url, "password": password, "rows": rows}
    )


def _in_a_process(job: Mapping[str, object]) -> PlainResult:
    return PlainResult(**told_by("hub.bench.intake_plain", job))


def _run(job: Mapping[str, Any]) -> PlainResult:
    catalog = Catalog.load(Path(job["root"]))
    if "path" in job:
        return _of_file(job["bootstrap"], catalog, Path(job["path"]), job["rows"])
    return _of_database(job["bootstrap"], catalog, job["url"], job["password"], job["rows"])


def _of_file(bootstrap: str, catalog: Catalog, path: Path, rows: int) -> PlainResult:
    with path.open(encoding="gb18030", newline="") as file:
        next(file)  # the title
        return _write(bootstrap, catalog, map(_exported, islice(csv.DictReader(file), rows)))


def _of_database(bootstrap: str, catalog: Catalog, url: str, password: str, rows: int) -> PlainResult:
    import psycopg
    from psycopg.rows import dict_row

    with (
        psycopg.connect(url, password=password) as connection,
        connection.cursor("plain", row_factory=dict_row) as found,
    ):
        found.itersize = 1000
        found.execute("SELECT * FROM bench_inspection ORDER BY id LIMIT %s", [rows])
        return _write(bootstrap, catalog, map(_kept, found))


def _write(bootstrap: str, catalog: Catalog, values: Iterable[dict[str, Any]]) -> PlainResult:
    encode = encoder(catalog, _SCHEMA)
    producer, faults, count = new_producer(bootstrap, client_id="bench-plain", linger_ms=10), list[object](), 0

    def delivered(error: object, _: object) -> None:
        if error is not None:
            faults.append(error)

    started, cpu = time.perf_counter(), cpu_seconds()
    for value in values:
        key = value["party_uscc"].encode()
        headers = [
            ("ce_specversion", b"1.0"), ("ce_id", value["behaviour_number"].encode()), ("ce_source", b"/sources/plain"),
            ("ce_type", b"inspection.result.recorded"), ("ce_subject", key),
            ("ce_time", datetime.now(UTC).isoformat().encode()), ("content-type", b"application/avro"),
        ]  # fmt: skip
        produce(producer, PLAIN_TOPIC, encode(value), key, headers=headers, on_delivery=delivered)
        count += 1
        if count % 1000 == 0:
            producer.poll(0)
    left = producer.flush(_FLUSH_SECONDS)
    if left or faults:
        raise BrokerError(f"Kafka did not take {left + len(faults):,} records of the plain loop.")
    return PlainResult(count, time.perf_counter() - started, cpu_seconds() - cpu)


def _exported(row: Mapping[str, str]) -> dict[str, Any]:
    return _result(
        number=row["检查编号"], plan_number=row["抽查计划编号"], plan_name=row["抽查计划名称"],
        task_name=row["抽查任务名称"], party_name=row["检查对象名称"], party_code=row["统一社会信用代码/注册号"],
        legal_representative=row["法定代表人"], item_name=row["抽查事项"], inspecting_body=row["检查机关"],
        inspectors=row["检查人员"], results=row["检查结果"], is_public=row["是否公示"] == "是",
        checked_on=date(*map(int, row["检查日期"].split("/"))), result_on=date.fromisoformat(row["结果形成日期"]),
    )  # fmt: skip


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    return _result(
        number=row["behaviour_number"], plan_number=row["plan_number"], plan_name=row["plan_name"],
        task_name=row["task_name"], party_name=row["party_name"], party_code=row["party_code"],
        legal_representative=row["legal_representative"], item_name=row["item_name"],
        inspecting_body=row["inspecting_body"], inspectors=row["inspectors"], results=row["results"],
        is_public=row["is_public"], checked_on=row["checked_on"], result_on=row["result_on"],
    )  # fmt: skip


def _result(
    *, number: str, plan_number: str, plan_name: str, task_name: str, party_name: str, party_code: str,
    legal_representative: str, item_name: str, inspecting_body: str, inspectors: str, results: str, is_public: bool,
    checked_on: date, result_on: date,
) -> dict[str, Any]:  # fmt: skip
    return {
        "record_unique_identity": number, "region_code": "623000", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "party_kind": "enterprise", "party_name": party_name,
        "party_uscc": party_code, "legal_representative": legal_representative, "is_public": is_public,
        "inspection_kind": "double-random", "result_date": result_on, "check_date": checked_on,
        "result_codes": [results], "plan_number": plan_number, "plan_name": plan_name, "task_name": task_name,
        "behaviour_number": number, "item_name": item_name, "inspecting_body": inspecting_body,
        "inspectors": [{"name": name} for name in inspectors.split("、")],
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asdict(_run(json.load(sys.stdin)))))
