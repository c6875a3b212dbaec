"""An outbox whose rows go: read what is there, and delete or mark it when its events are acknowledged.

What commits late is simply there the next time, so no cursor is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from connectors.sql.database import relation
from connectors.sql.table import Table, stream
from hub.intake.spool import Spool, SpoolWriter, dump_all, loader

#: Ids of one statement: below every database's limit of parameters.
_CHUNK = 500


class Outbox:
    """See ``Mode`` in ``source.py``."""

    is_guarded = False

    def __init__(self, table: Table, now: Callable[[], float] = time.time) -> None:
        self._table = table
        self._settings = table.settings
        self._now = now
        self._load = loader(table.settings.encoding, "Asia/Shanghai")
        self.has_more = False

    def take(self, path: Any) -> bool:
        """Reads at most ``portion_rows``, by id, into a spool; false if there are none."""
        began, limit = self._now(), self._settings.portion_rows
        statement, source = self._table.select()
        if self._settings.mark_column is not None:
            statement = statement.where(sa.column(self._settings.mark_column).is_(None))
        writer = SpoolWriter(path)
        try:
            with self._table.database.reading() as connection:
                for rows in stream(connection, statement.order_by(source.c[self._id]).limit(limit)):
                    writer.add(dump_all(rows))
            self.has_more = writer.rows >= limit
            if not writer.rows:
                return False
            writer.finish(
                columns=self._table.names, began=began,
                name=f"{self._settings.label} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}",
            )  # fmt: skip
            return True
        finally:
            writer.drop()

    def telling(self, spool: Spool) -> None:
        """Nothing: what comes next is read when it is finished."""

    def finish(self, spool: Spool) -> None:
        """Deletes or marks exactly what was read; a second time there is nothing left to do."""
        with self._table.database.writing() as connection:
            for ids in self._ids(spool):
                target = relation(self._settings, self._table.names)
                chosen = sa.column(self._id).in_(ids)
                if self._settings.mark_column is None:
                    connection.execute(sa.delete(target).where(chosen))  # type: ignore[arg-type]
                else:
                    mark: sa.ColumnClause[Any] = sa.column(self._settings.mark_column)
                    marked = sa.table(target.name, mark, schema=target.schema)  # type: ignore[attr-defined]
                    connection.execute(
                        sa.update(marked).where(chosen, mark.is_(None)).values({mark.name: sa.func.current_timestamp()})
                    )

    def check(self) -> list[str]:
        """The mark has to be there."""
        if self._settings.mark_column is None:
            return []
        there = self._table.database.columns(relation(self._settings))
        return [] if self._settings.mark_column in there else [f"there is no column {self._settings.mark_column}"]

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def _id(self) -> str:
        assert self._settings.cursor is not None
        return self._table.find(self._settings.cursor, self._table.names)

    def _ids(self, spool: Spool) -> Iterator[list[Any]]:
        at = spool.meta["columns"].index(self._id)
        ids: list[Any] = []
        for line in spool.lines():
            ids.append(self._load(line)[at])
            if len(ids) == _CHUNK:
                yield ids
                ids = []
        if ids:
            yield ids
