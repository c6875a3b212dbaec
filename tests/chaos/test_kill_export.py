"""Intake of a large export killed again and again, and the process that reads beside it: every row is told once."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import IndexLike, KafkaLike
from tests.support_intake import INSPECTION, csv_bytes, inspection
from tests.support_killed import ROUNDS, SEED, Killed, expect_told_once, intake_topics

ROWS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (8_000, 2)


class Exports:
    """A source on a folder; ``put`` gives it so many rows in so many files."""

    def __init__(self, bootstrap: str, redis_url: str, folder: Path, seed: str) -> None:
        self._folder, self.name = folder / "in", f"export-{uuid.uuid4().hex[:8]}"
        self._folder.mkdir()
        self.killed = Killed(bootstrap, redis_url, folder, {
            "name": self.name, "department_code": "11623000013999917X", "department_name": "甘南州市场监督管理局",
            "region_code": "623000", "mappings": ["inspection-results"], "folder": str(self._folder),
            "settle_seconds": 0,
        }, random.Random(f"{SEED}{seed}"))  # fmt: skip

    def put(self, name: str, rows: int, files: int = 1, remark: str = "") -> None:
        for number in range(files):
            share = range(number * rows // files + 1, (number + 1) * rows // files + 1)
            content = csv_bytes(INSPECTION, [inspection(n, 备注=remark) for n in share])
            (self._folder / f"{name}-{number:02d}.csv").write_bytes(content)


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with intake_topics(kafka.bootstrap) as address:
        yield address


def test_killed_at_random_every_row_is_told_once(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    exports = Exports(bootstrap, valkey.url, tmp_path, "export")
    exports.put("first", ROWS)
    exports.killed.run(KILLS)
    exports.put("second", ROWS // 2, remark="改")
    exports.killed.run(KILLS)
    assert exports.killed.kills, "some were killed in the middle"
    expect_told_once(bootstrap, exports.name, {"recorded": ROWS, "amended": ROWS // 2})


def test_killed_readers_cost_no_row(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    exports = Exports(bootstrap, valkey.url, tmp_path, "readers")
    rounds = 0
    # Where the test itself was held up, a reader may have read all before it was to be killed.
    while exports.killed.kills < KILLS // 2:
        assert rounds < 10, "no reader is ever there to be killed"
        # As many files as kills: what a killed one has left is read by intake itself.
        exports.put(f"round-{rounds}", ROWS, files=KILLS, remark=f"第{rounds}次")
        exports.killed.run_killing_readers(KILLS)
        rounds += 1
    amended = {"amended": ROWS * (rounds - 1)} if rounds > 1 else {}
    expect_told_once(bootstrap, exports.name, {"recorded": ROWS, **amended})
