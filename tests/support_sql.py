"""Sources on tables: settings, tables, rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.source import SqlSource
from hub.intake import Counts, Row, RowFault, SourceConfig
from hub.intake.build import source_context
from tests.support_intake import catalog

INSPECTION_COLUMNS = (
    "id BIGINT NOT NULL PRIMARY KEY, behaviour_number VARCHAR(60), party_name VARCHAR(200), party_code VARCHAR(40), "
    "legal_representative VARCHAR(50), item_name VARCHAR(200), inspectors VARCHAR(200), checked_on DATE, "
    "results VARCHAR(200), result_on DATE, is_public SMALLINT, nonpublic_reason VARCHAR(200), remark VARCHAR(1000)"
)
BLACKLIST_COLUMNS = (
    "list_kind VARCHAR(50), party_name VARCHAR(200), uscc VARCHAR(40), certificate_number VARCHAR(64), "
    "listing_reason VARCHAR(500), listed_on DATE, listing_document VARCHAR(60), removed_on DATE, remark VARCHAR(500)"
)


def sql_config(url: str, name: str = "hezuo-tables", **more: Any) -> SourceConfig:
    """Settings of a source on a table of inspection results, by its id."""
    given: dict[str, Any] = {
        "name": name, "connector": "sql", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000",
        "url": url, "table": "inspection", "mapping": "inspection-results", "mode": "increasing", "cursor": "id",
        "every_seconds": 0.001, **more,
    }  # fmt: skip
    return SourceConfig.of({name: value for name, value in given.items() if value is not None})


def open_sql(url: str, data: Path, **more: Any) -> SqlSource:
    config = sql_config(url, **more)
    return SqlSource(source_context(config, catalog(), data))


def inspection_row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "behaviour_number": f"JC{number:06d}", "party_name": "合作市雪域牦牛乳业有限责任公司",
        "party_code": "91623000739699913A", "legal_representative": "扎西东智", "item_name": "年报公示信息检查",
        "inspectors": "才让卓玛、王实验", "checked_on": "2026-03-01", "results": "未发现问题",
        "result_on": "2026-04-02", "is_public": 1, "nonpublic_reason": None, "remark": None, **more,
    }  # fmt: skip


def listing_row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "list_kind": "经营异常名录", "party_name": f"合作市雪域牦牛乳业第{number}有限责任公司", "uscc": None,
        "certificate_number": None, "listing_reason": "无法联系", "listed_on": "2026-07-01",
        "listing_document": f"合市监异入〔2026〕第{number:04d}号", "removed_on": None, "remark": None, **more,
    }  # fmt: skip


def execute(url: str, *statements: str) -> None:
    """Runs statements, each of its own, and commits them together."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def insert(url: str, table: str, rows: list[dict[str, Any]]) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        target = sa.table(table, *[sa.column(name) for name in rows[0]])
        connection.execute(sa.insert(target), rows)


def drain(source: SqlSource, *, start: int = 0, is_finished: bool = True) -> list[Row | RowFault]:
    """Every item of every portion that waits now; finished unless told otherwise."""
    items: list[Row | RowFault] = []
    for portion in source.portions():
        for batch in portion.batches(start):
            items += batch.items
        if is_finished:
            portion.finish(Counts(read=len(items)), iter(()))
        portion.close()
        if not is_finished:
            break
    return items
