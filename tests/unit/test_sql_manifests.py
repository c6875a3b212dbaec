"""Manifests of a table: what has to be set, what is held, what waits, and what the watch makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.sql.claims import Claim
from connectors.sql.settings import SqlSettings
from connectors.sql.snapshot import Difference, reasons
from connectors.sql.source import SqlSource
from hub.contracts.calendars import load_calendars
from hub.domain.calendar import local_date
from hub.domain.source_manifest import SourceManifest, compare_rows, parse_manifest
from hub.domain.webhook_keys import PUBLIC_PREFIX, parse_public
from hub.intake import ContractError, HeldPortions, Row, SourceConfig
from hub.intake.guards.log import Alert, GuardLog, Heartbeat, ManifestTaken, manifest_taken
from hub.intake.guards.manifest_box import ManifestBox
from hub.intake.guards.reporter import Reporter
from hub.intake.guards.watch import SourcesWatch, WatchRule
from hub.intake.rows import TableReading
from hub.intake.sources import load_sources
from hub.wiring.console import promises
from tests.support_intake import ROOT, catalog
from tests.support_source_guards import Memory
from tests.support_sql import BLACKLIST_COLUMNS, drain, execute, insert, listing_row, open_sql

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PUBLIC_PREFIX + base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
EMPTY = hashlib.sha256(b"").hexdigest()
SOURCE, ROWS = "hezuo-tables", 20
GANNAN = load_calendars(ROOT)["gannan"]


def manifest(count: int, day: date | None = None, **more: Any) -> bytes:
    day = day or local_date(datetime.now(UTC))
    return json.dumps({
        "source": SOURCE, "date": day.isoformat(), "count": count, "digest": EMPTY, "files": {}, **more,
    }).encode()


def said(count: int, day: date | None = None) -> SourceManifest:
    return parse_manifest(manifest(count, day), SOURCE)


# -- what has to be set ------------------------------------------------------------------------

COMMON = {"department_code": "11623000013999917X", "department_name": "局", "region_code": "623000"}
TABLE = {"connector": "sql", "url": "sqlite:///x.db", "table": "t", "mapping": "blacklist-notices", "mode": "snapshot"}


@pytest.mark.parametrize(("entry", "words"), [
    ({**TABLE, "manifest_key": PUBLIC}, "manifest_key: needs manifests"),
    ({**TABLE, "manifest_key": PUBLIC, "manifests": "m", "mode": "increasing", "cursor": "id"},
     "manifest_key: a manifest counts the rows of a snapshot, and mode increasing takes none"),
    ({**TABLE, "manifests": "m"}, "manifests: needs manifest_key"),
    ({**TABLE, "without_manifest": "wait"}, "without_manifest: wait needs manifest_key"),
    ({"connector": "http-poll", "url": "https://h/x", "mapping": "m.yaml", "manifest_key": PUBLIC},
     "manifest_key: http-poll has no place where manifests of the day could come"),
    ({"connector": "lead-feed", "url": "https://h/x", "manifest_key": PUBLIC}, "manifest_key: lead-feed has no place"),
])  # fmt: skip
def test_a_manifest_that_could_never_come_is_refused(entry: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": [{"name": "law-db", **COMMON, **entry}]}), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_sources(path)
    assert f"sources.yaml:\n  source law-db: {words}" in str(caught.value)


def test_a_folder_of_manifests_is_one_sources_own(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    entries = [
        {"name": name, **COMMON, **TABLE, "manifest_key": PUBLIC, "manifests": folder}
        for name, folder in (("a", "m"), ("b", "m"), ("c", "in"))
    ] + [{"name": "d", **COMMON, "folder": "in", "mappings": ["penalties"], "manifest_key": PUBLIC}]
    path.write_text(yaml.safe_dump({"sources": entries}), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_sources(path)
    assert "source b: manifests: also read by a" in str(caught.value)
    assert "source d: folder: also read by c" in str(caught.value)


# -- what is held ------------------------------------------------------------------------------


def test_the_reason_names_both_numbers() -> None:
    settings = SqlSettings(url="sqlite:///x.db", table="t", mapping="blacklist-notices", mode="snapshot")
    (reason,) = reasons(Difference(910, 1000, 0, 0, 90, 0), settings, Claim("2026-03-02", 1000))
    assert reason == (
        "2026-03-02 的清单为 1000 行，快照读到 910 行 / the manifest of 2026-03-02 says 1000 rows, the snapshot has 910"
    )
    assert len(reasons(Difference(3, 0, 3, 0, 0, 0), settings, Claim("2026-03-02", 4))) == 1, "the first one, too"
    assert reasons(Difference(1000, 1000, 0, 0, 0, 0), settings, Claim("2026-03-02", 1000)) == []


class Register:
    """A table of listings whose department signs manifests, and the source that reads it."""

    def __init__(self, base: Path, **more: Any) -> None:
        self.url, self.base = f"sqlite:///{base}/r.db", base
        self.manifests = base / "manifests"
        self.given: dict[str, Any] = {
            "table": "listing", "mapping": "blacklist-notices", "mode": "snapshot", "cursor": None,
            "manifest_key": PUBLIC, "manifests": str(self.manifests), **more,
        }
        execute(self.url, f"CREATE TABLE listing ({BLACKLIST_COLUMNS})")
        insert(self.url, "listing", [listing_row(n) for n in range(1, ROWS + 1)])
        self.source = self.start()

    def start(self, *manifests: SourceManifest) -> SqlSource:
        """A process that has just begun, and knows these manifests from the log."""
        self.source = open_sql(self.url, self.base / "data", **self.given)
        for each in manifests:
            self.source.expect(each)
        return self.source

    def read(self) -> list[str]:
        """Types of the events that the table gives now, repeats among them."""
        time.sleep(0.005)
        items = drain(self.source)
        assert all(isinstance(item, Row) for item in items)
        return [item.state_type.rpartition(".")[2] for item in items if isinstance(item, Row)]

    @property
    def portions(self) -> HeldPortions:
        return HeldPortions(self.source._folder, SOURCE)

    def decide(self, verdict: Any) -> None:
        (held,) = self.portions.all()
        self.portions.decide(held.id, verdict, by="张三", reason="已核对")

    def delete(self, number: int) -> None:
        execute(self.url, f"DELETE FROM listing WHERE rowid = {number}")


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path)


def test_as_many_rows_as_announced_are_told_and_others_are_held(register: Register) -> None:
    register.source.expect(said(ROWS))
    assert register.read() == ["listed"] * ROWS
    register.delete(3)  # within every bound
    assert register.read() == []
    (held,) = register.portions.all()
    assert f"清单为 {ROWS} 行，快照读到 {ROWS - 1} 行" in held.reasons[0]
    assert held.counts["announced"] == ROWS and held.counts["rows"] == ROWS - 1 and held.preview
    # A corrected manifest of the same day: what was held gives way to what agrees with it.
    register.source.expect(said(ROWS - 1))
    assert "removed" in register.read() and register.portions.all() == []


def test_the_first_snapshot_and_one_without_news_are_compared_too(register: Register) -> None:
    register.source.expect(said(ROWS + 5))
    assert register.read() == [] and len(register.portions.all()) == 1
    register.source.expect(said(ROWS))
    assert len(register.read()) == ROWS and register.portions.all() == []
    register.source.expect(said(ROWS + 1))  # the table stands still, its department does not
    assert register.read() == []
    (held,) = register.portions.all()
    assert (held.counts["added"], held.counts["removed"], held.counts["announced"]) == (0, 0, ROWS + 1)
    register.source.expect(said(ROWS))
    assert register.read() == [] and register.portions.all() == []


def test_what_a_person_let_through_is_not_asked_about_again(register: Register) -> None:
    register.read()
    register.source.expect(said(ROWS))
    register.delete(3)
    assert register.read() == []
    register.decide("released")
    assert "removed" in register.read()
    assert register.read() == [] and register.portions.all() == []
    # Neither by a process that begins anew. Another difference is another question.
    register.start(said(ROWS))
    assert register.read() == [] and register.portions.all() == []
    register.delete(4)
    assert register.read() == [] and len(register.portions.all()) == 1


def test_midnight_lets_nothing_through(register: Register) -> None:
    register.read()
    register.source.expect(said(ROWS))
    register.delete(3)
    register.read()
    (held,) = register.portions.all()
    register.start()  # another day, whose manifest has not come
    assert register.read() == [] and [each.id for each in register.portions.all()] == [held.id]
    register.decide("discarded")
    assert register.read() == [], "read anew, and still not what was announced"
    assert len(register.portions.all()) == 1
    register.source.expect(said(ROWS - 1))
    assert "removed" in register.read() and register.portions.all() == []
    register.start()
    register.delete(5)
    assert "removed" in register.read(), "nothing is announced, and nothing unmet"


def test_a_repaired_table_needs_nobody(register: Register) -> None:
    register.read()
    execute(register.url, "DELETE FROM listing")
    assert register.read() == [] and len(register.portions.all()) == 1
    insert(register.url, "listing", [listing_row(n) for n in range(1, ROWS + 1)])
    assert register.read() == [] and register.portions.all() == []


def test_what_is_being_told_is_not_judged_by_a_manifest_that_comes_later(register: Register) -> None:
    for portion in register.source.portions():
        next(portion.batches(0))
        portion.close()  # killed halfway
        break
    register.start(said(ROWS + 1))
    assert len(register.read()) == ROWS
    register.read()
    assert len(register.portions.all()) == 1, "the next reading is"


def test_a_manifest_has_the_table_read_at_once(tmp_path: Path) -> None:
    register = Register(tmp_path, every_seconds=3600)
    assert len(register.read()) == ROWS
    register.delete(3)
    assert register.read() == []
    register.source.expect(said(ROWS - 1, local_date(datetime.now(UTC)) - timedelta(days=1)))
    assert register.read() == [], "one of another day says nothing of now"
    register.source.expect(said(ROWS - 1))
    assert "removed" in register.read()


def test_where_it_is_set_the_table_waits_for_its_manifest(tmp_path: Path) -> None:
    register = Register(tmp_path, without_manifest="wait")
    assert register.read() == [] and register.source.readings() == []
    register.source.expect(said(ROWS, local_date(datetime.now(UTC)) - timedelta(days=1)))
    assert register.read() == []
    register.source.expect(said(ROWS))
    assert len(register.read()) == ROWS


def test_what_was_counted_is_told_to_whoever_compares(register: Register) -> None:
    register.read()
    (reading,) = register.source.readings()
    assert (reading.rows, reading.is_vouched) == (ROWS, False) and register.source.readings() == []
    register.source.expect(said(ROWS))
    register.read()
    (again,) = register.source.readings()
    assert again.is_vouched and again.identity != reading.identity
    register.delete(3)
    register.read()
    (held,) = register.source.readings()
    assert (held.rows, held.is_vouched) == (ROWS - 1, False)


def test_check_names_a_folder_that_is_not_there(register: Register) -> None:
    assert register.source.check() == [f"manifests: folder {register.manifests} is missing"]
    register.manifests.mkdir()
    assert register.start().check() == []


# -- the box and the watch ---------------------------------------------------------------------


@pytest.mark.parametrize(("content", "says"), [
    (manifest(3), None),
    (json.dumps({"source": SOURCE, "date": "2026-03-02", "count": 3, "digest": EMPTY}).encode(), None),
    (manifest(3, digest=hashlib.sha256(f"{EMPTY}  a.csv\n".encode()).hexdigest(), files={"a.csv": EMPTY}),
     "a table has none"),
    (json.dumps({"source": SOURCE, "date": "2026-03-02", "count": 3, "digest": "0" * 64}).encode(), "of no bytes"),
])  # fmt: skip
def test_a_manifest_of_a_table_names_no_files(content: bytes, says: str | None, tmp_path: Path) -> None:
    box = ManifestBox(
        SOURCE, tmp_path, parse_public(PUBLIC), GuardLog(catalog()), Memory(), lambda: datetime.now(UTC),
        is_of_table=True,
    )
    path = tmp_path / f"manifest-{json.loads(content)['date']}.json"
    path.write_bytes(content)
    path.with_name(path.name + ".sig").write_text("v1a," + base64.b64encode(KEY.sign(content)).decode())
    taken = box.take()
    if says is None:
        assert taken[0].manifest.count == 3
    else:
        (refused,) = (tmp_path / "refused").glob("*.refused.txt")
        assert taken == [] and says in refused.read_text(encoding="utf-8")


def test_the_documented_sample_makes_a_manifest_of_a_table(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- file: manifest.py -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None and "python manifest.py /srv/manifests" in text
    (tmp_path / "manifest.py").write_text(found[1], encoding="utf-8")
    (tmp_path / "key").write_bytes(KEY.private_bytes_raw())
    (folder := tmp_path / "manifests").mkdir()
    words = [str(tmp_path / "manifest.py"), str(folder), SOURCE, "2026-03-02", "1000", str(tmp_path / "key")]
    subprocess.run([sys.executable, *words], check=True)
    box = ManifestBox(
        SOURCE, folder, parse_public(PUBLIC), GuardLog(catalog()), Memory(), lambda: datetime.now(UTC),
        is_of_table=True,
    )
    (taken,) = box.take()
    assert taken.manifest.count == 1000


DAY = date(2026, 3, 2)


def at(clock: str, day: int = 2) -> datetime:
    return datetime.fromisoformat(f"2026-03-{day:02d}T{clock}:00+08:00").astimezone(UTC)


def test_nothing_today_and_a_dead_table_differ() -> None:
    announced = said(5, DAY)
    assert compare_rows(announced, 5).verdict == "agrees"
    short, dead = compare_rows(announced, 4), compare_rows(announced, None)
    assert (short.verdict, short.says) == ("differs", "5 rows were announced, the table had 4")
    assert (dead.verdict, dead.says) == ("differs", "5 rows were announced, the table was not read on that day")


class Watched:
    """A watch over the table, and what its source puts on the log."""

    def __init__(self) -> None:
        self.watch = SourcesWatch({SOURCE: WatchRule(SOURCE, None, True, counts_rows=True)}, GANNAN, lambda *_: ())
        self.watch.take(Heartbeat(SOURCE, at("08:00"), at("08:00"), at("08:00"), "rows"))
        self.memory, self.log = Memory(), GuardLog(catalog())
        self.reporter = Reporter(SOURCE, self.log, self.memory, None, lambda: at("08:00"))

    def counts(self, rows: int, moment: datetime) -> None:
        self.reporter.counted(TableReading(f"x|{moment}", "listing", rows, moment, False))
        output = self.memory.outputs.pop()
        self.watch.take(self.log.read(output.topic, output.value or b""))

    def announces(self, rows: int, moment: datetime) -> ManifestTaken:
        content = manifest(rows, DAY)
        taken = manifest_taken(parse_manifest(content, SOURCE), content, "v1a,x", moment)
        self.watch.take(taken)
        return taken

    def tick(self, now: datetime) -> list[Alert]:
        due = [each for each in self.watch.due(now) if each.kind.startswith("manifest-") and each.about == str(DAY)]
        for each in due:
            self.watch.take(each)
        return due


def test_the_last_reading_of_the_day_is_compared_when_the_day_is_over() -> None:
    watched = Watched()
    watched.counts(4, at("09:00"))
    taken = watched.announces(5, at("18:00"))
    assert [each.verdict for each in promises(watched.watch, at("18:30"))] == ["differs"]
    assert watched.tick(at("20:00")) == [], "it may be read yet"
    watched.counts(5, at("23:00"))
    watched.counts(9, at("00:30", 3))  # another day's
    assert watched.watch.compare(taken).verdict == "agrees" and watched.tick(at("01:00", 3)) == []
    (promise,) = (each for each in promises(watched.watch, at("02:00", 3)) if each.day == DAY)
    assert (promise.verdict, promise.taken, promise.files, promise.is_table) == ("agrees", 5, None, True)


def test_one_that_was_told_before_its_manifest_differs_and_a_corrected_manifest_ends_it() -> None:
    watched = Watched()
    watched.counts(4, at("09:00"))
    watched.announces(5, at("18:00"))
    (alert,) = watched.tick(at("01:00", 3))
    assert (alert.kind, alert.announced, alert.taken) == ("manifest-differs", 5, 4)
    assert watched.tick(at("05:00", 3)) == []
    watched.announces(4, at("09:00", 3))
    assert [each.kind for each in watched.tick(at("10:00", 3))] == ["manifest-agrees"]


def test_a_table_that_was_not_read_is_missed_at_the_end_of_the_day() -> None:
    watched = Watched()
    watched.announces(5, at("18:00"))
    assert [each.verdict for each in promises(watched.watch, at("18:30"))] == ["open"]
    (alert,) = watched.tick(at("01:00", 3))
    assert alert.kind == "manifest-differs" and "was not read" in alert.reason


def test_a_table_that_can_have_manifests_is_known_by_its_settings(tmp_path: Path) -> None:
    entry = {"name": SOURCE, **COMMON, **TABLE, "manifest_key": PUBLIC, "manifests": "m"}
    assert SourceConfig.of(entry, tmp_path).counts_rows
    folder = {"name": "d", **COMMON, "folder": "in", "mappings": ["penalties"], "manifest_key": PUBLIC}
    assert not SourceConfig.of(folder, tmp_path).counts_rows
