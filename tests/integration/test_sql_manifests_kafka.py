"""A table and its signed manifest on a real Kafka: held, shown, compared, and known after a restart."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from hub.bus.publisher import KafkaPublisher
from hub.cli.connect import app
from hub.contracts.calendars import load_calendars
from hub.domain.calendar import end_of, local_date
from hub.domain.webhook_keys import PUBLIC_PREFIX
from hub.intake.build import open_session
from hub.intake.engine import Outcome
from hub.intake.guards.service import SourcesGuard
from hub.intake.guards.watch import SourcesWatch, WatchRule
from hub.intake.session import Means
from tests.conftest import IndexLike, KafkaLike
from tests.support_intake import ROOT, catalog
from tests.support_source_guards import guarded
from tests.support_sql import BLACKLIST_COLUMNS, execute, insert, listing_row, sql_config

TOPICS = ("blacklist.notices.v1", "intake.rejections.v1")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PUBLIC_PREFIX + base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
NAME, ROWS = "law-db", 50


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with guarded(kafka.bootstrap, TOPICS) as address:
        yield address


class Department:
    """A database of a department that signs how many rows its table has."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path) -> None:
        self.bootstrap, self.base, self.manifests = bootstrap, base, base / "manifests"
        self.manifests.mkdir()
        url = f"sqlite:///{base}/register.db"
        execute(url, f"CREATE TABLE listing ({BLACKLIST_COLUMNS})")
        insert(url, "listing", [listing_row(n) for n in range(1, ROWS + 1)])
        self.url = url
        given: dict[str, Any] = {
            "table": "listing", "mapping": "blacklist-notices", "mode": "snapshot", "manifest_key": PUBLIC,
            "manifests": str(self.manifests),
        }
        self.config = sql_config(url, name=NAME, cursor=None, **given)
        common = self.config.model_dump(mode="json", exclude={"settings", "base"})
        entry = {**common, **given, "url": url, "every_seconds": 0.001}
        (base / "sources.yaml").write_text(yaml.safe_dump({"sources": [entry]}, allow_unicode=True))
        self.means = Means(catalog(), bootstrap, redis_url, base, b"only-for-tests", is_watched=True)

    def sign(self, count: int) -> None:
        day = local_date(datetime.now(UTC)).isoformat()
        content = json.dumps({
            "source": NAME, "date": day, "count": count, "digest": hashlib.sha256(b"").hexdigest(), "files": {},
        }).encode()
        signature = base64.b64encode(KEY.sign(content)).decode()
        (self.manifests / f"manifest-{day}.json.sig").write_text(f"v1a,{signature}")
        (self.manifests / f"manifest-{day}.json").write_bytes(content)

    def run(self) -> list[Outcome]:
        """A process that begins, reads what is there, and ends."""
        time.sleep(0.005)
        with open_session(self.config, self.means) as session:
            return list(session.run_pending())

    def guard(self, now: datetime) -> SourcesGuard:
        calendar = load_calendars(ROOT)["gannan"]
        rules = {NAME: WatchRule(NAME, None, has_manifest=True, counts_rows=True)}
        publisher = KafkaPublisher(self.bootstrap, client_id="test")
        return SourcesGuard(
            self.bootstrap, catalog(), lambda: SourcesWatch(rules, calendar, lambda *_: ()), publisher, lambda: now
        )

    def hub(self, *words: str) -> Any:
        try:
            return CliRunner().invoke(app, [*words])
        finally:
            structlog.reset_defaults()  # the runner of commands has closed what they were told to log to


def test_a_table_that_is_short_of_its_manifest_waits_for_a_person(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", bootstrap)
    department = Department(bootstrap, valkey.url, tmp_path)
    department.sign(ROWS)
    (outcome,) = department.run()
    assert outcome.counts.accepted == {"listed": ROWS}
    assert department.run() == [], "nothing is new, and its department says so"
    today = local_date(datetime.now(UTC))
    tonight = end_of(today) + timedelta(hours=1)
    with closing(department.guard(tonight)) as guard:
        (status,) = guard.read().status(tonight)
        assert status.heartbeat is not None and status.heartbeat.said == "nothing-today"
        (taken,) = guard.watch.manifests(NAME)
        assert guard.watch.compare(taken).verdict == "agrees"

    execute(department.url, "DELETE FROM listing WHERE rowid <= 2")
    assert department.run() == [], "the process knows the manifest from the log"
    listed = department.hub("held", "list", NAME, "--json")
    (held,) = json.loads(listed.stdout)
    shown = department.hub("held", "show", NAME, held["id"]).stdout
    assert f"{today} 的清单为 {ROWS} 行，快照读到 {ROWS - 2} 行" in shown
    assert f"says {ROWS} rows, the snapshot has {ROWS - 2}" in shown and f"announced {ROWS}" in shown
    assert listing_row(1)["listing_document"] in shown
    with closing(department.guard(tonight)) as guard:
        assert guard.tick() == 1
        (alert,) = guard.read().open_alerts()
        assert (alert.kind, alert.announced, alert.taken) == ("manifest-differs", ROWS, ROWS - 2)

    department.sign(ROWS - 2)
    (outcome,) = department.run()
    assert outcome.counts.accepted == {"removed": 2} and department.hub("held", "list", NAME).exit_code == 0
    with closing(department.guard(tonight + timedelta(hours=1))) as guard:
        assert guard.tick() == 1 and guard.read().open_alerts() == []
    assert len(list((department.manifests / "done").glob("*.json"))) == 2
    checked = department.hub("check", NAME)
    assert checked.exit_code == 0, checked.stdout


def test_check_refuses_a_key_whose_manifests_could_never_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    entry = {
        "name": NAME, "connector": "sql", "url": "sqlite:///x.db", "table": "t", "mapping": "blacklist-notices",
        "mode": "snapshot", "department_code": "11623000013999917X", "department_name": "局", "region_code": "623000",
        "manifest_key": PUBLIC,
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": [entry]}))
    result = CliRunner().invoke(app, ["check", NAME])
    structlog.reset_defaults()
    assert result.exit_code == 1
    assert f"sources.yaml:\n  source {NAME}: manifest_key: needs manifests" in result.stderr
