"""How far an increasing column has been read, and what of the last minutes was seen.

A transaction may commit after a row with a higher value was read. Therefore everything that was new
within the last ``overlap_seconds`` is looked at again, by *when it was read*, not by its value, so that
ids and times are treated alike:

- ``marks`` say up to which value had been read at which time.
- A look back at time T begins behind the mark of ``overlap`` before the look back *before* T. A row that
  was overtaken at time s and committed within the overlap is then either committed before that earlier
  look, which saw it, or overtaken after that mark, and lies behind it now. The first read of all is such a look.
- What was told of the rows within the window tells those that were seen from those that came late.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: By what a row is known, and the digest of its content. Who has no key takes the digest for it.
Told = tuple[bytes, bytes]
#: SQLite's own limit of parameters is higher; so many are looked up at a time.
_CHUNK = 500

#: What a spool tells, in the order of the key, or every row touches another page. Who has no key takes the digest.
_TOLD_ROWS = """
INSERT OR REPLACE INTO told SELECT coalesce(key, digest), digest, :at FROM spool.row
ORDER BY coalesce(key, digest), rowid
"""
#: CROSS JOIN in SQLite: in this order, or each value is read again for each of its digests.
_TOLD_DIGESTS = """
WITH RECURSIVE place(nth) AS (
  SELECT 0 UNION ALL SELECT nth + 1 FROM place WHERE nth + 1 < (SELECT max(length(batch)) / 16 FROM spool.digests)
), found(digest) AS (
  SELECT substr(batch, 16 * nth + 1, 16) FROM spool.digests CROSS JOIN place ON 16 * nth < length(batch)
)
INSERT OR REPLACE INTO told SELECT digest, digest, :at FROM found ORDER BY digest
"""


class CursorState:
    """A small database in the source's folder. Lost, everything is read anew, and known again by the hub.

    ``high`` is the highest value read and finished, ``low`` where a look back begins (both as JSON has
    them, ``None`` for nothing). ``overlap`` is in seconds; with none there are no looks back, and what was told
    is kept only if ``keeps``: for sources that are given rows again anyway.
    """

    def __init__(self, path: Path, overlap: float, *, keeps: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._overlap = overlap
        self._keeps = keeps or overlap > 0
        self._database = sqlite3.connect(path.resolve().as_uri(), uri=True, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS told (key BLOB PRIMARY KEY, digest BLOB NOT NULL, at REAL NOT NULL)"
            " WITHOUT ROWID"
        )
        stored = dict(self._database.execute("SELECT name, value FROM state").fetchall())
        self.high: Any = json.loads(stored.get("high", "null"))
        #: (seconds since 1970 when the read began, highest value after it), oldest first.
        self.marks: list[tuple[float, Any]] = [tuple(mark) for mark in json.loads(stored.get("marks", "[]"))]
        self.looked_back_at: float = json.loads(stored.get("looked_back_at", "0"))

    @property
    def low(self) -> Any:
        """Where the next look back begins."""
        mark = self._mark_before(self.looked_back_at - self._overlap)
        return mark[1] if mark else None

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look back, and there is something that it could find."""
        if not self._overlap or self.high is None or self.low == self.high:
            return False
        # A clock that was set back must not postpone it.
        return not 0 <= now - self.looked_back_at < self._overlap / 3

    def is_told(self, rows: Sequence[Told]) -> list[bool]:
        """Whether each of the rows is, within the window, just as it was told last."""
        known: dict[bytes, bytes] = {}
        for start in range(0, len(rows), _CHUNK):
            part = [key for key, _ in rows[start : start + _CHUNK]]
            marks = ",".join("?" * len(part))
            known.update(self._database.execute(f"SELECT key, digest FROM told WHERE key IN ({marks})", part))
        return [known.get(key) == digest for key, digest in rows]

    def advance(self, at: float, high: Any, *, has_looked_back: bool, told: Path | None = None) -> None:
        """A read that began at ``at`` is finished: all at once, and the same when it is said twice. ``told`` is the
        spool of what was told."""
        marks = [mark for mark in self.marks if mark[0] < at]
        if high != self.high:
            marks.append((at, high))
        looked_back_at = at if has_looked_back or self.high is None else self.looked_back_at
        # Without looks back only the last mark is of use, or they would grow for ever.
        horizon = looked_back_at - self._overlap if self._overlap else at
        begin = next((number for number in reversed(range(len(marks))) if marks[number][0] <= horizon), 0)
        marks = marks[begin:]
        with self._rows_of(told if self._keeps else None) as is_there, self._database:
            self._database.execute("BEGIN")
            if self._keeps:
                if is_there:
                    self._database.execute(_TOLD_ROWS, {"at": at})
                    if self._has_digests():  # a spool of an earlier version has none
                        self._database.execute(_TOLD_DIGESTS, {"at": at})
                if marks and marks[0][0] <= horizon:
                    self._database.execute("DELETE FROM told WHERE at < ?", (marks[0][0],))
            self._database.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?)",
                [
                    (name, json.dumps(value))
                    for name, value in (("high", high), ("marks", marks), ("looked_back_at", looked_back_at))
                ],
            )
        self.high, self.marks, self.looked_back_at = high, marks, looked_back_at

    @contextmanager
    def _rows_of(self, spool: Path | None) -> Iterator[bool]:
        """The rows of a spool as tables of ``spool``, where there is one."""
        if spool is None:
            yield False
            return
        self._database.execute("ATTACH ? AS spool", (f"{spool.resolve().as_uri()}?mode=ro",))
        try:
            yield True
        finally:
            self._database.execute("DETACH spool")

    def _has_digests(self) -> bool:
        found = self._database.execute("SELECT 1 FROM spool.sqlite_master WHERE name = 'digests'").fetchone()
        return found is not None

    def close(self) -> None:
        """May be called twice."""
        self._database.close()

    def _mark_before(self, moment: float) -> tuple[float, Any] | None:
        return next((mark for mark in reversed(self.marks) if mark[0] <= moment), None)
