"""Intake of a table killed again and again, in each of its modes: every row is told once, in order."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.conftest import IndexLike, KafkaLike
from tests.support_databases import postgresql
from tests.support_killed import ROUNDS, SEED, Killed, expect_told_once, intake_topics
from tests.support_sql import INSPECTION_COLUMNS, execute, insert, inspection_row, sql_config

#: In full on PostgreSQL, else on SQLite.
ROWS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (6_000, 3)
MODES: dict[str, dict[str, Any]] = {
    "increasing": {"mode": "increasing", "cursor": "id", "portion_rows": ROWS // 5, "overlap_seconds": 2.0},
    "outbox": {"mode": "outbox", "cursor": "id", "operation": "op", "after": "delete", "portion_rows": ROWS // 5},
    "snapshot": {"mode": "snapshot", "cursor": None},
}


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with intake_topics(kafka.bootstrap) as address:
        yield address


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address for the source, and for the test itself."""
    if not ROUNDS:
        url = f"sqlite:///{tmp_path_factory.mktemp('sql')}/register.db"
        yield url, url
        return
    with postgresql() as server:
        yield server.url, server.driver_url


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

    changed = ROWS // 25 if mode == "snapshot" else ROWS // 5
    expected = {"recorded": ROWS, "amended": changed}
    if mode != "increasing":
        expected["withdrawn"] = ROWS // 50 if mode == "snapshot" else 100
    expect_told_once(bootstrap, source, expected)
