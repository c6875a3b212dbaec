"""Intake of an SFTP folder killed again and again, while it fetches, tells and gives back: every row is told once."""

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
from tests.support_sftp import SftpServer

ROWS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (2_000, 1)
#: So many files that kills fall between them as well as within.
FILES = 10 if ROUNDS else 4


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with intake_topics(kafka.bootstrap) as address:
        yield address


def put(folder: Path, numbers: range, name: str, remark: str = "") -> None:
    """Files as a program puts them there that gives them their name in the end."""
    share = len(numbers) // FILES
    for number in range(FILES):
        rows = [inspection(n, 备注=remark) for n in numbers[number * share : (number + 1) * share]]
        path = folder / f"{name}-{number:02d}.csv.part"
        path.write_bytes(csv_bytes(INSPECTION, rows))
        path.rename(path.with_suffix(""))


def test_killed_at_random_every_row_is_told_once(
    bootstrap: str, sftp_server: SftpServer, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    folder, source = tmp_path / "in", f"sftp-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    entry = {
        "name": source, "connector": "sftp-folder", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000", "mappings": ["inspection-results"],
        **sftp_server.settings(path=str(folder), archive="done", reports="reports"),
    }  # fmt: skip
    killed = Killed(bootstrap, valkey.url, tmp_path, entry, random.Random(f"{SEED}sftp"))
    put(folder, range(1, ROWS + 1), "first")
    killed.run(KILLS)
    put(folder, range(1, ROWS // 5 + 1), "second", remark="改")
    killed.run(KILLS)
    assert killed.kills, "some were killed in the middle"
    expect_told_once(bootstrap, source, {"recorded": ROWS, "amended": ROWS // 5})
    assert len(list((folder / "done").glob("*.csv"))) == 2 * FILES
    assert len(list((folder / "reports").glob("*.report.json"))) == 2 * FILES
    assert sorted(path.name for path in folder.iterdir()) == ["done", "reports"]
