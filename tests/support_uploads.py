"""A desk of uploads on a real export folder, with an index in memory and an intake that knows only what it needs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from connectors.export_folder.source import ExportFolder
from hub.errors import IndexUnavailableError
from hub.intake.build import source_context, source_folder
from hub.intake.rows import Counts, LoggedProblem, Refusal, RowFault
from hub.intake.uploads.box import UploadBox
from hub.intake.uploads.contract import UPLOADS
from hub.intake.uploads.desk import UploadDesk
from hub.intake.uploads.look import Looker
from hub.intake.versions import EventWriter
from hub.state.seen_index import SeenRow
from tests.support_intake import INSPECTION, catalog, config, csv_bytes, inspection

NAME, DEPARTMENT = "gannan-exports", "finance"
NOW = datetime(2026, 3, 4, 2, tzinfo=UTC)
#: Each fault is of another kind: a date, a code that no list knows, a name that is missing.
DIRT: Sequence[dict[str, str]] = ({"检查日期": "去年春天"}, {"检查结果": "尚可"}, {"检查对象名称": ""})


def rows(good: int = 5, *dirty: dict[str, str]) -> list[dict[str, str]]:
    """Rows of an export: good ones, then one for each of ``dirty``."""
    return [inspection(number, **more) for number, more in enumerate([*([{}] * good), *dirty], 1)]


def export(found: Sequence[dict[str, str]]) -> bytes:
    """As an old system writes it: GB18030, a title above the heading."""
    return csv_bytes(INSPECTION, found, encoding="gb18030", above=[["2026年抽查检查结果"]])


class Uploads:
    """``desk`` is that of the pages; ``take`` is what intake does, in the same folder. ``is_down``: no Redis."""

    def __init__(self, base: Path, name: str = NAME) -> None:
        self.base, self.name = base, name
        self.index: dict[bytes, SeenRow] = {}
        self.is_down = False
        self.now = NOW
        self.looks = ThreadPoolExecutor(1)
        source = self.source()
        self.writer = EventWriter(name, source.target, catalog().schema, b"only-for-tests")
        self.folder = source_folder(base / "data", name) / UPLOADS
        self.desk = UploadDesk(
            name, source.uploads, Looker(self.writer, self.peek), UploadBox(self.folder), self.looks, lambda: self.now
        )

    def source(self) -> ExportFolder:
        given = config(self.base / "in", name=self.name)
        return ExportFolder(source_context(given, catalog(), self.base / "data"))

    def peek(self, keys: Sequence[bytes]) -> list[SeenRow | None]:
        if self.is_down:
            raise IndexUnavailableError("Redis is away")
        return [self.index.get(key) for key in keys]

    def take(self) -> list[Counts]:
        """Everything that waits, to its end; what became of each file."""
        found = []
        for portion in self.source().portions():
            counts, problems = Counts(), list[LoggedProblem]()
            try:
                for batch in portion.batches(0):
                    counts.read, counts.skipped = batch.rows_read, batch.skipped
                    for item in self.writer.identify_all(batch.items):
                        self._take(item, counts, problems)
                portion.finish(counts, problems)
            except Refusal as refusal:
                portion.refuse(refusal)
            finally:
                portion.close()
            found.append(counts)
        return found

    def _take(self, item: Any, counts: Counts, problems: list[LoggedProblem]) -> None:
        if isinstance(item, RowFault):
            counts.rejected[item.problems[0].code] = counts.rejected.get(item.problems[0].code, 0) + 1
            problems += [LoggedProblem(item.place, problem, True) for problem in item.problems]
            return
        before = self.index.get(item.key)
        if before is not None and before.digest == item.digest:
            counts.repeated += 1
            return
        counts.accepted["recorded"] = counts.accepted.get("recorded", 0) + 1
        self.index[item.key] = SeenRow(before.version + 1 if before else 1, item.digest, item.row.state_type)


def cells_of(content: bytes) -> list[list[str]]:
    """The cells of a workbook's first sheet, as text."""
    found = load_workbook(io.BytesIO(content)).worksheets[0].iter_rows(values_only=True)
    return [["" if cell is None else str(cell) for cell in row] for row in found]
