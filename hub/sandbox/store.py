"""The SQLite files of the stand-ins: what was acknowledged is still there after a kill -9."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """The database at ``path``, made with ``schema`` if it is new. Whoever opens it closes it.

    In WAL mode with ``synchronous=NORMAL`` a commit outlives the process, though not a loss of
    power, and costs no fsync: a stand-in has to keep up with the hub, not with a register.
    One event loop uses the connection, so that no two transactions overlap.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The loop that serves may run in another thread than the one that built the application.
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(schema)
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def like_pattern(text: str) -> str:
    """``text`` anywhere, for ``LIKE ? ESCAPE '!'``; its own wildcards stand for themselves."""
    for sign in "!%_":
        text = text.replace(sign, f"!{sign}")
    return f"%{text}%"
