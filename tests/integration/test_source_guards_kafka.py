"""Manifests, heartbeats and alerts on a real Kafka: what a source says of itself, and what comes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi.testclient import TestClient

from hub.bus.publisher import KafkaPublisher
from hub.contracts.calendars import load_calendars
from hub.domain.calendar import local_date
from hub.domain.silence import Rhythm
from hub.domain.source_manifest import compare_events, files_digest, lines_digest, parse_manifest
from hub.errors import BrokerError
from hub.intake.build import open_session
from hub.intake.guards.events_of_day import events_of_day
from hub.intake.guards.log import ManifestTaken
from hub.intake.guards.service import SourcesGuard
from hub.intake.guards.watch import SourcesWatch, WatchRule
from hub.intake.session import Means
from hub.web.app import create_app
from tests.conftest import IndexLike, KafkaLike
from tests.support_http_intake import KEY, NAME, NOW, dumps, manifests_of
from tests.support_intake import INSPECTION, ROOT, catalog, config, csv_bytes, inspection
from tests.support_source_guards import guarded

TOPICS = ("inspection.results.v1", "intake.rejections.v1")
KEY_BYTES = bytes(range(32))
PRIVATE = Ed25519PrivateKey.from_private_bytes(KEY_BYTES)
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
CALENDAR = load_calendars(ROOT)["gannan"]


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with guarded(kafka.bootstrap, TOPICS) as address:
        yield address


class Source:
    """A folder whose department signs manifests."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path, name: str) -> None:
        self.name, self.folder, self.bootstrap = name, base / "in", bootstrap
        self.folder.mkdir(exist_ok=True)
        self.config = config(
            self.folder, name=name, manifest_key=PUBLIC, rhythm="6h", mappings=["inspection-results"]
        )
        self.means = Means(catalog(), bootstrap, redis_url, base / "data", b"only-for-tests", is_watched=True)

    def run(self) -> None:
        with open_session(self.config, self.means) as session:
            list(session.run_pending())

    def sign(self, count: int, files: dict[str, bytes]) -> None:
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        day = local_date(datetime.now(UTC)).isoformat()
        content = json.dumps({
            "source": self.name, "date": day, "count": count, "digest": files_digest(digests), "files": digests,
        }).encode()
        (self.folder / f"manifest-{day}.json.sig").write_text(
            "v1a," + base64.b64encode(PRIVATE.sign(content)).decode()
        )
        (self.folder / f"manifest-{day}.json").write_bytes(content)

    def guard(self, now: datetime) -> SourcesGuard:
        rules = {self.name: WatchRule(self.name, Rhythm.parse("6h"), has_manifest=True)}

        def make() -> SourcesWatch:
            return SourcesWatch(rules, CALENDAR, lambda source, day: ())

        publisher = KafkaPublisher(self.bootstrap, client_id="test")
        return SourcesGuard(self.bootstrap, catalog(), make, publisher, lambda: now)


def test_a_file_that_never_came_is_missed_and_its_coming_ends_it(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    source = Source(bootstrap, valkey.url, tmp_path, "guard-folder")
    first, second = csv_bytes(INSPECTION, [inspection(1)]), csv_bytes(INSPECTION, [inspection(2), inspection(3)])
    (source.folder / "a.csv").write_bytes(first)
    source.sign(3, {"a.csv": first, "b.csv": second})
    source.run()
    later = datetime.now(UTC) + timedelta(hours=2)
    with closing(source.guard(later)) as guard:
        assert guard.tick() == 1
        (alert,) = guard.read().open_alerts()
        assert (alert.kind, alert.announced, alert.taken) == ("manifest-differs", 3, 1)
        assert guard.tick() == 0
        (source.folder / "b.csv").write_bytes(second)
        source.run()
        assert guard.tick() == 1 and guard.read().open_alerts() == []
        (status,) = guard.watch.status(later)
        assert status.verdict == "ok" and status.heartbeat is not None and status.heartbeat.said == "rows"
    with closing(source.guard(later + timedelta(hours=6))) as guard:
        assert guard.tick() == 1
        assert guard.tick() == 0
        assert [each.kind for each in guard.read().open_alerts()] == ["silence-began"]
        source.sign(0, {})
        source.run()  # nothing today, and signed: it has spoken
    with closing(source.guard(datetime.now(UTC))) as guard:
        assert guard.tick() == 1 and guard.read().open_alerts() == []
        assert guard.watch.status(datetime.now(UTC))[0].verdict == "ok"


_CHILD = """
import os, signal, sys
from pathlib import Path
from connectors.export_folder.archive import Archive
from tests.integration.test_source_guards_kafka import Source
bootstrap, redis_url, base, name = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
Archive.finished = die
Source(bootstrap, redis_url, Path(base), name).run()
"""


def test_killed_before_a_file_is_out_of_the_way_it_counts_once(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    source = Source(bootstrap, valkey.url, tmp_path, "guard-killed")
    content = csv_bytes(INSPECTION, [inspection(1), inspection(2)])
    (source.folder / "a.csv").write_bytes(content)
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, bootstrap, valkey.url, str(tmp_path), source.name], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    source.sign(2, {"a.csv": content})
    source.run()
    with closing(source.guard(datetime.now(UTC) + timedelta(hours=2))) as guard:
        (taken,) = guard.read().manifests(source.name)
        assert guard.watch.compare(taken).verdict == "agrees"
        assert guard.tick() == 0


def test_events_of_a_day_are_counted_from_the_log(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    source = Source(bootstrap, valkey.url, tmp_path, "guard-events")
    (source.folder / "a.csv").write_bytes(csv_bytes(INSPECTION, [inspection(1), inspection(2)]))
    source.run()
    today = local_date(datetime.now(UTC))
    ids = list(events_of_day(bootstrap, TOPICS[:1], source.name, today))
    assert len(set(ids)) == 2
    assert list(events_of_day(bootstrap, TOPICS[:1], source.name, today - timedelta(days=1))) == []
    content = json.dumps(
        {"source": source.name, "date": today.isoformat(), "count": 2, "digest": lines_digest(ids)}
    ).encode()
    assert compare_events(parse_manifest(content, source.name), ids).verdict == "agrees"


def test_a_manifest_is_handed_in_by_http_under_the_key_of_its_source() -> None:
    taken: list[ManifestTaken] = []
    good = {"source": NAME, "date": "2026-03-02", "count": 0, "digest": hashlib.sha256(b"").hexdigest()}
    bearer = {"Authorization": f"Bearer {KEY}"}

    def away(_: ManifestTaken) -> None:
        raise BrokerError("Kafka is away")

    with TestClient(create_app([("", manifests_of(taken.append))])) as client:
        assert client.post("/v1/manifests", content=dumps(good)).status_code == 401
        answer = client.post("/v1/manifests", content=dumps(good), headers=bearer)
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        again = client.post("/v1/manifests", content=dumps(good), headers=bearer)
        assert again.json() == answer.json()
        for wrong in ({**good, "source": "other"}, {**good, "count": -1}, {**good, "files": {}}):
            found = client.post("/v1/manifests", content=dumps(wrong), headers=bearer)
            assert found.status_code == 422 and found.headers["content-type"] == "application/problem+json"
        assert client.post("/v1/manifests", content=b" " * 5000, headers=bearer).status_code == 413
    assert [(each.source, each.received_at, each.signature) for each in taken] == [(NAME, NOW, None)] * 2
    with TestClient(create_app([("", manifests_of(away))])) as client:
        assert client.post("/v1/manifests", content=dumps(good), headers=bearer).status_code == 503
