"""example-register: inspection results out of the table jcjg of a department's own database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from hub.intake import SourcePath, setting
from hub.intake.spool import TableSettings, TableSource

#: The columns that are read; mapping.yaml says what each of them is.
COLUMNS = ["bh", "qymc", "dsrlb", "tyshxydm", "zjhm", "jcsx", "jcry", "jcrq", "jcjg", "sfgs", "bgsly", "bz"]


class RegisterSettings(TableSettings):
    """What sources.yaml says to this connector."""

    database: SourcePath = setting("数据库文件", "File of the database, seen from sources.yaml.")


class Register(TableSource):
    """Reads the table whole, again and again; what is new or changed is told once."""

    Settings = RegisterSettings

    def columns(self) -> list[str]:
        """In the order of ``rows``."""
        return COLUMNS

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Every row as it is now. Another database: its driver instead of sqlite3."""
        address = f"{self.settings.database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            yield from database.execute(f"SELECT {', '.join(COLUMNS)} FROM jcjg")
