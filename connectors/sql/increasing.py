"""Rows whose column has grown: a table that only grows, one with a time of change, an outbox that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.ahead import ReadAhead, Taken
from connectors.sql.table import Rows, Table, stream
from hub.intake.spool import BATCH_ROWS, CursorState, Spool, SpoolWriter, digest, dump, dump_all, loader, plain, replace


class Increasing:
    """See ``Mode`` in ``source.py``. ``now`` is seconds since 1970."""

    is_guarded = False

    def __init__(self, table: Table, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._settings = table.settings
        self._path = folder / "cursor.db"
        # As it stands in the table: a zone would change what is compared.
        self._load = loader(table.settings.encoding, "Asia/Shanghai")
        self._now = now
        self._opened: CursorState | None = None
        self._ahead_path = folder / "ahead.spool"
        self._ahead: ReadAhead | None = None
        self.has_more = False

    def take(self, path: Path) -> bool:
        """Reads what came late and what is new into a spool; false if there is nothing of either."""
        if self._has_ahead(path):
            return True
        state, began = self._state(), self._now()
        looks_back = state.is_due(began)
        has_rows, self.has_more = self._read(path, began, state.high, state if looks_back else None)
        if looks_back and not has_rows:
            state.advance(began, state.high, has_looked_back=True)
        return has_rows

    def telling(self, spool: Spool) -> None:
        """What is new behind a spool is read while it is told, where there is more. A look back that is due comes
        first: it needs what was told by then."""
        began, high = self._now(), spool.meta["high"]
        if self._ahead is None and self.has_more and not self._state().is_due(began):
            self._ahead = ReadAhead(high, lambda is_over: self._read(self._ahead_path, began, high, None, is_over))

    def _has_ahead(self, path: Path) -> bool:
        """Whether what was read ahead goes on where the cursor stands by now; then it lies at ``path``."""
        ahead, self._ahead = self._ahead, None
        found = ahead.wait() if ahead is not None else None
        if ahead is None or found is None or not found.has_rows or ahead.behind != self._state().high:
            self._ahead_path.unlink(missing_ok=True)  # of no use, or left by a kill
            return False
        self.has_more = found.has_more
        replace(self._ahead_path, path)
        return True

    def _read(
        self, path: Path, began: float, high: Any, state: CursorState | None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> Taken:
        """Reads what is new behind ``high`` into a spool, with a state also what came late by it, unless it
        ``is_over`` before it ends. Raises DatabaseError."""
        writer = SpoolWriter(path)
        try:
            with self._table.database.reading() as connection:
                if state is not None:
                    for lines in self._look_back(connection, state):
                        self._add(writer, lines)
                late = writer.rows
                for rows in self._new(connection, high):
                    if is_over():
                        break
                    self._add(writer, dump_all(rows))
                    high = plain(rows[-1][self._cursor_at])
            if is_over():  # somebody else may be writing to that path by now
                return Taken(False, False)
            if writer.rows:
                writer.finish(
                    columns=self._table.names, began=began, high=high, has_looked_back=state is not None,
                    name=f"{self._settings.label} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}",
                )  # fmt: skip
            return Taken(writer.rows > 0, writer.rows - late >= self._settings.portion_rows)
        finally:
            writer.drop()

    def finish(self, spool: Spool) -> None:
        """Moves the cursor. The spool may go afterwards."""
        meta = spool.meta
        self._state().advance(
            meta["began"], meta["high"], has_looked_back=meta["has_looked_back"], told=spool.path
        )

    def check(self) -> list[str]:
        """Rows that would never be read."""
        statement, source = self._table.select()
        column = source.c[self._cursor]
        with self._table.database.reading() as connection:
            empty = connection.execute(statement.where(column.is_(None)).limit(1)).first()
        return [f"column {self._cursor} is empty in some rows: they are never read"] if empty else []

    def close(self) -> None:
        """May be called twice."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _cursor(self) -> str:
        assert self._settings.cursor is not None
        return self._table.find(self._settings.cursor, self._table.names)

    @property
    def _cursor_at(self) -> int:
        return self._table.names.index(self._cursor)

    def _state(self) -> CursorState:
        if self._opened is None:
            self._opened = CursorState(self._path, self._settings.overlap_seconds)
        return self._opened

    def _value(self, stored: Any) -> Any:
        """A cursor's value as the database takes it."""
        return self._load(dump(stored))

    def _look_back(self, connection: sa.Connection, state: CursorState) -> Iterator[list[bytes]]:
        """Rows of the window that were not seen in it, with what has changed in them."""
        statement, source = self._table.select()
        column = source.c[self._cursor]
        statement = statement.where(column <= self._value(state.high)).order_by(column)
        if state.low is not None:
            statement = statement.where(column > self._value(state.low))
        for rows in stream(connection, statement):
            lines = {digest(line): line for line in dump_all(rows)}
            told = state.is_told([(mark, mark) for mark in lines])
            late = [line for line, is_told in zip(lines.values(), told, strict=True) if not is_told]
            if late:
                yield late

    def _new(self, connection: sa.Connection, high: Any) -> Iterator[Rows]:
        """At most ``portion_rows`` behind ``high``, and the rest of the last value: equal values are not
        torn apart."""
        limit = self._settings.portion_rows
        statement, source = self._table.select()
        column, at = source.c[self._cursor], self._cursor_at
        behind = column > self._value(high) if high is not None else column.is_not(None)
        held: Rows = []
        count = 0
        for rows in stream(connection, statement.where(behind).order_by(column).limit(limit)):
            count += len(rows)
            rows = held + rows
            last = rows[-1][at]
            split = len(rows)
            while split and rows[split - 1][at] == last:
                split -= 1
            held = rows[split:]
            if split:
                yield from _chunks(rows[:split])
        if count < limit:
            yield from _chunks(held)
        elif held:
            yield from stream(connection, statement.where(column == held[-1][at]))

    def _add(self, writer: SpoolWriter, lines: list[bytes]) -> None:
        # Digests are for the window alone; rows have no keys here.
        writer.add(lines, keeps_digests=bool(self._settings.overlap_seconds))


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows[start : start + BATCH_ROWS]
