"""Silence, manifests and their alerts: the rules, on injected time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.calendars import load_calendars
from hub.domain.silence import Rhythm
from hub.domain.source_manifest import (
    SourceManifest,
    TakenFile,
    compare_events,
    compare_files,
    files_digest,
    lines_digest,
    parse_manifest,
)
from hub.domain.webhook_keys import PUBLIC_PREFIX, Ed25519Key, parse_public, parse_secret
from hub.errors import InputError
from hub.intake.guards.log import Alert, GuardLog, Heartbeat, PortionRead, manifest_taken
from hub.intake.guards.manifest_box import ManifestBox
from hub.intake.guards.reporter import Reporter
from hub.intake.guards.watch import SourcesWatch, WatchRule
from hub.intake.rows import Counts
from tests.support_intake import ROOT, catalog
from tests.support_source_guards import Memory

GANNAN = load_calendars(ROOT)["gannan"]
EMPTY = hashlib.sha256(b"").hexdigest()
SOURCE = "gannan-law"


def at(day: str, clock: str = "10:00") -> datetime:
    """A moment in Asia/Shanghai."""
    return datetime.fromisoformat(f"{day}T{clock}:00+08:00").astimezone(UTC)


def manifest(**more: Any) -> bytes:
    return json.dumps({"source": SOURCE, "date": "2026-03-02", "count": 0, "digest": EMPTY, **more}).encode()



# -- silence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spoke, due", [
    ("2026-03-02", "2026-03-03"),  # Monday
    ("2026-03-06", "2026-03-09"),  # Friday: Saturday and Sunday are nobody's
    ("2026-09-30", "2026-10-09"),  # before the holidays; 10-08 is off in Gannan alone
    ("2026-02-13", "2026-02-14"),  # a Saturday that is worked
])
def test_a_daily_source_has_to_speak_by_the_end_of_the_next_working_day(spoke: str, due: str) -> None:
    rhythm = Rhythm.parse("daily")
    assert rhythm.speaks_by(at(spoke), GANNAN) == at(due, "00:00") + timedelta(days=1)
    assert not rhythm.is_silent(at(spoke), at(due, "23:59"), GANNAN)
    assert rhythm.is_silent(at(spoke), at(due, "00:00") + timedelta(days=1), GANNAN)


def test_hours_and_what_is_no_rhythm() -> None:
    assert Rhythm.parse("6h").speaks_by(at("2026-03-07"), GANNAN) == at("2026-03-07", "16:00")
    for text in ("", "0h", "weekly", "6", "-1h"):
        with pytest.raises(ValueError, match="daily"):
            Rhythm.parse(text)


@given(st.datetimes(datetime(2026, 1, 5), datetime(2026, 11, 30)), st.integers(0, 96))
def test_whoever_spoke_later_is_silent_no_sooner(moment: datetime, hours: int) -> None:
    spoke = moment.replace(tzinfo=UTC)
    later = spoke + timedelta(hours=hours)
    for text in ("daily", "6h"):
        rhythm = Rhythm.parse(text)
        assert spoke < rhythm.speaks_by(spoke, GANNAN) <= rhythm.speaks_by(later, GANNAN)


# -- manifests ---------------------------------------------------------------------------------


def test_the_digest_is_the_one_of_the_documented_sample() -> None:
    files = {"b.csv": hashlib.sha256(b"b").hexdigest(), "a.csv": hashlib.sha256(b"a").hexdigest()}
    lines = sorted(f"{digest}  {name}\n" for name, digest in files.items())
    assert files_digest(files) == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert lines_digest([]) == EMPTY


@pytest.mark.parametrize("content, says", [
    (b"\xff", "no JSON in UTF-8"), (b"[]", "object of"), (manifest(more=1), "object of"),
    (manifest(source="other"), "source: this is gannan-law"), (manifest(date="2.3.2026"), "date: a day"),
    (manifest(date="2026-02-30"), "date: a day"), (manifest(count=-1), "count: a whole number"),
    (manifest(count=True), "count: a whole number"), (manifest(digest="x"), "digest: 64"),
    (manifest(digest="0" * 64), "with count 0"), (manifest(files={"a.csv": "0" * 64}), "it is not that of `files`"),
    (manifest(files={"../a": "0" * 64}), "a name that is none"), (manifest(files={"a": "0"}), "files: a: 64"),
])  # fmt: skip
def test_a_manifest_that_is_none_is_told_what_would_be_right(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_manifest(content, SOURCE)


def test_nothing_today_agrees_and_a_dead_connector_does_not() -> None:
    nothing = parse_manifest(manifest(), SOURCE)
    assert compare_events(nothing, []).verdict == "agrees"
    ids = ["b", "a"]
    said = SourceManifest(SOURCE, date(2026, 3, 2), 2, lines_digest(ids), None)
    assert compare_events(said, ids).verdict == "agrees"
    dead = compare_events(said, [])
    assert (dead.verdict, dead.rows_short, dead.says) == ("differs", 2, "2 events were announced, 0 were taken")
    assert "not the same ones" in compare_events(said, ["a", "c"]).says


def test_files_that_are_missing_are_named_and_counted() -> None:
    a, b = "a" * 64, "b" * 64
    said = SourceManifest(SOURCE, date(2026, 3, 2), 30, "", {"a.csv": a, "b.csv": b})
    assert compare_files(said, [TakenFile("a.csv", a, 10), TakenFile("renamed.csv", b, 20)]).verdict == "agrees"
    found = compare_files(said, [TakenFile("a.csv", a, 10), TakenFile("b.csv", "c" * 64, 20)])
    assert (found.missing, found.rows_short) == (("b.csv",), 20)
    assert found.says == "1 of 2 files have not come: b.csv; 30 rows were announced, 10 were read"


# -- the folder --------------------------------------------------------------------------------


class Folder:
    def __init__(self, base: Path) -> None:
        self.base, self.key = base, Ed25519PrivateKey.generate()
        self.memory, self.now = Memory(), datetime.now(UTC)
        public = PUBLIC_PREFIX + base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        self.box = ManifestBox(
            SOURCE, base, parse_public(public), GuardLog(catalog()), self.memory, lambda: self.now
        )

    def put(self, content: bytes, day: str = "2026-03-02", signed: bytes | None = None) -> None:
        (self.base / f"manifest-{day}.json").write_bytes(content)
        signature = base64.b64encode(self.key.sign(content if signed is None else signed)).decode()
        (self.base / f"manifest-{day}.json.sig").write_text(f"v1a,{signature}\n")

    def refusal(self) -> str:
        (text,) = (self.base / "refused").glob("*.refused.txt")
        return text.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_signed_manifest_is_on_the_log_before_it_moves(folder: Folder) -> None:
    folder.put(manifest())
    (taken,) = folder.box.take()
    assert (taken.day, taken.manifest.count) == (date(2026, 3, 2), 0)
    assert len(folder.memory.outputs) == 1 and folder.box.take() == []
    assert sorted(path.name for path in (folder.base / "done").iterdir()) == [
        "manifest-2026-03-02.json", "manifest-2026-03-02.json.sig",
    ]
    # Killed before it moved, it is taken again: the same record under the same id.
    folder.put(manifest())
    (again,) = folder.box.take()
    assert again.manifest_id == taken.manifest_id


@pytest.mark.parametrize("content, day, signed, says", [
    (manifest(), "2026-03-02", b"another text", "signature"),
    (manifest(), "2026-03-03", None, "another day"),
    (manifest(count=3, digest="0" * 64), "2026-03-02", None, "each file of the day is named"),
    (manifest(source="other"), "2026-03-02", None, "for another"),
])
def test_a_manifest_that_does_not_count_is_refused_with_the_reason(
    folder: Folder, content: bytes, day: str, signed: bytes | None, says: str
) -> None:
    folder.put(content, day, signed)
    assert folder.box.take() == [] and folder.memory.outputs == []
    assert says in folder.refusal()


def test_a_manifest_waits_for_its_signature_for_an_hour(folder: Folder) -> None:
    (folder.base / "manifest-2026-03-02.json").write_bytes(manifest())
    assert folder.box.take() == [] and not (folder.base / "refused").exists()
    folder.now += timedelta(hours=2)
    assert folder.box.take() == [] and "no signature beside it" in folder.refusal()


def test_a_key_of_the_hub_signs_what_the_hub_verifies() -> None:
    key = parse_secret("whsk_" + base64.b64encode(bytes(range(32))).decode())
    assert isinstance(key, Ed25519Key) and key.public is not None
    assert parse_public(key.public).verify(manifest(), [key.sign(manifest())])


# -- the watch ---------------------------------------------------------------------------------


class Log:
    """A watch, and the alerts that it raised, handed back to it as the topic would."""

    def __init__(self, rule: WatchRule, events: Iterable[str] = ()) -> None:
        self.events, self.compared = list(events), 0
        self.raised: list[Alert] = []
        self.watch = SourcesWatch({SOURCE: rule}, GANNAN, self.events_of)

    def events_of(self, source: str, day: date) -> list[str]:
        self.compared += 1
        return self.events

    def tick(self, now: datetime) -> list[str]:
        due = self.watch.due(now)
        for each in due:
            self.watch.take(each)
        self.raised += due
        return [each.kind for each in due]


BEAT = Heartbeat(SOURCE, at("2026-03-02"), at("2026-03-02"), at("2026-03-02"), "rows")
DAILY = WatchRule(SOURCE, Rhythm.parse("daily"), has_manifest=False)


def test_silence_is_said_once_and_ended_once() -> None:
    log = Log(DAILY)
    log.watch.take(BEAT)
    assert log.tick(at("2026-03-03", "23:00")) == []
    assert log.tick(at("2026-03-04", "00:00")) == ["silence-began"]
    # Heard is not spoken: it was asked, and there was nothing.
    log.watch.take(replace(BEAT, heard_at=at("2026-03-04", "09:00"), said="nothing-new"))
    assert log.tick(at("2026-03-04", "09:00")) == log.tick(at("2026-03-20")) == []
    assert log.watch.status(at("2026-03-20"))[0].verdict == "silent"
    log.watch.take(replace(BEAT, heard_at=at("2026-03-20"), spoke_at=at("2026-03-20"), said="nothing-today"))
    assert log.tick(at("2026-03-20", "11:00")) == ["silence-ended"] and log.watch.open_alerts() == []
    assert log.tick(at("2026-03-24")) == ["silence-began"]
    assert len({each.alert_id for each in log.raised}) == 3


def test_a_restart_raises_nothing_twice() -> None:
    log = Log(DAILY)
    log.watch.take(BEAT)
    log.tick(at("2026-03-10"))
    again = Log(DAILY)
    again.watch.take(BEAT)
    for each in log.raised:
        again.watch.take(each)
    assert again.tick(at("2026-03-10")) == []
    # And two at once raise it under one id.
    other = Log(DAILY)
    other.watch.take(BEAT)
    other.tick(at("2026-03-11"))
    assert other.raised[0].alert_id == log.raised[0].alert_id


def test_a_source_that_hands_in_and_never_did_is_silent_too() -> None:
    log = Log(WatchRule(SOURCE, Rhythm.parse("6h"), False, hands_in=True))
    (beat,) = log.watch.unknown(at("2026-03-02", "08:00"))
    log.watch.take(beat)
    assert log.watch.unknown(at("2026-03-02", "09:00")) == []
    assert log.tick(at("2026-03-02", "14:00")) == ["silence-began"]
    assert "last heard never" in log.raised[0].reason


def test_a_difference_is_raised_after_grace_with_numbers_and_ends() -> None:
    log = Log(WatchRule(SOURCE, None, has_manifest=True))
    log.watch.take(BEAT)
    files = {"a.csv": "a" * 64}
    content = manifest(count=5, files=files, digest=files_digest(files))
    log.watch.take(manifest_taken(parse_manifest(content, SOURCE), content, "v1a,x", at("2026-03-02", "18:00")))
    assert log.tick(at("2026-03-02", "18:30")) == []
    assert log.tick(at("2026-03-02", "19:00")) == ["manifest-differs"]
    assert (log.raised[0].announced, log.raised[0].taken, log.raised[0].about) == (5, 0, "2026-03-02")
    portion = PortionRead("p", SOURCE, "a.csv", "a" * 64, "finished", 5, 5, 0, 0, 0, 0, at("2026-03-02", "19:05"))
    log.watch.take(portion)
    assert log.tick(at("2026-03-02", "19:10")) == ["manifest-agrees"]
    assert log.tick(at("2026-03-02", "19:20")) == [] and log.watch.open_alerts() == []


def test_events_are_compared_when_their_day_is_over_and_once() -> None:
    log = Log(WatchRule(SOURCE, None, True), ["x"])
    log.watch.take(BEAT)
    content = manifest(count=2, digest="0" * 64)
    log.watch.take(manifest_taken(parse_manifest(content, SOURCE), content, None, at("2026-03-02", "18:00")))
    assert log.tick(at("2026-03-02", "23:00")) == []
    assert log.tick(at("2026-03-03", "01:00")) == ["manifest-differs"]
    assert log.tick(at("2026-03-03", "02:00")) == [] and log.compared == 1
    # Corrected: another manifest of the same day takes its place.
    content = manifest(count=1, digest=lines_digest(["x"]))
    log.watch.take(manifest_taken(parse_manifest(content, SOURCE), content, None, at("2026-03-03", "09:00")))
    assert log.tick(at("2026-03-03", "10:00")) == ["manifest-agrees"]


def test_each_manifest_of_a_day_that_differs_is_raised_once() -> None:
    log = Log(WatchRule(SOURCE, None, has_manifest=True))
    log.watch.take(BEAT)

    def came(clock: str, count: int, *names: str) -> None:
        files = {f"{name}.csv": name * 64 for name in names}
        content = manifest(count=count, files=files, digest=files_digest(files))
        log.watch.take(manifest_taken(parse_manifest(content, SOURCE), content, "v1a,x", at("2026-03-02", clock)))

    came("10:00", 10, "a")
    assert log.tick(at("2026-03-02", "11:00")) == ["manifest-differs"]
    log.watch.take(
        PortionRead("p", SOURCE, "a.csv", "a" * 64, "finished", 10, 10, 0, 0, 0, 0, at("2026-03-02", "11:30"))
    )
    assert log.tick(at("2026-03-02", "12:00")) == ["manifest-agrees"]
    assert log.tick(at("2026-03-02", "12:30")) == []
    # Another of the same day announces more, and then more again: each is another difference.
    came("13:00", 20, "a", "b")
    assert log.tick(at("2026-03-02", "14:00")) == ["manifest-differs"]
    assert log.tick(at("2026-03-02", "15:00")) == log.tick(at("2026-03-03")) == []
    came("16:00", 30, "a", "b", "c")
    assert log.tick(at("2026-03-02", "17:00")) == ["manifest-differs"]
    (is_open,) = log.watch.open_alerts()
    assert (is_open.about, is_open.announced) == ("2026-03-02", 30)
    came("18:00", 10, "a")  # the first again, which agreed: now it ends what the third began
    assert log.tick(at("2026-03-02", "19:00")) == ["manifest-agrees"] and log.watch.open_alerts() == []
    assert len({each.alert_id for each in log.raised}) == len(log.raised) == 5
    # A restart knows them all.
    again = Log(WatchRule(SOURCE, None, has_manifest=True))
    again.watch.take(BEAT)
    again.watch.take(log.watch.manifests(SOURCE)[0])
    for each in log.raised:
        again.watch.take(each)
    assert "manifest-differs" not in {each.kind for each in again.watch.due(at("2026-03-02", "20:00"))}


def test_a_working_day_without_a_manifest_is_missed_and_a_day_off_is_not() -> None:
    log = Log(WatchRule(SOURCE, None, True))
    log.watch.take(replace(BEAT, watched_since=at("2026-03-06")))  # a Friday
    assert log.tick(at("2026-03-09", "23:00")) == []
    assert log.tick(at("2026-03-10", "00:00")) == ["manifest-missing"]
    assert log.raised[0].about == "2026-03-06"
    content = manifest(date="2026-03-06")
    log.watch.take(manifest_taken(parse_manifest(content, SOURCE), content, "v1a,x", at("2026-03-10", "09:00")))
    assert log.tick(at("2026-03-10", "09:30")) == ["manifest-came"]
    assert log.watch.missing_days(SOURCE, at("2026-03-10", "09:30")) == []


# -- what a source says of itself --------------------------------------------------------------


class Portion:
    identity, name, sha256 = "a.csv|1|x", "a.csv", "a" * 64


def test_heartbeats_go_on_while_nothing_comes_and_a_portion_is_on_record_first() -> None:
    memory, log, clock = Memory(), GuardLog(catalog()), [at("2026-03-02")]
    reporter = Reporter(SOURCE, log, memory, None, lambda: clock[0])
    reporter.looked()
    reporter.looked()
    assert len(memory.outputs) == 1
    clock[0] += timedelta(minutes=6)
    reporter.ended(Portion(), Counts(read=3, accepted={"recorded": 3}), "finished")  # type: ignore[arg-type]
    clock[0] += timedelta(minutes=6)
    reporter.looked()
    records = [log.read(output.topic, output.value or b"") for output in memory.outputs]
    assert [type(each).__name__ for each in records] == ["Heartbeat", "PortionRead", "Heartbeat", "Heartbeat"]
    first, portion, spoke, idle = records
    assert isinstance(first, Heartbeat) and first.spoke_at is None and first.watched_since == at("2026-03-02")
    assert isinstance(portion, PortionRead) and (portion.read, portion.sha256) == (3, "a" * 64)
    assert isinstance(spoke, Heartbeat) and spoke.spoke_at == at("2026-03-02", "10:06")
    assert isinstance(idle, Heartbeat) and (idle.spoke_at, idle.said) == (spoke.spoke_at, "nothing-new")


def test_the_documented_sample_makes_a_manifest_that_counts(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- file: manifest.py -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    (tmp_path / "manifest.py").write_text(found[1], encoding="utf-8")
    folder, key = tmp_path / "in", Ed25519PrivateKey.generate()
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"x")
    (tmp_path / "key").write_bytes(key.private_bytes_raw())
    words = [str(tmp_path / "manifest.py"), str(folder), SOURCE, "2026-03-02", "1", str(tmp_path / "key")]
    subprocess.run([sys.executable, *words], check=True)
    public = parse_public(PUBLIC_PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode())
    box = ManifestBox(SOURCE, folder, public, GuardLog(catalog()), Memory(), lambda: datetime.now(UTC))
    (taken,) = box.take()
    assert taken.manifest.files == {"a.csv": hashlib.sha256(b"x").hexdigest()}
