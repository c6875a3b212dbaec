"""What commits late is seen, whatever the order of ids, commits and readings: tried at random."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from connectors.sql.ahead import ReadAhead, Taken
from connectors.sql.database import DatabaseError
from connectors.sql.increasing import Increasing
from connectors.sql.source import SqlSource
from hub.intake.spool import CursorState, Spool, SpoolWriter, digest
from tests.support_sql import INSPECTION_COLUMNS, execute, insert, inspection_row, open_sql

OVERLAP = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Reading:
    """The mode alone, on time of its own."""

    def __init__(self, url: str, folder: Path, clock: Clock, **more: object) -> None:
        self.source: SqlSource = open_sql(url, folder, overlap_seconds=OVERLAP, **more)
        self._path = folder / "portion.spool"
        self._args = (self.source._table, folder, clock)
        self.ahead: ReadAhead | None = None
        self._mode = Increasing(*self._args)

    def restart(self) -> None:
        self._mode.close()
        self._mode = Increasing(*self._args)

    def read(self, *, is_killed: bool = False, goes_ahead: bool = False) -> list[int]:
        """Ids that are told now."""
        if not self._mode.take(self._path):
            return []
        spool = Spool(self._path, self.source._load)
        if goes_ahead:
            self._mode.telling(spool)
        at = spool.meta["columns"].index("behaviour_number")
        told = [int(row[at].removeprefix("JC")) for batch in spool.batches(0) for row in batch.rows]
        if not is_killed:
            self._mode.finish(spool)
            self._mode.finish(spool)
        spool.close()
        self._path.unlink()
        self.ahead = self._mode._ahead
        return [] if is_killed else told


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/register.db"
    execute(made, f"CREATE TABLE inspection ({INSPECTION_COLUMNS})")
    return made


@pytest.mark.parametrize("goes_ahead", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_every_transaction_within_the_overlap_is_told(
    url: str, tmp_path: Path, seed: int, goes_ahead: bool
) -> None:
    chance, clock = random.Random(seed), Clock()
    reading = Reading(url, tmp_path / "source", clock, portion_rows=2 if goes_ahead else 7)
    waiting: list[tuple[float, int]] = []
    told: set[int] = set()
    repeats = aheads = 0
    for number in range(1, 161):
        # An id is taken now, and committed within the overlap.
        waiting.append((clock.now + chance.choice([0, 0, 0, chance.uniform(0, OVERLAP * 0.95)]), number))
        due = [id_ for at, id_ in waiting if at <= clock.now]
        waiting = [entry for entry in waiting if entry[0] > clock.now]
        if due:
            insert(url, "inspection", [inspection_row(id_) for id_ in due])
        if chance.random() < 0.5:
            found = reading.read(is_killed=chance.random() < 0.2, goes_ahead=goes_ahead)
            aheads += reading.ahead is not None
            repeats += len(told & set(found))
            told |= set(found)
        if chance.random() < 0.1:
            reading.restart()
        # Now and then it is away for long.
        clock.now += chance.choice([1, 5, 20, 20, 300 if chance.random() < 0.1 else 2])
    insert(url, "inspection", [inspection_row(id_) for _, id_ in waiting] or [inspection_row(999)])
    for _ in range(60):
        clock.now += OVERLAP / 5
        found = reading.read(goes_ahead=goes_ahead)
        repeats += len(told & set(found))
        told |= set(found)
    assert (aheads > 3) == goes_ahead
    assert set(range(1, 161)) <= told
    assert repeats <= 16, "what was seen within the window is not told again and again"
    clock.now += OVERLAP
    assert reading.read() == []


def test_what_is_read_ahead_is_told_next_unless_a_look_back_is_due(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(n) for n in range(1, 56)])
    clock = Clock()
    reading = Reading(url, tmp_path / "source", clock, portion_rows=10)
    assert reading.read(goes_ahead=True) == list(range(1, 11))
    assert reading.ahead is not None and reading.ahead.wait() == (True, True)
    clock.now += OVERLAP / 3
    # Now a look back is due: not yet for what was read already, but for the third, and it is over when that is told.
    for first in (11, 21):
        assert reading.read(goes_ahead=True) == list(range(first, first + 10)) and reading.ahead is None
    assert reading.read(goes_ahead=True) == list(range(31, 41))
    assert reading.ahead is not None and reading.ahead.wait() == (True, True)
    insert(url, "inspection", [inspection_row(56)])
    assert reading.read(goes_ahead=True) == list(range(41, 51))
    assert reading.ahead is not None and reading.ahead.wait() == (True, False)
    assert reading.read(goes_ahead=True) == list(range(51, 57)) and reading.ahead is None
    assert reading.read() == [] and not (tmp_path / "source" / "ahead.spool").exists()


def test_what_is_read_ahead_of_a_portion_that_was_killed_is_read_anew(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(n) for n in range(1, 26)])
    reading = Reading(url, tmp_path / "source", Clock(), portion_rows=10)
    assert reading.read(is_killed=True, goes_ahead=True) == []
    assert reading.ahead is not None and reading.ahead.wait() == (True, True)
    assert reading.read() == list(range(1, 11)), "the cursor stands where it stood"
    left = tmp_path / "source" / "ahead.spool"
    left.write_bytes(b"of a process that was killed")
    reading.restart()
    assert reading.read() == list(range(11, 21)) and not left.exists()


def test_a_fault_while_reading_ahead_costs_nothing(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(n) for n in range(1, 26)])
    reading = Reading(url, tmp_path / "source", Clock(), portion_rows=10)
    mode, path = reading._mode, tmp_path / "source" / "portion.spool"
    assert mode.take(path)
    spool = Spool(path, reading.source._load)
    execute(url, "ALTER TABLE inspection RENAME TO gone")
    mode.telling(spool)
    assert mode._ahead is not None and mode._ahead.wait() is None
    mode.finish(spool)
    spool.close()
    with pytest.raises(DatabaseError):
        mode.take(path)
    execute(url, "ALTER TABLE gone RENAME TO inspection")
    assert reading.read() == list(range(11, 21))


def test_a_source_that_ends_does_not_wait_for_what_is_read_ahead() -> None:
    seen = list[bool]()

    def read(is_over: Callable[[], bool]) -> Taken:
        while not is_over():
            time.sleep(0.001)
        seen.append(is_over())
        return Taken(False, False)

    ahead = ReadAhead(1, read)
    ahead.close()
    ahead.close()
    assert seen == [True] and ahead.wait() == (False, False)


def test_equal_values_are_not_torn_apart(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(n, remark="1" if n < 5 else "2") for n in range(1, 12)])
    reading = Reading(url, tmp_path / "source", Clock(), portion_rows=6, cursor="remark")
    assert len(reading.read()) == 11, "4 of the first value, and all 7 of the second"
    insert(url, "inspection", [inspection_row(20, remark="3")])
    assert reading.read() == [20]


def test_a_row_that_changes_within_the_window_is_told(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(n) for n in (1, 2)])
    clock = Clock()
    reading = Reading(url, tmp_path / "source", clock)
    assert reading.read() == [1, 2]
    execute(url, "UPDATE inspection SET remark = '改' WHERE id = 1")
    clock.now += OVERLAP / 2
    assert reading.read() == [1]
    clock.now += OVERLAP / 2
    assert reading.read() == []


def test_rows_without_a_cursor_are_said(url: str, tmp_path: Path) -> None:
    insert(url, "inspection", [inspection_row(1)])
    source = open_sql(url, tmp_path / "data", cursor="result_on")
    assert source.check() == []
    execute(url, "UPDATE inspection SET result_on = NULL")
    (problem,) = source.check()
    assert "result_on" in problem


@pytest.mark.parametrize("is_of_before", [False, True])
def test_what_a_spool_tells_is_known_by_its_digests(tmp_path: Path, is_of_before: bool) -> None:
    lines = [b"[%d]" % number for number in range(2300)]
    writer = SpoolWriter(tmp_path / "portion.spool")
    for start, end in ((0, 1000), (1000, 2000), (2000, 2299)):
        writer.add(lines[start:end], keeps_digests=True)
    writer.finish(name="a", began=1.0, columns=["id"])
    if is_of_before:  # they had a row for each
        with closing(sqlite3.connect(writer.path)) as database, database:
            rows = [(digest(line), number) for number, line in enumerate(lines[:2299])]
            database.executemany("INSERT INTO row VALUES (NULL, ?, ?)", rows)
            database.execute("DROP TABLE digests")
    state = CursorState(tmp_path / "cursor.db", OVERLAP)
    for _ in range(2):  # a kill may come between it and the end of the spool
        state.advance(1.0, 2299, has_looked_back=False, told=writer.path)
    marks = [digest(line) for line in lines]
    assert state.is_told(list(zip(marks, marks, strict=True))) == [True] * 2299 + [False]
    state.close()
