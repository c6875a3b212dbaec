"""Intake of an interface killed again and again, between its pages too: every record is told once."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import IndexLike, KafkaLike
from tests.support_http_poll import OpenInterface, record
from tests.support_killed import ROUNDS, SEED, Killed, expect_told_once, intake_topics

ROWS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (3_000, 1)


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with intake_topics(kafka.bootstrap) as address:
        yield address


def test_killed_at_random_every_record_is_told_once(
    bootstrap: str, open_interface: OpenInterface, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    source = f"http-{uuid.uuid4().hex[:8]}"
    entry = {
        "name": source, "connector": "http-poll", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000",
        **open_interface.settings(page_size=500, portion_rows=ROWS // 5, overlap_seconds=2),
    }  # fmt: skip
    killed = Killed(bootstrap, valkey.url, tmp_path, entry, random.Random(f"{SEED}http"))
    for number in range(1, ROWS + 1):
        open_interface.feed.put(record(number))
    killed.run(KILLS)
    for number in range(1, ROWS // 5 + 1):
        open_interface.feed.put(record(number, remark="改"))
    killed.run(KILLS)
    assert killed.kills, "some were killed in the middle"
    expect_told_once(bootstrap, source, {"recorded": ROWS, "amended": ROWS // 5})
