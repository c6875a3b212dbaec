"""A small harness for each connector: how to give it rows, and what it cannot do."""

from __future__ import annotations

import csv
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hub.intake import Portion, Source, SourceConfig
from hub.intake.build import build_source
from hub.intake.template import write_template
from tests.support_http_poll import record
from tests.support_intake import catalog, inspection
from tests.support_lead_feed import Platform, blocks
from tests.support_sql import INSPECTION_COLUMNS, execute, insert, inspection_row

#: What a connector may declare that it cannot do; everything else it must.
FEATURES = {
    "null": "tells nothing from an empty text",
    "bytes": "has columns of bytes",
    "secret": "has a secret among its settings",
    "repeat-is-silent": "does not tell again what is as it was",
}


class Harness(ABC):
    """Rows of inspection results in one system. ``cannot`` says why for each feature that is lacking."""

    name: ClassVar[str]
    cannot: ClassVar[Mapping[str, str]] = {}
    #: Column of the system -> our word for it: number, party, date, remark.
    settings: ClassVar[Mapping[str, Any]]
    #: Name of the fixture that it stands on, which is then ``server``.
    needs: ClassVar[str | None] = None
    #: Whether its rows stand in files: there a text that begins with "=" is a formula and costs its row.
    has_files: ClassVar[bool] = False
    #: Topic and schema that its rows go to.
    target: ClassVar[tuple[str, str]] = ("inspection.results.v1", "inspection/result")

    def __init__(self, folder: Path, server: Any = None) -> None:
        self.folder = folder
        self.server = server
        self.data = folder / "data"

    def entry(self) -> dict[str, Any]:
        """The source as an entry of ``sources.yaml``."""
        return {
            "name": "contract-source", "department_code": "11623000013999917X",
            "department_name": "甘南州市场监督管理局", "region_code": "623000", **self.settings,
        }  # fmt: skip

    def open(self) -> Source:
        """The source, as a process that has just started has it."""
        return build_source(SourceConfig.of(self.entry(), self.folder), catalog(), self.data)

    @abstractmethod
    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Gives the system these rows: number, and perhaps party, date, remark."""

    @abstractmethod
    def change(self, portion: Portion) -> None:
        """Changes what the portion is read from, underneath it."""

    def end(self) -> None:  # noqa: B027  most have nothing that runs
        """Ends what the harness has started."""


class ExportFolderHarness(Harness):
    name = "export-folder"
    has_files = True
    cannot: ClassVar = {
        "null": "a cell of a file is a text",
        "bytes": "a file has one encoding",
        "secret": "a folder needs no password",
        "repeat-is-silent": "a file that is sent again is told again; the hub knows its rows",
    }
    settings: ClassVar = {"folder": "in", "mappings": ["inspection-results"], "settle_seconds": 0}

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        (self.folder / "in").mkdir(exist_ok=True)
        made = []
        for row in rows:
            given = {"检查对象名称": row.get("party"), "检查日期": row.get("date"), "备注": row.get("remark")}
            made.append({**inspection(row["number"]), **{name: text for name, text in given.items() if text}})
        with (self.folder / "in" / "export.csv").open("w", encoding="gb18030", newline="") as file:
            writer = csv.DictWriter(file, [*inspection(), "备注"])
            writer.writeheader()
            writer.writerows(made)

    def change(self, portion: Portion) -> None:
        with (self.folder / "in" / "export.csv").open("a", encoding="gb18030") as file:
            file.write("more\r\n")


class SftpFolderHarness(ExportFolderHarness):
    name = "sftp-folder"
    needs = "sftp_server"
    cannot: ClassVar = {name: ExportFolderHarness.cannot[name] for name in ("null", "bytes")}

    def entry(self) -> dict[str, Any]:
        own = self.server.settings(path=str(self.folder / "in"), mappings=["inspection-results"])
        return {**{k: v for k, v in super().entry().items() if k != "folder"}, "connector": "sftp-folder", **own}

    def change(self, portion: Portion) -> None:
        (path,) = self.data.rglob("incoming/*/file/*")
        with path.open("a", encoding="gb18030") as file:
            file.write("more\r\n")


class _Spooled(Harness):
    """What is told lies in a spool; only somebody's hand on it can change it."""

    def change(self, portion: Portion) -> None:
        (spool,) = self.data.rglob("portion.spool")
        with sqlite3.connect(spool) as database:
            database.execute("UPDATE batch SET data = x'5b5d' WHERE number = (SELECT max(number) FROM batch)")
        database.close()


class _SqlHarness(_Spooled):
    extra: ClassVar[Mapping[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/register.db"

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "connector": "sql", "url": "sqlite:///register.db", "table": "inspection",
                "mapping": "inspection-results", "every_seconds": 0.001, "password": "a-word-of-the-tests",
                **self.extra}  # fmt: skip

    settings: ClassVar = {}

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        execute(self.url, "DROP TABLE IF EXISTS inspection", f"CREATE TABLE inspection ({INSPECTION_COLUMNS}, op TEXT)")
        names = {"party": "party_name", "date": "checked_on", "remark": "remark"}
        made = []
        for row in rows:
            given = {names[name]: value for name, value in row.items() if name in names}
            made.append({**inspection_row(row["number"]), "op": "insert", **given})
        insert(self.url, "inspection", made)


class SqlIncreasingHarness(_SqlHarness):
    name = "sql-increasing"
    extra: ClassVar = {"mode": "increasing", "cursor": "id"}


class SqlOutboxHarness(_SqlHarness):
    name = "sql-outbox"
    extra: ClassVar = {"mode": "outbox", "cursor": "id", "operation": "op", "after": "delete"}


class SqlKeptOutboxHarness(_SqlHarness):
    name = "sql-outbox-kept"
    extra: ClassVar = {"mode": "outbox", "cursor": "id", "operation": "op"}


class SqlSnapshotHarness(_SqlHarness):
    name = "sql-snapshot"
    extra: ClassVar = {"mode": "snapshot", "max_removed_share": 1, "max_changed_share": 1}


class _HttpHarness(_Spooled):
    needs = "open_interface"
    paging: ClassVar[str]
    cannot: ClassVar = {"bytes": "JSON has no bytes"}
    settings: ClassVar = {}

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "connector": "http-poll", **self.server.settings(self.paging)}

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = {"party": "party", "date": "checked_on", "remark": "remark"}
        for row in rows:
            given = {names[name]: value for name, value in row.items() if name in names}
            self.server.feed.put(record(row["number"], **given))


class HttpCursorHarness(_HttpHarness):
    name = "http-poll-cursor"
    paging = "cursor"


class HttpRecordHarness(_HttpHarness):
    name = "http-poll-record"
    paging = "record"


class HttpLinkHarness(_HttpHarness):
    name = "http-poll-link"
    paging = "link"


class TemplateHarness(_Spooled):
    """What ``hub connect new`` writes, as it is."""

    name = "template"
    cannot: ClassVar = {"secret": "its database is a file"}
    settings: ClassVar = {
        "connector": "own-register/source.py:Register", "mapping": "own-register/mapping.yaml",
        "database": "register.db", "every_seconds": 0.001,
    }  # fmt: skip

    def __init__(self, folder: Path, server: Any = None) -> None:
        super().__init__(folder, server)
        write_template("own-register", folder)

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        url = f"sqlite:///{self.folder}/register.db"
        execute(url, "DROP TABLE IF EXISTS jcjg",
                "CREATE TABLE jcjg (bh TEXT, qymc TEXT, dsrlb TEXT, tyshxydm TEXT, zjhm TEXT, jcsx TEXT, jcry TEXT, "
                "jcrq TEXT, jcjg TEXT, sfgs TEXT, bgsly TEXT, bz TEXT)")  # fmt: skip
        insert(url, "jcjg", [
            {"bh": f"JC{row['number']:06d}", "qymc": row.get("party", "合作市雪域牦牛乳业有限责任公司"),
             "tyshxydm": "91623000739699913A", "jcsx": "年报公示信息检查", "jcry": "才让卓玛、王实验",
             "jcrq": row.get("date", "2026-03-01"), "jcjg": "正常", "sfgs": "是", "bz": row.get("remark")}
            for row in rows
        ])  # fmt: skip


class LeadFeedHarness(_Spooled):
    """The stand-in of the national platform; it keeps what it was given, and gives the new behind it."""

    name = "lead-feed"
    cannot: ClassVar = {"bytes": "a document has one encoding"}
    settings: ClassVar = {"connector": "lead-feed", "every_seconds": 0.001, "token": "a-word-of-the-tests"}
    target: ClassVar = ("complaint.leads.v1", "complaint/lead")

    def __init__(self, folder: Path, server: Any = None) -> None:
        super().__init__(folder, server)
        self._platform = Platform(folder / "platform", "a-word-of-the-tests")

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), "url": self._platform.url}

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        names = {"party": ("complaintInfo", "complaintObject"), "date": ("taskInfo", "distributeTime"),
                 "remark": ("taskInfo", "inspectClaim")}  # fmt: skip
        self._platform.book.distribute(
            blocks(row["number"], {names[word]: text for word, text in row.items() if word in names}) for row in rows
        )

    def end(self) -> None:
        self._platform.close()


HARNESSES: tuple[type[Harness], ...] = (
    ExportFolderHarness,
    SftpFolderHarness,
    SqlIncreasingHarness,
    SqlOutboxHarness,
    SqlKeptOutboxHarness,
    SqlSnapshotHarness,
    HttpCursorHarness,
    HttpRecordHarness,
    HttpLinkHarness,
    TemplateHarness,
    LeadFeedHarness,
)
