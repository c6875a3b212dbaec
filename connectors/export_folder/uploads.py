"""Files that a department's people hand in by a page: they lie in the source's own folder and are read as its exports.

The page and intake run in different processes and share this folder, not the department's: the page need not be able to
write where the department's system does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from connectors.export_folder.archive import Archive
from connectors.export_folder.file import ExportFile, is_an_export, is_safe_name
from connectors.export_folder.moving import give_back
from connectors.export_folder.settings import ExportSettings
from connectors.export_folder.table import BrokenRow
from hub.intake import UPLOADS, RawRow, Refusal, SourceContext
from hub.intake.mapping import RowMapping


class Uploads:
    """See ``hub.intake.UploadFiles``. A file appears here whole, by a link: nobody is still writing it."""

    def __init__(self, context: SourceContext, settings: ExportSettings, mappings: Iterable[RowMapping]) -> None:
        self._folder = context.folder / UPLOADS
        self._context, self._settings, self._mappings = context, settings, list(mappings)
        self._archive = Archive(settings.errors)

    @property
    def titles(self) -> list[str]:
        """What it takes, in Chinese."""
        return [mapping.title for mapping in self._mappings]

    def waiting(self) -> list[ExportFile]:
        """Those that intake, which alone may ask, has to read, oldest first."""
        give_back(self._folder)
        try:
            entries = list(os.scandir(self._folder))
        except FileNotFoundError:
            return []
        found = []
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_an_export(entry.name) and not stat.S_ISDIR(status.st_mode):
                found.append((status.st_mtime_ns, entry.name))
        return [self.file(self._folder / name) for _, name in sorted(found)]

    def file(self, path: Path) -> ExportFile:
        """A file as a portion; it moves within its own folder when it is finished or refused."""
        return ExportFile(path, self._context, self._settings, self._mappings, self._archive)

    def raw_rows(self, path: Path, numbers: Collection[int]) -> Iterator[RawRow]:
        """The heading as it is written, under its number, then the rows of these numbers. Raises ``Refusal``."""
        file = self.file(path)
        try:
            heading = file.open()
            width = max(heading.layout.written, default=-1) + 1
            yield RawRow(heading.row, [heading.layout.written.get(at, "") for at in range(width)])
            for number, cells in heading.sheet.rows():
                if number in numbers and number > heading.row:
                    yield RawRow(number, [cells.text] if isinstance(cells, BrokenRow) else cells)
        finally:
            file.close()

    @staticmethod
    def refusal_of_name(name: str) -> Refusal | None:
        """Why a file of that name would never be read, if so."""
        if not name or not is_safe_name(name):
            return Refusal(
                "unsafe-name",
                "文件名含有路径、控制字符，或不是 UTF-8 编码，拒绝读取。请改名后重新提交。",
                "The name holds a path or control characters, or is not in UTF-8. Rename it.",
            )
        if not is_an_export(name):
            return Refusal(
                "not-an-export",
                "这是临时文件、系统的问题清单或报告，不是导出数据。请选择业务数据文件；如确为数据，请改名后重新提交。",
                "A temporary file, or a list of problems or a report of ours, no export. Choose the data itself; if it "
                "is that, rename it.",
            )
        return None
