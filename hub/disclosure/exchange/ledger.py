"""The ledger of a channel: which order is in which batch, what was answered, and how each record stands there.

An SQLite file in the channel's folder. What is in it is on disk before anything is sent, so that after a kill the same
order goes in the same batch, with the same number and the same bytes. Were it lost, orders without a receipt would go
out once more under new numbers, and the channel would know them by their row.

    order ──▶ unchanged                                   nothing to do, by how the record stands
      └────▶ open (in a batch) ──▶ answered ──▶ settled   its receipt is on the hub's log
                  └──▶ gone        the batch was refused as a whole, or given up: it is sorted anew
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hub.disclosure.exchange.batches import Batch, Draft, next_number
from hub.disclosure.exchange.standing import Change, Standing, change_of, digest_of
from hub.disclosure.sink import MAX_REASON, MAX_REFERENCE, REFUSED, STATUSES, Order, Receipt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    correlation_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, is_public INTEGER NOT NULL, digest TEXT NOT NULL,
    order_id TEXT NOT NULL, reference TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    name TEXT PRIMARY KEY, number TEXT NOT NULL, content BLOB, sent_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (
    order_id TEXT PRIMARY KEY, batch TEXT NOT NULL, place INTEGER NOT NULL, correlation_id TEXT NOT NULL,
    sequence INTEGER NOT NULL, change TEXT NOT NULL, digest TEXT NOT NULL,
    status TEXT, reason TEXT, reference TEXT, received_at TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sent_by_batch ON sent (batch, place);
CREATE INDEX IF NOT EXISTS sent_by_record ON sent (correlation_id);
CREATE INDEX IF NOT EXISTS sent_answered ON sent (status) WHERE status IS NOT NULL;
CREATE TABLE IF NOT EXISTS doubt (correlation_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), number TEXT NOT NULL);
"""
#: Names of one IN (...); SQLite takes many more.
_CHUNK = 500
#: What is wrong with an answer to a row that waits for none.
NOT_OPEN = "not open in this batch: it was answered before, and the first answer counts, or it was never sent"


@dataclass(slots=True)
class Sorted:
    """Orders by what is to be done with them: receipts that are known, batches that hold them, rows still to go."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[Order, Change]] = field(default_factory=list)


class Ledger:
    """Safe in several threads of one process; each call is one transaction. Opened with the first call."""

    def __init__(self, folder: Path, *, first_number: int = 1) -> None:
        self._path, self._first_number = folder / "ledger.sqlite", first_number
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._database = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._database is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # It holds rows as they are sent; what the government may see is for nobody else of this machine.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
                self._database = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
                self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    # -- out ------------------------------------------------------------------------------------

    def sort(self, orders: Sequence[Order]) -> Sorted:
        """What is to be done with each of the orders; of one that changes nothing that is noted."""
        found = Sorted()
        with self._transaction() as database:
            for order in orders:
                sent = database.execute(
                    "SELECT batch, status, reason, reference, received_at FROM sent WHERE order_id = ?",
                    (order.order_id,),
                ).fetchone()
                if sent is not None and sent[1] is not None:
                    found.receipts[order.order_id] = _receipt(*sent[1:])
                elif sent is not None:
                    found.open[order.order_id] = sent[0]
                else:
                    self._sort_new(database, order, found)
        return found

    def _sort_new(self, database: sqlite3.Connection, order: Order, found: Sorted) -> None:
        known = _standing(database, order.correlation_id)
        change = change_of(order, known)
        if change is not None:
            found.rows.append((order, change))
            return
        assert known is not None  # an unknown record is always changed
        if order.action == "withdraw" and order.sequence > known.sequence:
            # It was gone already; nothing older than this may bring it back.
            database.execute(
                "UPDATE record SET sequence = ? WHERE correlation_id = ?", (order.sequence, order.correlation_id)
            )
        found.receipts[order.order_id] = Receipt("unchanged", known.reference if known.is_public else None)

    def enter(
        self, rows: Sequence[tuple[Order, Change]], now: datetime, write: Callable[[Draft], tuple[str, bytes]],
        reference: Callable[[Order], str | None] = lambda order: None,
    ) -> Batch:
        """A new batch of these rows; ``write`` gives its name and its bytes, and is called within the transaction.

        ``reference`` is under what the public finds a record, where the channel's answer does not say it.
        """
        with self._transaction() as database:
            last = database.execute("SELECT number FROM counter").fetchone()
            number = next_number(last[0] if last else None, now, self._first_number)
            order_ids = tuple(order.order_id for order, _ in rows)
            digest = hashlib.sha256("\n".join(order_ids).encode()).hexdigest()[:8]
            name, content = write(Draft(number, digest, now, rows))
            database.execute("INSERT OR REPLACE INTO counter VALUES (1, ?)", (number,))
            database.execute("INSERT INTO batch VALUES (?, ?, ?, NULL)", (name, number, content))
            database.executemany(
                "INSERT INTO sent (order_id, batch, place, correlation_id, sequence, change, digest, reference) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (order.order_id, name, place, order.correlation_id, order.sequence, change, digest_of(order),
                     reference(order))
                    for place, (order, change) in enumerate(rows)
                ],
            )
        return Batch(name, number, content, order_ids)

    def find(self, name: str) -> Batch | None:
        """The batch of that name, unless all of it is answered."""
        with self._transaction() as database:
            return _batch(database, name)

    def unsent(self, before: datetime | None = None) -> list[Batch]:
        """Batches that were not sent yet, in their order; with ``before``, also those unanswered since then."""
        with self._transaction() as database:
            names = database.execute(
                "SELECT name FROM batch WHERE content IS NOT NULL AND (sent_at IS NULL OR sent_at < ?) ORDER BY number",
                (before.timestamp() if before is not None else 0.0,),
            ).fetchall()
            return [batch for (name,) in names if (batch := _batch(database, name)) is not None]

    def note_sent(self, name: str, now: datetime) -> None:
        with self._transaction() as database:
            database.execute("UPDATE batch SET sent_at = ? WHERE name = ?", (now.timestamp(), name))

    def cancel(self, name: str, *, is_sure: bool = True) -> None:
        """The channel did nothing of the batch: its orders are sorted anew. The number is not used again.

        Unless ``is_sure`` it may have done all of it. Who still wants that sends the same order again, by which the
        channel has to know it; and what the batch would have shown is withdrawn as if it were public.
        """
        with self._transaction() as database:
            if not is_sure:
                database.execute(
                    "INSERT OR IGNORE INTO doubt SELECT correlation_id FROM sent "
                    "WHERE batch = ? AND status IS NULL AND change != ?", (name, Change.DELETE),
                )
            database.execute("DELETE FROM sent WHERE batch = ? AND status IS NULL", (name,))
            _forget_if_done(database, name)

    # -- in -------------------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether there ever was a batch of that name, answered or not."""
        with self._transaction() as database:
            return database.execute("SELECT 1 FROM batch WHERE name = ?", (name,)).fetchone() is not None

    def answer(
        self, order_id: str, status: str | None, *, reason: str | None = None, reference: str | None = None,
        received_at: datetime | None = None, batch: str | None = None,
    ) -> str | None:
        """Notes what the channel says of a row; ``status`` ``None`` means that it did what the row asks.

        Returns what is wrong with it, if it was not noted: the first answer counts, and an order that is not open (or
        not in ``batch``) can have none.
        """
        with self._transaction() as database:
            row = database.execute(
                "SELECT batch, correlation_id, sequence, change, digest, reference FROM sent WHERE order_id = ? "
                "AND status IS NULL AND batch = coalesce(?, batch)", (order_id, batch),
            ).fetchone()
            if row is None:
                return NOT_OPEN
            name, entity, sequence, change, digest, usual = row
            given = status or Change(change).status
            if given != REFUSED and given not in STATUSES["withdraw" if change == Change.DELETE else "publish"]:
                return f"{given} is no answer to the operation {change}; its row waits for one"
            reason = (reason or "（未说明原因）")[:MAX_REASON] if given == REFUSED else None
            is_shown = given != REFUSED and change != Change.DELETE
            reference = (reference or usual or "")[:MAX_REFERENCE] or None if is_shown else None
            if given != REFUSED:
                known = _standing(database, entity)
                if known is None or sequence >= known.sequence:
                    database.execute(
                        "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)",
                        (entity, sequence, change != Change.DELETE, digest, order_id, reference),
                    )
                    database.execute("DELETE FROM doubt WHERE correlation_id = ?", (entity,))
            database.execute(
                "UPDATE sent SET status = ?, reason = ?, reference = ?, received_at = ? WHERE order_id = ?",
                (given, reason, reference, received_at.isoformat() if received_at else None, order_id),
            )
            _forget_if_done(database, name)
        return None

    def answers(self) -> list[tuple[str, Receipt]]:
        """Receipts that were not settled yet."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT order_id, status, reason, reference, received_at FROM sent WHERE status IS NOT NULL"
            ).fetchall()
        return [(row[0], _receipt(*row[1:])) for row in rows]

    def settle(self, order_ids: Collection[str]) -> None:
        """Their receipts stand on the log: how the record stands is all that is still to be known."""
        given = list(order_ids)
        with self._transaction() as database:
            for start in range(0, len(given), _CHUNK):
                part = given[start:start + _CHUNK]
                marks = ", ".join("?" * len(part))
                database.execute(f"DELETE FROM sent WHERE status IS NOT NULL AND order_id IN ({marks})", part)

    def forget(self, before: datetime) -> None:
        """The same for all answered orders of batches that were sent before that moment."""
        with self._transaction() as database:
            database.execute(
                "DELETE FROM sent WHERE status IS NOT NULL AND batch IN (SELECT name FROM batch WHERE sent_at < ?)",
                (before.timestamp(),),
            )


def _standing(database: sqlite3.Connection, correlation_id: str) -> Standing | None:
    # What is in a batch without an answer may be public as well.
    row = database.execute(
        "SELECT sequence, is_public, digest, order_id, reference, correlation_id IN (SELECT correlation_id FROM doubt) "
        "OR EXISTS (SELECT 1 FROM sent WHERE correlation_id = ?1 AND status IS NULL AND change != ?2) "
        "FROM record WHERE correlation_id = ?1", (correlation_id, Change.DELETE),
    ).fetchone()
    return None if row is None else Standing(row[0], bool(row[1]), row[2], row[3], row[4], bool(row[5]))


def _batch(database: sqlite3.Connection, name: str) -> Batch | None:
    row = database.execute(
        "SELECT number, content FROM batch WHERE name = ? AND content IS NOT NULL", (name,)
    ).fetchone()
    if row is None:
        return None
    order_ids = database.execute("SELECT order_id FROM sent WHERE batch = ? ORDER BY place", (name,))
    return Batch(name, row[0], row[1], tuple(order_id for (order_id,) in order_ids))


def _forget_if_done(database: sqlite3.Connection, name: str) -> None:
    """Once every row is answered the bytes are not needed; the name stays, to know a doubled receipt by."""
    database.execute(
        "UPDATE batch SET content = NULL WHERE name = ?1 "
        "AND NOT EXISTS (SELECT 1 FROM sent WHERE batch = ?1 AND status IS NULL)", (name,),
    )


def _receipt(status: str, reason: str | None, reference: str | None, received_at: str | None) -> Receipt:
    return Receipt(
        status, reference, reason, datetime.fromisoformat(received_at) if received_at and status != REFUSED else None
    )
