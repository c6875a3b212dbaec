"""The SQL source on the databases that departments have: types, late commits, lost connections, limits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sql.database import DatabaseError
from connectors.sql.source import SqlSource
from connectors.sql.table import stream
from hub.intake import Counts, Row, RowFault
from tests.support_databases import PASSWORD, Server, mariadb, postgresql
from tests.support_sql import (
    BLACKLIST_COLUMNS,
    INSPECTION_COLUMNS,
    drain,
    execute,
    insert,
    inspection_row,
    listing_row,
    open_sql,
)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with {"postgresql": postgresql, "mariadb": mariadb}[request.param]() as found:
        yield found


@pytest.fixture
def tables(server: Server) -> Iterator[Server]:
    """The server, with the tables made anew."""
    drop = ["DROP TABLE IF EXISTS inspection", "DROP TABLE IF EXISTS listing", "DROP TABLE IF EXISTS outbox"]
    execute(
        server.driver_url, *drop,
        f"CREATE TABLE inspection ({INSPECTION_COLUMNS})",
        f"CREATE TABLE listing ({BLACKLIST_COLUMNS})",
        f"CREATE TABLE outbox (id BIGINT PRIMARY KEY, op VARCHAR(10), read_at TIMESTAMP NULL, {BLACKLIST_COLUMNS})",
    )  # fmt: skip
    yield server
    execute(server.driver_url, *drop)


def source_of(server: Server, data: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> SqlSource:
    monkeypatch.setenv("TEST_DATABASE_PASSWORD", PASSWORD)
    return open_sql(server.url, data, password_env="TEST_DATABASE_PASSWORD", **more)


def keys(items: list[Row | RowFault]) -> list[str]:
    assert all(isinstance(item, Row) for item in items), items
    return [item.natural_key for item in items if isinstance(item, Row)]


def soon() -> None:
    """Longer than ``every_seconds`` of the tests' sources."""
    time.sleep(0.005)


def test_every_type_arrives_as_it_is(tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, zoned = ("BYTEA", "TIMESTAMPTZ") if tables.kind == "postgresql" else ("VARBINARY(400)", "DATETIME(6)")
    # 22:30 in London on 1 March is 2 March in Gannan; MariaDB has no zone, so it is said by time_zone there.
    moment = "2026-03-01 22:30:00+00" if tables.kind == "postgresql" else "2026-03-01 22:30:00"
    execute(
        tables.driver_url, "DROP TABLE IF EXISTS penalty",
        f"CREATE TABLE penalty (CF_WSH VARCHAR(60), CF_XDR_MC {binary}, CF_WFXW TEXT, CF_SY TEXT, CF_YJ TEXT, "
        f"CF_CFLB TEXT, CF_NR TEXT, CF_NR_FK DECIMAL(18,6), CF_NR_WFFF DOUBLE PRECISION, CF_JDRQ {zoned}, CF_YXQ DATE, "
        "CF_GSJZQ VARCHAR(20), BZ TEXT)",
    )  # fmt: skip
    with sa.create_engine(tables.driver_url, poolclass=sa.pool.NullPool).begin() as connection:
        names = ["CF_WSH", "CF_XDR_MC", "CF_WFXW", "CF_SY", "CF_YJ", "CF_CFLB", "CF_NR", "CF_NR_FK", "CF_NR_WFFF",
                 "CF_JDRQ", "CF_YXQ", "CF_GSJZQ", "BZ"]  # fmt: skip
        marks = ", ".join(["%s"] * len(names))
        for row in (
            ("甘南市监处罚〔2026〕12号", "合作市雪域牦牛乳业有限责任公司".encode("gb18030"), "虚假宣传", "事实𠮷",
             "依据", "罚款", "内容", Decimal("1234567890.123456"), 0.1, moment, date(2099, 12, 31), "2029.3.2", None),
            ("甘南市监处罚〔2026〕13号", b"\xff\xff", "虚假宣传", "事实", "依据", "罚款", "内容", None, None, moment,
             None, None, ""),
        ):  # fmt: skip
            connection.exec_driver_sql(f"INSERT INTO penalty ({', '.join(names)}) VALUES ({marks})", row)
    given: dict[str, Any] = {"table": "penalty", "mapping": "penalties", "mode": "snapshot", "cursor": None,
                             "time_zone": "UTC"}  # fmt: skip
    source = source_of(tables, tmp_path, monkeypatch, **given)
    good, bad = drain(source)
    assert isinstance(good, Row)
    assert good.value["party_name"] == "合作市雪域牦牛乳业有限责任公司" and good.value["violation_facts"] == "事实𠮷"
    assert good.value["fine_amount"] == Decimal("1234567890.123456")
    assert good.value["confiscated_amount"] == Decimal("0.1")
    assert good.value["decided_date"] == date(2026, 3, 2)
    assert good.value["valid_until"] == date(2099, 12, 31) and good.value["publish_until"] == date(2029, 3, 2)
    assert isinstance(bad, RowFault) and bad.problems[0].code == "encoding"
    execute(tables.driver_url, "DROP TABLE penalty")


def test_a_late_commit_is_not_lost(tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(tables.driver_url, "inspection", [inspection_row(n) for n in (1, 2)])
    source = source_of(tables, tmp_path, monkeypatch, overlap_seconds=0.5)
    assert len(drain(source)) == 2
    with sa.create_engine(tables.driver_url, poolclass=sa.pool.NullPool).begin() as late:
        target = sa.table("inspection", *[sa.column(name) for name in inspection_row(1)])
        late.execute(sa.insert(target), [inspection_row(3)])
        insert(tables.driver_url, "inspection", [inspection_row(4)])
        soon()
        assert keys(drain(source)) == ["JC000004"]
    time.sleep(0.2)
    assert keys(drain(source)) == ["JC000003"]
    time.sleep(0.2)
    assert drain(source) == []


def test_a_lost_connection_keeps_what_was_told(
    tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(tables.driver_url, "inspection", [inspection_row(n) for n in range(1, 5001)])
    source = source_of(tables, tmp_path, monkeypatch, portion_rows=2000)
    told: list[str] = []
    cut = threading.Event()
    def torn(connection: sa.Connection, statement: Any) -> Iterator[Any]:
        for number, rows in enumerate(stream(connection, statement)):
            if len(told) == 2000 and number == 1 and not cut.is_set():
                cut.set()
                _end_connections(tables)
            yield rows

    monkeypatch.setattr("connectors.sql.increasing.stream", torn)
    for _ in range(10):
        try:
            for portion in source.portions():
                for batch in portion.batches(0):
                    told += keys(list(batch.items))
                portion.finish(Counts(), iter(()))
                portion.close()
        except DatabaseError:
            assert cut.is_set()
        soon()
    assert cut.is_set() and told == [f"JC{n:06d}" for n in range(1, 5001)]


def _end_connections(server: Server) -> None:
    engine = sa.create_engine(server.driver_url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        if server.kind == "postgresql":
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'hub' AND pid <> pg_backend_pid()"
            )
        else:
            for (number,) in connection.exec_driver_sql(
                "SELECT id FROM information_schema.processlist WHERE user = 'hub' AND id <> connection_id()"
            ).fetchall():
                connection.exec_driver_sql(f"KILL {number}")


def test_reading_cannot_write_and_ends_in_time(
    tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(tables, tmp_path, monkeypatch, statement_seconds=1)
    database = source._table.database
    with pytest.raises(DatabaseError), database.reading() as connection:
        connection.exec_driver_sql("DELETE FROM inspection")
    began = time.monotonic()
    with pytest.raises(DatabaseError), database.reading() as connection:
        sleep = "SELECT pg_sleep(20)" if tables.kind == "postgresql" else (
            "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, "
            "information_schema.columns c, information_schema.columns d"
        )  # fmt: skip
        connection.exec_driver_sql(sleep)
    assert time.monotonic() - began < 10


def test_an_outbox_tells_changes_and_deletes_and_is_emptied(
    tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = listing_row(1)
    insert(tables.driver_url, "outbox", [
        {"id": 1, "op": "insert", **row}, {"id": 2, "op": "UPDATE", **row, "remark": "改"},
        {"id": 3, "op": "delete", **row, "remark": "改"}, {"id": 4, "op": "?", **row},
    ])  # fmt: skip
    given = {"table": "outbox", "mapping": "blacklist-notices", "mode": "outbox", "operation": "op"}
    source = source_of(tables, tmp_path, monkeypatch, after="delete", **given)
    read = drain(source)
    assert [item.state_type.rpartition(".")[2] for item in read if isinstance(item, Row)] == [
        "listed", "listed", "removed",
    ]  # fmt: skip
    assert isinstance(read[3], RowFault) and read[3].problems[0].code == "operation"
    assert read[3].place.row == 4
    engine = sa.create_engine(tables.driver_url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar() == 0
    insert(tables.driver_url, "outbox", [{"id": 5, "op": "i", **listing_row(2)}])
    source = source_of(tables, tmp_path / "marked", monkeypatch, after="mark", mark_column="read_at", **given)
    assert len(drain(source)) == 1
    soon()
    assert drain(source) == []
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE read_at IS NULL").scalar() == 0


def test_a_password_is_in_no_error(tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tables, tmp_path, monkeypatch)
    os.environ["TEST_DATABASE_PASSWORD"] = "another-secret-word"
    (said,) = _problems(source)
    assert "another-secret-word" not in said and "another-secret-word" not in repr(source._settings)


def _problems(source: SqlSource) -> list[str]:
    with pytest.raises(DatabaseError) as caught:
        source.check()
    return [f"{caught.value}{caught.value.__cause__}{caught.value.__context__ and ''}"]


def test_dates_that_python_has_not_are_faults_of_their_rows(
    tables: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(tables.driver_url, "inspection", [inspection_row(n) for n in (1, 2, 3)])
    odd = "'infinity'" if tables.kind == "postgresql" else "'0000-00-00'"
    mode = [] if tables.kind == "postgresql" else ["SET SESSION sql_mode = ''"]
    execute(tables.driver_url, *mode, f"UPDATE inspection SET checked_on = {odd} WHERE id = 2")
    first, second, third = drain(source_of(tables, tmp_path, monkeypatch))
    assert isinstance(first, Row) and isinstance(third, Row)
    assert isinstance(second, RowFault) and second.problems[0].field == "check_date"
    assert second.place.sheet == "id=2"
