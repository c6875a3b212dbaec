"""What ``sources.yaml`` may say to the HTTP source."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from hub.intake import ConnectorSettings, MappingName, SourcePath, setting

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class HttpPollSettings(ConnectorSettings):
    """An interface that gives records in pages of JSON."""

    url: str = setting("接口地址", "`https://host/path`, with fixed parameters if need be. No password in it.")
    mapping: MappingName = setting(
        "模板",
        "Name of a mapping of the connector, or a YAML file seen from the folder of this file. Its headings are "
        "dotted paths into a record: `party.name`.",
    )
    records: str = setting(
        "记录位置", "Where in the answer the list of records is, as a dotted path; unless set, the answer itself.", ""
    )
    paging: Literal["none", "cursor", "record", "link"] = setting(
        "翻页方式",
        "`cursor`: the answer says the next cursor (`next_cursor`). `record`: a field of the last record is it "
        "(`record_cursor`). `link`: a header `Link` with `rel=next` is the address of the next page. `none`: one "
        "answer has it all.",
        "none",
    )
    cursor_parameter: str = setting("游标参数", "Parameter of the query in which the cursor is sent.", "cursor")
    next_cursor: str | None = setting(
        "下一游标位置", "`cursor`: dotted path in the answer; null or nothing there means that no page follows.", None
    )
    record_cursor: str | None = setting(
        "记录中的游标", "`record`: dotted path in a record, which only grows from record to record.", None
    )
    has_more: str | None = setting(
        "是否还有位置",
        "Dotted path in the answer of the truth value that says whether a page follows. With it a next cursor on the "
        "last page is where the next reading begins.",
        None,
    )
    start: str | None = setting("起始游标", "Cursor of the very first request; unless set, none is sent.", None)
    page_size: Annotated[int, Field(ge=1, le=100_000)] = setting(
        "每页记录数",
        "Asked for where `page_size_parameter` is set. With `record` and no `has_more`, a page with fewer is the last.",
        100,
    )
    page_size_parameter: str | None = setting("每页记录数的参数", "Parameter of the query in which it is sent.", None)
    token: SecretStr | None = setting("令牌", "The token itself; better is `token_env`.", None)
    token_env: str | None = setting("令牌的环境变量", "Name of the environment variable with the token.", None)
    token_header: str = setting("令牌的请求头", "Header in which the token is sent.", "Authorization")
    token_scheme: str = setting("令牌的前缀", "Word before it; empty where the header holds the token alone.", "Bearer")
    every_seconds: Annotated[float, Field(gt=0)] = setting("读取间隔（秒）", "How often it is asked.", 60.0)
    overlap_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = setting(
        "重读窗口（秒）",
        "What was new within so long is asked for again, three times in that span, so that a record which appears "
        "behind a later one is not lost. 0 for an interface whose old cursors are of no use.",
        600.0,
    )
    portion_rows: Annotated[int, Field(ge=1, le=10_000_000)] = setting(
        "每批记录数", "About so many records are taken at once; the rest follows.", 50_000
    )
    max_page_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = setting(
        "每页大小上限（字节）", "A longer answer is refused, unpacked size counting.", 16 << 20
    )
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = setting(
        "请求超时（秒）", "An answer that is not there whole by then is a failure.", 30.0
    )
    reports: SourcePath | None = setting(
        "报告文件夹", "Where lists of problems go; unless set, the source's folder of the hub.", None
    )
    errors: Literal["xlsx", "csv"] = setting("问题清单格式", "Form of the list of problems: `xlsx` or `csv`.", "xlsx")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound or parts.fragment or not value.isprintable() or " " in value:
            raise ValueError("no address; it looks like https://host/path")
        if "@" in parts.netloc:
            raise ValueError("holds a user or password: put the token into token_env")
        return value

    @field_validator("token_header")
    @classmethod
    def _is_a_header(cls, value: str) -> str:
        if not _HEADER.fullmatch(value):
            raise ValueError("no name of a header")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> HttpPollSettings:
        faults = []
        if self.token is not None and self.token_env is not None:
            faults.append("give one of token, token_env")
        for mode, name in (("cursor", "next_cursor"), ("record", "record_cursor")):
            if (self.paging == mode) != (getattr(self, name) is not None):
                faults.append(f"paging: {mode} and {name} go together")
        if self.has_more is not None and self.paging not in ("cursor", "record"):
            faults.append("has_more is for paging: cursor and record")
        if self.start is not None and self.paging not in ("cursor", "record"):
            faults.append("start is for paging: cursor and record")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def label(self) -> str:
        """What is read, in a word: host and path, no parameter."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}{parts.path}"
