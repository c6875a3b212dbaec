"""The database: read-only transactions, timeouts, rows as a stream. SQLAlchemy Core, no ORM."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from connectors.sql.safe_dates import register_safe_dates
from connectors.sql.settings import SqlSettings
from hub.intake import ContractError, InfrastructureError

#: Rows that are fetched at a time.
FETCH = 1000
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}


class DatabaseError(InfrastructureError):
    """The department's database did not answer as it should; trying again may help."""


class Database:
    """Connections to one department's database, each for one piece of work. Used by one thread.

    Everything raises ``DatabaseError`` where the database refuses, times out or goes away.
    """

    def __init__(self, settings: SqlSettings, base: Path | None) -> None:
        self._settings = settings
        self._password = settings.secret("password")
        url = _complete(sa.make_url(settings.url), self._password, base)
        self.dialect = url.get_backend_name()
        try:
            # Parameters are cursor values of rows: they stay out of errors and logs.
            self._engine = sa.create_engine(
                url, poolclass=NullPool, hide_parameters=True, connect_args=self._connect_args()
            )
        except (SQLAlchemyError, ImportError) as error:
            raise ContractError(f"url: {error}") from error
        sa.event.listen(self._engine, "connect", self._prepare)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A read-only transaction that sees one moment throughout."""
        options: dict[str, Any] = {"stream_results": True, "max_row_buffer": FETCH}
        if self.dialect == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        elif self.dialect in ("mysql", "mariadb"):
            options |= {"isolation_level": "REPEATABLE READ"}
        with self._said(), self._engine.connect().execution_options(**options) as connection:
            if self.dialect in ("mysql", "mariadb"):
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            elif self.dialect == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end: for outboxes, nothing else."""
        with self._said(), self._engine.begin() as connection:
            yield connection

    def columns(self, source: sa.FromClause) -> list[str]:
        """Names of the columns, as the database says them."""
        statement = sa.select(sa.text("*")).select_from(source).where(sa.text("1 = 0"))
        with self.reading() as connection:
            result = connection.execute(statement)
            names = list(result.keys())
            result.close()
        return names

    def close(self) -> None:
        """Frees what is held; may be called twice."""
        self._engine.dispose()

    def _connect_args(self) -> dict[str, Any]:
        settings = self._settings
        if self.dialect == "postgresql":
            return {
                "connect_timeout": settings.connect_seconds,
                "options": f"-c statement_timeout={settings.statement_seconds * 1000}",
                "keepalives_idle": 30,
            }
        if self.dialect in ("mysql", "mariadb"):
            return {
                "connect_timeout": settings.connect_seconds,
                # Behind the server's own limit: this one is for a server that is gone.
                "read_timeout": settings.statement_seconds + 30,
                "charset": "utf8mb4",
            }
        if self.dialect == "sqlite":
            return {"timeout": settings.connect_seconds}
        return {}

    def _prepare(self, raw: Any, _: Any) -> None:
        """Each new connection: dates that Python has not are texts, statements end in time."""
        if self.dialect == "postgresql":
            register_safe_dates(raw)
        elif self.dialect in ("mysql", "mariadb"):
            with raw.cursor() as cursor:
                for statement in (
                    f"SET SESSION max_statement_time = {self._settings.statement_seconds}",  # MariaDB
                    f"SET SESSION max_execution_time = {self._settings.statement_seconds * 1000}",  # MySQL
                ):
                    try:
                        cursor.execute(statement)
                    except Exception as error:  # each knows one of the two
                        if "nknown system variable" not in str(error):
                            raise
        elif isinstance(raw, sqlite3.Connection):
            # Transactions are begun by us; text that is no UTF-8 comes as bytes.
            raw.isolation_level = None
            raw.text_factory = _text_or_bytes

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise DatabaseError(f"The database said: {self._clean(str(error.orig))}") from None
        except SQLAlchemyError as error:
            raise DatabaseError(f"The database cannot be read: {self._clean(str(error))}") from None

    def _clean(self, text: str) -> str:
        """The first line of an error, without the password should a driver repeat it."""
        line = (text.strip().splitlines() or [""])[0][:300]
        return line.replace(self._password, "***") if self._password else line


def relation(settings: SqlSettings, names: Sequence[str] = ()) -> sa.FromClause:
    """What is read, as something to select from. ``names`` are its columns."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    if settings.table is not None:
        schema, _, name = settings.table.rpartition(".")
        return sa.table(name, *columns, schema=schema or None)
    assert settings.query is not None
    query = settings.query.strip().rstrip(";").replace(":", "\\:")
    if columns:
        return sa.text(query).columns(*columns).subquery("q")
    return cast(sa.FromClause, sa.text(f"({query}) q"))


def _complete(url: URL, password: str | None, base: Path | None) -> URL:
    driver = _DRIVERS.get(url.drivername, url.drivername)
    url = url.set(drivername=driver)
    if password is not None and url.get_backend_name() != "sqlite":
        url = url.set(password=password)
    if url.get_backend_name() == "sqlite" and url.database:
        path = (base or Path()) / url.database
        if not path.exists():  # or SQLite would make it
            raise ContractError(f"url: there is no file {path}")
        url = url.set(database=str(path))
    return url


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
