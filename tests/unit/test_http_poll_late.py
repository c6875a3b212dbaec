"""Records that appear behind the cursor are found within the window, whatever happens in between."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from connectors.http_poll.client import Answer, GoneError
from connectors.http_poll.reading import Reading
from hub.intake.spool import Spool, loader
from tests.support_http_poll import at, open_http, record


class Late:
    """An interface in which records get their place when they are begun, and are seen when they are committed."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.began: list[float] = []
        self.seen_at: list[float] = []
        self.page_size = 3
        self.gone: set[str] = set()

    def get(self, cursor: str | None) -> Answer:
        if cursor in self.gone:
            raise GoneError("410")
        behind = int(cursor or 0)
        there = [n for n in range(behind, len(self.began)) if self.seen_at[n] <= self.now]
        page = [{**record(n), "sequence": n + 1} for n in there[: self.page_size]]
        last = page[-1]["sequence"] if page else behind
        paging = {"sync": last, "has_more": len(there) > self.page_size}
        return Answer(json.dumps({"data": {"items": page}, "paging": paging}).encode(), None)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("seed", range(4))
def test_what_appears_late_behind_the_cursor_is_told(seed: int, tmp_path: Path) -> None:
    """At random: begun in order, committed up to the overlap later, read at any time, killed before the end."""
    chance, api = random.Random(seed), Late()
    entry = at("http://127.0.0.1", overlap_seconds=60, page_size=3)
    source = open_http(entry, tmp_path)
    found: set[str] = set()

    def read() -> None:
        reading = Reading(source._settings, source.mapping, tmp_path / "state", now=lambda: api.now)
        reading.api = api  # type: ignore[assignment]
        path = tmp_path / "state" / "portion.spool"
        if not path.exists() and not reading.take(path):
            reading.close()
            return
        if chance.random() < 0.7:  # else killed here
            spool = Spool(path, loader("utf-8", "Asia/Shanghai"))
            found.update(row[3] for batch in spool.batches(0) for row in batch.rows)
            reading.settle(spool)
            spool.close()
            path.unlink()
        reading.close()

    for _ in range(40):
        api.now += chance.expovariate(1 / 15)
        for _ in range(chance.randrange(3)):
            api.began.append(api.now)
            api.seen_at.append(api.now + (chance.random() * 55 if chance.random() < 0.4 else 0))
        read()
    for _ in range(12):
        api.now += 30
        read()
    assert found == {f"JC{n:06d}" for n in range(len(api.began))}


def test_a_window_that_is_gone_is_let_be(tmp_path: Path) -> None:
    api = Late()
    source = open_http(at("http://127.0.0.1", overlap_seconds=60), tmp_path)
    reading = Reading(source._settings, source.mapping, tmp_path, now=lambda: api.now)
    reading.api = api  # type: ignore[assignment]
    path = tmp_path / "portion.spool"

    def read(count: int) -> int:
        """Adds so many records, and reads; the number of rows that came."""
        for _ in range(count):
            api.began.append(api.now)
            api.seen_at.append(api.now)
        if not reading.take(path):
            return 0
        spool = Spool(path, loader("utf-8", "Asia/Shanghai"))
        rows = spool.rows
        reading.settle(spool)
        spool.close()
        path.unlink()
        return rows

    for _ in range(6):
        assert read(2) == 2
        api.now += 30
    state = reading._state()
    assert state.low not in (None, state.high)
    api.gone = {state.low}
    assert read(1) == 1
    assert state.looked_back_at == api.now, "it is not asked for again at once"
    reading.close()
