"""Rows whose column has grown: a table that only grows, one with a time of change, an outbox that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.table import Rows, Table, stream
from hub.intake.spool import BATCH_ROWS, CursorState, Spool, SpoolWriter, digest, dump, dump_all, loader, plain


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
        self.has_more = False

    def take(self, path: Path) -> bool:
        """Reads what came late and what is new into a spool; false if there is nothing of either."""
        state, began = self._state(), self._now()
        writer = SpoolWriter(path)
        try:
            looks_back = state.is_due(began)
            high = state.high
            with self._table.database.reading() as connection:
                if looks_back:
                    for lines in self._look_back(connection, state):
                        self._add(writer, lines)
                late = writer.rows
                for rows in self._new(connection, high):
                    self._add(writer, dump_all(rows))
                    high = plain(rows[-1][self._cursor_at])
            self.has_more = writer.rows - late >= self._settings.portion_rows
            if writer.rows:
                writer.finish(
                    columns=self._table.names, began=began, high=high, has_looked_back=looks_back,
                    name=f"{self._settings.label} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}",
                )  # fmt: skip
                return True
        finally:
            writer.drop()
        if looks_back:
            state.advance(began, state.high, has_looked_back=True)
        return False

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
