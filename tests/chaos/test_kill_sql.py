"""Intake of a table killed again and again, in each of its modes: every row is told once, in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.conftest import IndexLike, KafkaLike
from tests.support_databases import PASSWORD, postgresql
from tests.support_intake import ROOT
from tests.support_sql import INSPECTION_COLUMNS, execute, insert, inspection_row, records, sql_config

#: ``make chaos`` sets it: then PostgreSQL, 50,000 rows and twenty kills at least, else SQLite and a few.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
ROWS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (6_000, 3)
TOPICS = ("inspection.results.v1", "intake.rejections.v1")
MODES: dict[str, dict[str, Any]] = {
    "increasing": {"mode": "increasing", "cursor": "id", "portion_rows": ROWS // 5, "overlap_seconds": 2.0},
    "outbox": {"mode": "outbox", "cursor": "id", "operation": "op", "after": "delete", "portion_rows": ROWS // 5},
    "snapshot": {"mode": "snapshot", "cursor": None},
}


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.create_topics([NewTopic(name, 12, -1) for name in TOPICS], operation_timeout=30).values():
        future.result()
    yield kafka.bootstrap
    for future in admin.delete_topics(list(TOPICS), operation_timeout=30).values():
        future.result()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address for the source, and for the test itself."""
    if not ROUNDS:
        url = f"sqlite:///{tmp_path_factory.mktemp('sql')}/register.db"
        yield url, url
        return
    with postgresql() as server:
        yield server.url, server.driver_url


class Killed:
    """A source whose intake is killed at random moments."""

    def __init__(
        self, bootstrap: str, redis_url: str, data: Path, entry: dict[str, Any], chance: random.Random
    ) -> None:
        self._job = {"bootstrap": bootstrap, "redis_url": redis_url, "data": str(data), "entry": entry}
        self._chance = chance
        self.kills = 0

    def run(self, kills: int) -> None:
        """Kills so many processes in the middle, then lets one end."""
        for _ in range(kills):
            child = self._start()
            assert child.stdout is not None
            wanted = self._chance.randrange(0, 6)
            for number, _ in enumerate(child.stdout):
                if number >= wanted:
                    break
            time.sleep(self._chance.random() * 0.3)
            child.send_signal(signal.SIGKILL)
            child.stdout.close()
            self.kills += child.wait(timeout=60) == -signal.SIGKILL
        child = self._start()
        assert child.stdout is not None
        child.stdout.read()
        child.stdout.close()
        assert child.wait(timeout=300) == 0

    def _start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.sql_process"], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_DATABASE_PASSWORD": PASSWORD},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert child.stdin is not None
        json.dump(self._job, child.stdin)
        child.stdin.close()
        return child


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_random_every_row_is_told_once(
    mode: str, bootstrap: str, database: tuple[str, str], valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    url, own = database
    source = f"sql-{mode}-{uuid.uuid4().hex[:8]}"
    table = f"kill_{mode}"
    execute(own, f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} ({INSPECTION_COLUMNS}, op VARCHAR(10))")
    config = sql_config(url, name=source, table=table, **MODES[mode])
    entry = {
        **config.model_dump(mode="json", exclude={"settings", "base"}),
        **config.settings.model_dump(mode="json", exclude_unset=True), "password_env": "TEST_DATABASE_PASSWORD",
    }  # fmt: skip
    killed = Killed(bootstrap, valkey.url, tmp_path, entry, random.Random(f"{SEED}{mode}"))

    insert(own, table, [{**inspection_row(n), "op": "insert"} for n in range(1, ROWS + 1)])
    killed.run(KILLS)
    if mode == "snapshot":
        # Whole numbers divided: a percent sign is a parameter to one of the drivers.
        every = "id - {0} * (id / {0}) = {1}"
        execute(
            own, f"DELETE FROM {table} WHERE {every.format(50, 0)}",
            f"UPDATE {table} SET remark = '改' WHERE {every.format(25, 1)}",
        )  # fmt: skip
    else:
        again = [{**inspection_row(n), "id": ROWS + n, "op": "update", "remark": "改"} for n in range(1, ROWS // 5 + 1)]
        gone = [{**inspection_row(n, remark="改"), "id": 2 * ROWS + n, "op": "delete"} for n in range(1, 101)]
        insert(own, table, [*again, *(gone if mode == "outbox" else [])])
    killed.run(KILLS)
    assert killed.kills, "some were killed in the middle"

    found = records(bootstrap, TOPICS[0], source)
    assert len({record["ce_id"] for record in found}) == len(found)
    types = Counter(record["ce_type"].rpartition(".")[2] for record in found)
    changed = ROWS // 25 if mode == "snapshot" else ROWS // 5
    expected = {"recorded": ROWS, "amended": changed}
    if mode != "increasing":
        expected["withdrawn"] = ROWS // 50 if mode == "snapshot" else 100
    assert types == expected
    versions: dict[str, list[int]] = defaultdict(list)
    for record in found:
        versions[record["value"]["behaviour_number"]].append(int(record["ce_sequence"]))
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())
    assert records(bootstrap, TOPICS[1], source) == []
