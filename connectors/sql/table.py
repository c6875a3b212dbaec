"""What is selected of a department's table, and how its rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from connectors.sql.database import FETCH, Database, relation
from connectors.sql.settings import SqlSettings
from hub.intake import ContractError, SourceContext
from hub.intake.mapping import RowMapping, RowReader, heading_form, layout_of

Rows = list[tuple[Any, ...]]


class Table:
    """A table, view or query, seen through a mapping. Nothing is asked of the database before it is needed.

    Only the columns that the mapping or the settings name are ever selected.
    """

    def __init__(self, settings: SqlSettings, mapping: RowMapping, context: SourceContext) -> None:
        self.settings = settings
        self.mapping = mapping
        self._context = context

    @cached_property
    def database(self) -> Database:
        """Connections; raises ``ContractError`` for an address or a driver that cannot work."""
        return Database(self.settings, self._context.config.base)

    @cached_property
    def names(self) -> list[str]:
        """Names of the selected columns, in the order in which rows have them.

        :raises ContractError: when the table lacks a column.
        """
        there = self.database.columns(relation(self.settings))
        layout = layout_of(self.mapping, there)
        used = {layout.written[at] for at in layout.columns.values()}
        for named in (self.settings.cursor, self.settings.operation):
            if named is not None:
                used.add(self.find(named, there))
        return [name for name in there if name in used]

    def find(self, named: str, there: Sequence[str]) -> str:
        """A column that the settings name, as the database writes it."""
        for name in there:
            if heading_form(name) == heading_form(named):
                return name
        raise ContractError(f"there is no column {named}; the columns are: {', '.join(there)}")

    def at(self, named: str, names: Sequence[str]) -> int:
        """Where a column stands in a row."""
        return list(names).index(self.find(named, names))

    def select(self) -> tuple[sa.Select[Any], sa.FromClause]:
        """A statement for the selected columns, and what it selects from."""
        source = relation(self.settings, self.names)
        return sa.select(*[source.c[name] for name in self.names]), source

    def reader(self, names: Sequence[str]) -> RowReader:
        """The reader of rows that have these columns."""
        return RowReader(layout_of(self.mapping, names), self._context)

    def close(self) -> None:
        """May be called twice."""
        if "database" in self.__dict__:
            self.database.close()


def stream(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Rows]:
    """Rows as they come, some at a time; the database holds the rest."""
    result = connection.execute(statement)
    try:
        while chunk := result.fetchmany(FETCH):
            yield list(map(tuple, chunk))
    finally:
        result.close()
