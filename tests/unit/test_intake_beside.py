"""A process that reads beside intake: it gives what the portion itself gives, and its end is noticed on both sides."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.domain.facts import FactRule
from hub.errors import InputError
from hub.intake import Portion, Refusal
from hub.intake.beside.columns import PreparedElsewhere
from hub.intake.beside.readers import Beside, ReaderLostError, Readers, Reading
from hub.intake.build import build_source
from hub.intake.facts.early import FactMaker
from hub.intake.prepared import Prepared, PreparedHere
from hub.intake.versions import EventWriter, Identified
from tests.support_intake import INSPECTION, ROOT, catalog, config, csv_bytes, inspection

SECRET = b"only-for-tests"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
RULE = FactRule(("inspecting_body", "behaviour_number"), ("check_date",), ())
FACTS = {"inspection.results.v1": RULE}


class Place:
    """A folder with one file of so many rows, of which the third and the 1,500th are faulty."""

    def __init__(self, base: Path, rows: int = 2500, **more: Any) -> None:
        self.base, self.folder = base, base / "in"
        self.folder.mkdir()
        self.path = self.folder / "1.csv"
        made = [inspection(number) for number in range(rows)]
        for faulty in (2, 1499):
            if faulty < rows:
                made[faulty]["检查日期"] = "昨天"
        self.path.write_bytes(csv_bytes(INSPECTION, made, encoding="gb18030"))
        self.config = config(self.folder, name="beside", **more)
        self.source = build_source(self.config, catalog(), base / "data")
        self.begun: list[Beside] = []
        self.writer = EventWriter("beside", self.source.target, catalog().schema, SECRET)
        self.maker = FactMaker("beside", FACTS, self.writer)

    def portion(self) -> Portion:
        return next(iter(self.source.portions()))

    def begin(self, portion: Portion, behind: int = 0, readers: Readers | None = None) -> Reading | None:
        beside = Beside(
            readers or Readers(ROOT, most=1, least_rows=0), self.config, self.base / "data", SECRET, FACTS
        )
        self.begun.append(beside)
        return beside.begin(portion, behind)

    def read(self, portion: Portion, behind: int = 0) -> list[Prepared]:
        reading = self.begin(portion, behind)
        assert reading is not None
        with closing(reading):
            return self.prepared(reading)

    def prepared(self, reading: Reading) -> list[Prepared]:
        return [PreparedElsewhere(self.writer, self.maker, columns) for columns in reading]

    def rest(self) -> None:
        for beside in self.begun:
            beside.rest()
            beside.rest()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.rest()


def said(batches: Sequence[Prepared]) -> list[Any]:
    """All that batches say."""
    found: list[Any] = []
    for batch in batches:
        usual = batch.usual({}, None, NOW)
        items = [batch.item(number) for number in range(len(batch))]
        facts = sorted(batch.early.facts) if batch.early is not None else None
        found.append((batch.reached, sorted(batch.keys), facts, items, usual))
    return found


@pytest.mark.parametrize("behind", [0, 1, 1000, 1700, 2500])
def test_it_gives_what_the_portion_gives(place: Place, behind: int) -> None:
    portion = place.portion()
    here = [PreparedHere(place.writer, place.maker, batch) for batch in portion.batches(behind)]
    elsewhere = place.read(portion, behind)
    assert said(elsewhere) == said(here)
    items = [batch.item(number) for batch in elsewhere for number in range(len(batch))]
    faults = [item for item in items if not isinstance(item, Identified)]
    assert len(faults) == sum(behind < row for row in (3, 1500))
    portion.close()


def test_what_the_portion_raises_comes_as_it_is(place: Place) -> None:
    portion = place.portion()
    reading = place.begin(portion)
    with place.path.open("a", encoding="gb18030") as file:
        file.write("more\r\n")
    assert reading is not None
    with closing(reading), pytest.raises(InputError, match="changed while it was read"):
        list(reading)
    place.path.write_bytes(b"\0\0")
    with pytest.raises(Refusal) as raised:  # before there is any process
        place.begin(place.portion())
    assert raised.value.code == "not-a-table"


def test_a_refusal_keeps_its_words_in_pickle() -> None:
    refusal = Refusal("encoding", "无法识别文字编码。", "The encoding cannot be told.")
    copy = pickle.loads(pickle.dumps(refusal))
    assert (type(copy), str(copy), copy.code, copy.chinese) == (Refusal, str(refusal), "encoding", refusal.chinese)


def test_it_is_killed_and_what_it_gave_is_good(tmp_path: Path) -> None:
    place = Place(tmp_path, 9000)
    portion = place.portion()
    reading = place.begin(portion)
    assert reading is not None
    with closing(reading):
        batches = iter(reading)
        first = next(batches)
        os.kill(reading.process.pid, signal.SIGKILL)
        with pytest.raises(ReaderLostError, match="exit code -9"):
            list(batches)
    assert first.reached.rows_read == 1000 and first.size == 1000


def test_one_process_reads_portion_after_portion_until_there_is_rest(place: Place) -> None:
    portion = place.portion()
    readers = Readers(ROOT, most=1, least_rows=0)
    reading = place.begin(portion, readers=readers)
    (beside,) = place.begun
    assert reading is not None
    with closing(reading):
        first = said(place.prepared(reading))
    again = beside.begin(portion, 0)
    assert again is not None and again.process is reading.process
    with closing(again):
        assert said(place.prepared(again)) == first
    beside.rest()
    assert again.process.pid and not is_running(again.process.pid)


def test_a_process_that_is_left_in_the_middle_ends_and_gives_its_place_back(tmp_path: Path) -> None:
    place = Place(tmp_path, 9000)
    readers = Readers(ROOT, most=1, least_rows=0)
    portion = place.portion()
    reading = place.begin(portion, readers=readers)
    assert reading is not None and place.begin(portion, readers=readers) is None
    next(iter(reading))
    reading.close()
    assert not is_running(reading.process.pid)
    again = place.begin(portion, readers=readers)
    assert again is not None and place.begin(portion, readers=readers) is None
    again.close()
    place.rest()


def test_small_portions_are_read_here(place: Place) -> None:
    portion = place.portion()
    assert place.begin(portion, readers=Readers(ROOT, most=1)) is None
    assert place.begin(portion, readers=Readers(ROOT, most=0, least_rows=0)) is None
    assert place.begin(portion, 10**6, readers=Readers(ROOT, most=1, least_rows=0)) is None


_PARENT = """
import sys, time
from pathlib import Path
from hub.intake.beside.columns import PreparedElsewhere
from hub.intake.beside.readers import Beside, Readers
from hub.intake.build import build_source
from tests.support_intake import ROOT, catalog, config
folder, data = map(Path, sys.argv[1:])
given = config(folder, name="beside")
portion = next(iter(build_source(given, catalog(), data).portions()))
reading = Beside(Readers(ROOT, most=1, least_rows=0), given, data, b"only-for-tests", {}).begin(portion, 0)
batches = iter(reading)
next(batches)
print(reading.process.pid, flush=True)
time.sleep(60)
"""


def test_it_ends_with_the_intake(tmp_path: Path) -> None:
    place = Place(tmp_path, 20_000)
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(place.folder), str(tmp_path / "data")], cwd=ROOT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    """One that has ended may wait for whoever takes its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
