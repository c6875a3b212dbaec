"""The spool: a portion's rows in a file of SQLite, read from the database once and for good.

What was read stays what it is: identity and order are those of the file, and after a kill it goes on in
the file, whatever has become of the table and of the connection. See docs/decisions.md.

=============  =======================================================================================
``meta``       what the portion is (``digest``, ``rows``, ``columns``, ...), as JSON by name
``batch``      rows of about 1,000, as JSON; ``ends`` is how many rows there are up to its end
``row``        where they are compared by keys: digests of key and content of each row, and where it stands
``digests``    where rows without keys are compared: 16 bytes for the content of each, a batch in one value
=============  =======================================================================================

A file under ``.new`` was never finished and counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hub.errors import InputError
from hub.intake.spool.values import Values, dump, join

BATCH_ROWS = 1000
_blake2b = hashlib.blake2b
#: Size, time of change and inode of a finished spool.
Mark = tuple[int, int, int]


class SpooledBatch(NamedTuple):
    """``first`` is the number of its first row in the spool, from 0."""

    first: int
    rows: list[Values]
    is_removed: bool


class SpoolWriter:
    """Writes a spool; nothing of it exists before ``finish``. Memory does not grow with the rows."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._temporary = path.with_name(path.name + ".new")
        self._temporary.unlink(missing_ok=True)
        os.close(os.open(self._temporary, os.O_WRONLY | os.O_CREAT, 0o600))
        self.database = sqlite3.connect(self._temporary.resolve().as_uri(), uri=True, isolation_level=None)
        # The file is made safe as a whole in the end.
        for statement in (
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "PRAGMA page_size = 16384",
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
            "CREATE TABLE batch (number INTEGER PRIMARY KEY, ends INTEGER NOT NULL, is_removed INTEGER NOT NULL,"
            " data BLOB NOT NULL)",
            "CREATE TABLE digests (batch BLOB NOT NULL)",
            "CREATE TABLE row (key BLOB, digest BLOB NOT NULL, at INTEGER NOT NULL)",
        ):
            self.database.execute(statement)
        self.database.execute("BEGIN")
        self._digest = hashlib.blake2b(digest_size=16)
        self.rows = 0

    def add(
        self, rows: Sequence[bytes], *, keys: Sequence[bytes | None] = (), keeps_digests: bool = False,
        is_removed: bool = False,
    ) -> None:
        """Adds a batch of rows, in the form of ``values.dump``. With ``keys`` (16 bytes, ``None`` where a row
        has none), or where it ``keeps_digests``, their digests are kept beside them, so that they can be compared with
        other rows."""
        if not rows:
            return
        data = join(rows)
        if keys:
            self.database.executemany(
                "INSERT INTO row VALUES (?, ?, ?)",
                [(key, digest(row), self.rows + n) for n, (key, row) in enumerate(zip(keys, rows, strict=True))],
            )
        self.rows += len(rows)
        self._digest.update(b"%d:%d:%d:" % (len(rows), is_removed, len(data)) + data)
        self.database.execute(
            "INSERT INTO batch (ends, is_removed, data) VALUES (?, ?, ?)", (self.rows, is_removed, data)
        )
        if keeps_digests:
            self.database.execute("INSERT INTO digests VALUES (?)", (b"".join(map(digest, rows)),))

    @property
    def digest(self) -> str:
        """Digest of everything added so far, in its order."""
        return self._digest.hexdigest()

    def finish(self, **meta: Any) -> None:
        """Makes the file safe and gives it its name."""
        told = {**meta, "rows": self.rows, "digest": self.digest}
        self.database.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(name, json.dumps(value)) for name, value in told.items()]
        )
        self.database.execute("COMMIT")
        self.database.close()
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        replace(self._temporary, self.path)

    def drop(self) -> None:
        """Gives the file up; does nothing after ``finish``."""
        self.database.close()
        self._temporary.unlink(missing_ok=True)


class Spool:
    """A finished spool, the one of that ``mark`` where it was opened before. Used by one thread.

    :raises InputError: when the file is damaged, or another one than when it was opened.
    """

    def __init__(self, path: Path, load: Callable[[bytes | str], Any], mark: Mark | None = None) -> None:
        self.path = path
        self._load = load
        self._database: sqlite3.Connection | None = None
        self._near: tuple[int, list[list[Any]]] | None = None
        try:
            self.mark = _mark(path) if mark is None else mark
            rows = self._open().execute("SELECT name, value FROM meta").fetchall()
            self.meta: dict[str, Any] = {name: json.loads(value) for name, value in rows}
            self.digest = str(self.meta["digest"])
            self.rows = int(self.meta["rows"])
        except (sqlite3.Error, KeyError, ValueError, OSError) as error:
            self.close()
            raise InputError(f"{path.name}: the spool is damaged ({error})") from error

    def batches(self, behind: int) -> Iterator[SpooledBatch]:
        """Batches with rows behind the first ``behind``; the first may begin before."""
        try:
            # Read one by one, so that nothing is open between two.
            number = 0
            while True:
                self.expect_unchanged()
                found = (
                    self._open()
                    .execute(
                        "SELECT number, ends, is_removed, data FROM batch WHERE ends > ? AND number > ?"
                        " ORDER BY number LIMIT 1",
                        (behind, number),
                    )
                    .fetchone()
                )
                if found is None:
                    return
                number, ends, is_removed, data = found
                rows = self._load(data)
                yield SpooledBatch(ends - len(rows), rows, bool(is_removed))
        except (sqlite3.Error, ValueError) as error:
            raise InputError(f"{self.path.name}: the spool is damaged ({error})") from error

    def lines(self) -> Iterator[bytes]:
        """All rows in the form in which they were added."""
        database = self._open()
        for number in range(1, database.execute("SELECT count(*) FROM batch").fetchone()[0] + 1):
            (data,) = database.execute("SELECT data FROM batch WHERE number = ?", (number,)).fetchone()
            yield from map(dump, json.loads(data))

    def line_at(self, at: int) -> list[Any]:
        """The row of that number, in JSON's words."""
        if self._near is None or not self._near[0] <= at < self._near[0] + len(self._near[1]):
            found = self._open().execute("SELECT ends, data FROM batch WHERE ends > ? ORDER BY number LIMIT 1", (at,))
            ends, data = found.fetchone()
            rows = json.loads(data)
            self._near = (ends - len(rows), rows)
        return list(self._near[1][at - self._near[0]])

    def expect_unchanged(self) -> None:
        """Raises ``InputError`` if the file is another than when it was opened."""
        try:
            now = _mark(self.path)
        except OSError:
            now = None
        if now != self.mark:
            raise InputError(f"{self.path.name}: the spool changed while it was read")

    def close(self) -> None:
        """May be called twice."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        return self._database


def digest(row: bytes) -> bytes:
    """16 bytes that stand for a row's content, in the form of ``values.dump``."""
    return _blake2b(row, digest_size=16).digest()


def replace(source: Path, target: Path) -> None:
    """Gives a file another name, also after a loss of power."""
    os.replace(source, target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: object) -> None:
    """Whole or not at all, for our own eyes; the folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    replace(temporary, path)


def _mark(path: Path) -> Mark:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
