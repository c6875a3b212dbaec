"""What ``sources.yaml`` may say to the SQL source."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from hub.intake import ConnectorSettings, EncodingName, MappingName, SourcePath, setting

Share = Annotated[float, Field(ge=0, le=1)]
Words = list[str]


class SqlSettings(ConnectorSettings):
    """A table, view or query of a database."""

    url: str = setting(
        "数据库地址",
        "`postgresql://user@host:5432/database`, `mysql://user@host:3306/database`, `sqlite:///file.db` "
        "(seen from the folder of this file), or any other that SQLAlchemy has a driver for. No password in it.",
    )
    password: SecretStr | None = setting("密码", "The password itself; better is `password_env`.", None)
    password_env: str | None = setting("密码的环境变量", "Name of the environment variable with the password.", None)
    table: str | None = setting("表或视图", "Table or view, where needed with its schema: `supervision.penalty`.", None)
    query: str | None = setting("查询", "Instead of a table: a SELECT without ORDER BY.", None)
    mapping: MappingName = setting(
        "模板", "Name of a mapping of the connector, or a YAML file seen from the folder of this file."
    )
    mode: Literal["increasing", "outbox", "snapshot"] = setting(
        "读取方式",
        "`increasing`: rows whose `cursor` has grown. `outbox`: a table of changes. `snapshot`: the whole table, "
        "compared with the last time.",
    )
    cursor: str | None = setting(
        "递增列", "Column that only grows: an id, a time of change; of an outbox its id. Never empty.", None
    )
    overlap_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = setting(
        "重读窗口（秒）",
        "Rows that were new within so long are looked at again, so that a transaction may take so long to commit "
        "after a later row was read, and is not lost.",
        600.0,
    )
    operation: str | None = setting("操作列", "Outbox: the column that says what happened to the row.", None)
    inserts: Words = setting("新增的写法", "What stands in `operation` for a new row.", ["insert", "i", "c"])
    updates: Words = setting("修改的写法", "The same for a changed row.", ["update", "u"])
    deletes: Words = setting(
        "删除的写法", "The same for a deleted one, whose payload is the row as it was.", ["delete", "d"]
    )
    after: Literal["keep", "delete", "mark"] = setting(
        "读后处理", "Outbox: what becomes of rows whose events are acknowledged.", "keep"
    )
    mark_column: str | None = setting(
        "已读标记列", "For `after: mark`: set to the current time; only rows where it is empty are read.", None
    )
    every_seconds: Annotated[float, Field(gt=0)] | None = setting(
        "读取间隔（秒）", "How often the database is asked; 10 unless set, for snapshots 3600.", None
    )
    portion_rows: Annotated[int, Field(ge=1, le=10_000_000)] = setting(
        "每批行数", "At most so many rows are taken at once (not of a snapshot).", 50_000
    )
    removed: Literal["tell", "ignore"] = setting(
        "消失的行", "Snapshot: whether rows that are gone become removals (`events.removed` of the mapping).", "tell"
    )
    max_removed: Annotated[int, Field(ge=0)] = setting(
        "删除上限（行）", "A snapshot that lacks more rows of the last one is held until a person releases it.", 1000
    )
    max_removed_share: Share = setting("删除上限（比例）", "The same as a share of the rows of the last one.", 0.1)
    max_changed: Annotated[int, Field(ge=0)] = setting(
        "修改上限（行）", "A snapshot in which more rows differ from the last one is held.", 100_000
    )
    max_changed_share: Share = setting("修改上限（比例）", "The same as a share of the rows of the last one.", 0.5)
    manifests: SourcePath | None = setting(
        "清单文件夹",
        "Snapshot: folder into which the department's signed manifests of the day are put, seen from the folder of "
        "this file; needs `manifest_key`. A snapshot with another number of rows than the manifest says is held.",
        None,
    )
    without_manifest: Literal["read", "wait"] = setting(
        "清单未到时",
        "What becomes of a day whose manifest has not come: `read` reads the table all the same and compares the two "
        "when it comes, `wait` leaves the table alone until then.",
        "read",
    )
    encoding: EncodingName = setting("字节编码", "How columns that come as bytes are read.", "gb18030")
    time_zone: str = setting("时区", "Of times that come without one.", "Asia/Shanghai")
    connect_seconds: Annotated[int, Field(ge=1, le=300)] = setting(
        "连接超时（秒）", "No connection within this is a failure; it is tried again.", 10
    )
    statement_seconds: Annotated[int, Field(ge=1, le=86400)] = setting(
        "语句超时（秒）", "The database is to give up a statement after this.", 300
    )
    reports: SourcePath | None = setting(
        "报告文件夹", "Where lists of problems go; unless set, the source's folder of the hub.", None
    )
    errors: Literal["xlsx", "csv"] = setting("问题清单格式", "Form of the list of problems: `xlsx` or `csv`.", "xlsx")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError("no database address; it looks like postgresql://user@host/database") from None
        if url.password is not None:
            raise ValueError("holds a password: put it into password_env")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("unknown time zone") from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> SqlSettings:
        faults = []
        if (self.table is None) == (self.query is None):
            faults.append("give exactly one of table, query")
        if self.password is not None and self.password_env is not None:
            faults.append("give one of password, password_env")
        if self.mode != "snapshot" and self.cursor is None:
            faults.append(f"mode {self.mode} needs cursor")
        if self.mode == "outbox" and self.operation is None:
            faults.append("mode outbox needs operation")
        if self.mode == "outbox" and self.after != "keep" and self.table is None:
            faults.append(f"after: {self.after} needs table, not query")
        if (self.after == "mark") != (self.mark_column is not None):
            faults.append("after: mark and mark_column go together")
        if self.mode != "outbox" and (self.after != "keep" or self.operation is not None):
            faults.append("operation and after are for mode outbox")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def interval(self) -> float:
        """Seconds between two questions to the database."""
        return self.every_seconds or (3600.0 if self.mode == "snapshot" else 10.0)

    @property
    def label(self) -> str:
        """What is read, in a word."""
        return self.table or "query"
