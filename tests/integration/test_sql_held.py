"""A snapshot that would take back too much: held until a person has looked, and then told once."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
import yaml
from confluent_kafka.cimpl import NewTopic
from typer.testing import CliRunner

from hub.cli.connect import app
from hub.intake.build import build_intake
from hub.intake.engine import Outcome
from tests.conftest import IndexLike, KafkaLike
from tests.support_intake import catalog, records
from tests.support_sql import BLACKLIST_COLUMNS, execute, insert, listing_row, sql_config
from tests.support_topics import having

TOPICS = ("blacklist.notices.v1", "intake.rejections.v1")
ROWS = 200


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with having(kafka.bootstrap, TOPICS, NewTopic("audit.acts.v1", 1, -1)) as address:
        yield address


class Register:
    """A table of listings, its source, and what came of it."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path) -> None:
        self.bootstrap, self.redis_url, self.base = bootstrap, redis_url, base
        self.url = f"sqlite:///{base}/register.db"
        self.source = f"listings-{uuid.uuid4().hex[:8]}"
        execute(self.url, f"CREATE TABLE listing ({BLACKLIST_COLUMNS})")
        insert(self.url, "listing", [listing_row(n) for n in range(1, ROWS + 1)])

    def settings(self) -> dict[str, Any]:
        return {"table": "listing", "mapping": "blacklist-notices", "mode": "snapshot", "cursor": None}

    @contextmanager
    def reading(self) -> Iterator[None]:
        config = sql_config(self.url, name=self.source, **self.settings())
        session = build_intake(config, catalog(), self.bootstrap, self.redis_url, self.base, b"only-for-tests")
        with session:
            self._session = session
            yield

    def run(self) -> list[Outcome]:
        """What the table has come to since, read by the intake that runs all the while."""
        time.sleep(0.005)
        return list(self._session.run_pending())

    def types(self) -> Counter[str]:
        found = records(self.bootstrap, TOPICS[0], self.source)
        assert len({record["ce_id"] for record in found}) == len(found)
        return Counter(record["ce_type"].rpartition(".")[2] for record in found)

    def hub(self, *words: str) -> Any:
        try:
            return CliRunner().invoke(app, ["held", words[0], self.source, *words[1:]])
        finally:
            structlog.reset_defaults()  # the runner of commands has closed what they were told to log to


@pytest.fixture
def register(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Register]:
    made = Register(bootstrap, valkey.url, tmp_path)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", bootstrap)
    entry = sql_config(made.url, name=made.source, **made.settings()).model_dump(
        mode="json", exclude={"settings", "base"}
    )
    given = {"url": made.url, **{name: value for name, value in made.settings().items() if value}}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [{**entry, **given}]}, allow_unicode=True))
    with made.reading():
        yield made


def test_ninety_percent_of_the_blacklist_are_not_delisted_by_a_truncated_table(register: Register) -> None:
    (outcome,) = register.run()
    assert outcome.counts.accepted == {"listed": ROWS}
    whole = [listing_row(n) for n in range(1, ROWS + 1)]
    execute(register.url, f"DELETE FROM listing WHERE rowid > {ROWS // 10}")
    assert register.run() == []
    assert register.run() == [], "it stays held, and the source goes on looking"
    assert register.types() == {"listed": ROWS}, "nothing was delisted"
    status = json.loads((register.base / "intake" / register.source / "source" / "status.json").read_text())
    assert time.time() - status["looked_at"] < 60 and len(status["held"]) == 1

    listed = register.hub("list", "--json")
    (held,) = json.loads(listed.stdout)
    assert listed.exit_code == 1 and held["counts"]["removed"] == ROWS * 9 // 10
    shown = register.hub("show", held["id"])
    assert "180" in shown.stdout and whole[ROWS - 1]["listing_document"] not in shown.stdout
    assert whole[ROWS // 10]["listing_document"] in shown.stdout
    assert register.hub("release", held["id"], "--by", "", "--reason", "x").exit_code == 2
    assert register.hub("release", "another", "--by", "张三", "--reason", "x").exit_code == 2
    assert register.hub("release", held["id"]).exit_code == 2, "who and why are needed"
    assert register.run() == []

    assert register.hub("release", held["id"], "--by", "张三", "--reason", "年度清理").exit_code == 0
    assert register.hub("discard", held["id"], "--by", "李四", "--reason", "不对").exit_code == 1
    (outcome,) = register.run()
    assert outcome.counts.accepted == {"removed": ROWS * 9 // 10} and outcome.counts.repeated == ROWS // 10
    assert register.run() == [] and register.hub("list").exit_code == 0
    assert register.types() == {"listed": ROWS, "removed": ROWS * 9 // 10}
    history = (register.base / "intake" / register.source / "source" / "held-history.jsonl").read_text()
    assert [json.loads(line)["what"] for line in history.splitlines()] == ["held", "released", "let-through"]
    assert "张三" in history and "年度清理" in history


def test_an_empty_table_is_held_and_a_repaired_one_goes_on(register: Register) -> None:
    register.run()
    execute(register.url, "DELETE FROM listing")
    assert register.run() == []
    rows = [listing_row(n) for n in range(1, ROWS + 1)]
    insert(register.url, "listing", [*rows[1:], listing_row(ROWS + 1)])
    (outcome,) = register.run()
    assert outcome.counts.accepted == {"listed": 1, "removed": 1}
    assert register.hub("list").exit_code == 0, "what was held is superseded"


def test_discarded_it_is_read_and_judged_anew(register: Register) -> None:
    register.run()
    execute(register.url, "DELETE FROM listing WHERE rowid > 10")
    register.run()
    (held,) = json.loads(register.hub("list", "--json").stdout)
    assert register.hub("discard", held["id"], "--by", "张三", "--reason", "表被误删").exit_code == 0
    assert register.run() == []
    (again,) = json.loads(register.hub("list", "--json").stdout)
    assert again["id"] != held["id"]
    assert register.types() == {"listed": ROWS}


def test_a_row_that_comes_back_is_listed_again(register: Register) -> None:
    register.run()
    execute(register.url, "DELETE FROM listing WHERE rowid = 3")
    register.run()
    insert(register.url, "listing", [listing_row(3)])
    register.run()
    found = [
        record["ce_type"].rpartition(".")[2]
        for record in records(register.bootstrap, TOPICS[0], register.source)
        if record["value"]["listing_document"] == listing_row(3)["listing_document"]
    ]
    assert found == ["listed", "removed", "listed"]


def test_a_row_that_becomes_faulty_is_not_taken_for_gone(register: Register) -> None:
    register.run()
    execute(register.url, "UPDATE listing SET listed_on = '昨天' WHERE rowid = 3")
    (outcome,) = register.run()
    assert outcome.counts.accepted == {} and outcome.counts.rejected == {"date": 1}
    execute(register.url, "UPDATE listing SET listed_on = '2026-07-02' WHERE rowid = 3")
    (outcome,) = register.run()
    assert outcome.counts.accepted == {"amended": 1}
