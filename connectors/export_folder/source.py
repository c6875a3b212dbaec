"""The source: files of a folder, each a portion, read by the mapping whose headings it has."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from connectors.export_folder.archive import archive_finished, archive_refused
from connectors.export_folder.csv_table import CsvTable
from connectors.export_folder.heading import Heading, find_heading
from connectors.export_folder.settings import ExportFolderSettings
from connectors.export_folder.table import BrokenRow, Content, Table, examine
from connectors.export_folder.xlsx_table import XlsxTable
from hub.intake import (
    MANIFEST_NAME,
    Batch,
    ContractError,
    Counts,
    InputError,
    LoggedProblem,
    Place,
    Refusal,
    Row,
    RowFault,
    SourceContext,
)
from hub.intake.mapping import RowMapping, RowReader, broken_row_fault, check_mapping, load_mapping

#: Mappings that the connector brings along.
MAPPINGS = Path(__file__).parent / "mappings"
#: Rows of a batch: enough to spread the cost of a broker's and an index's answer, small in memory.
BATCH_ROWS = 1000
#: Ends of names that are our own, or a file that another program is still writing.
_NOT_OURS = (
    ".tmp",
    ".part",
    ".partial",
    ".crdownload",
    ".filepart",
    ".swp",
    ".errors.xlsx",
    ".errors.csv",
    ".report.json",
    ".refused.txt",
    ".refused.json",
)


class ExportFolder:
    """Reads what lies in the source's folder. See ``hub.intake.Source`` for the contract."""

    Settings = ExportFolderSettings

    def __init__(self, context: SourceContext) -> None:
        settings = context.config.settings
        assert isinstance(settings, ExportFolderSettings)
        self._context = context
        self._settings = settings
        mappings = [load_mapping(name, MAPPINGS) for name in settings.mappings]
        self._mappings = {mapping.kind: mapping for mapping in mappings}
        if len(self._mappings) != len(mappings):
            raise ContractError(f"source {context.config.name}: two mappings have the same kind")
        for mapping in self._mappings.values():
            check_mapping(mapping, context)
        self._seen: dict[Path, tuple[int, int, float]] = {}

    @property
    def name(self) -> str:
        return self._context.config.name

    @property
    def topics(self) -> Mapping[str, str]:
        return {mapping.topic: mapping.schema_name for mapping in self._mappings.values()}

    def target(self, kind: str) -> tuple[str, str]:
        mapping = self._mappings[kind]
        return mapping.topic, mapping.schema_name

    def portions(self) -> Iterator[ExportFile]:
        """Files that nobody writes any more, oldest first. A folder that is missing is made."""
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        for path in self._waiting():
            if self._is_settled(path):
                yield ExportFile(path, self._context, self._settings, list(self._mappings.values()))

    def waits(self) -> bool:
        return bool(self._waiting())

    def check(self) -> list[str]:
        """The folder, and the headings of every file in it; nothing is moved or published."""
        if not self._settings.folder.is_dir():
            return [f"folder {self._settings.folder} is missing"]
        found = []
        for path in self._waiting():
            portion = ExportFile(path, self._context, self._settings, list(self._mappings.values()))
            try:
                portion.open()
            except Refusal as refusal:
                found.append(f"{path.name}: {refusal}")
            except (OSError, InputError) as error:
                found.append(f"{path.name}: {error}")
            finally:
                portion.close()
        return found

    def close(self) -> None:
        """Nothing is held open between files."""

    def _waiting(self) -> list[Path]:
        try:
            entries = list(os.scandir(self._settings.folder))
        except FileNotFoundError:
            return []
        files = []
        for entry in entries:
            name = entry.name
            if name.startswith((".", "~$")) or name.lower().endswith(_NOT_OURS):
                continue
            if self._context.config.manifest_key is not None and MANIFEST_NAME.fullmatch(name):
                continue  # the hub takes it
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                files.append((status.st_mtime_ns, name))
        return [self._settings.folder / name for _, name in sorted(files)]

    def _is_settled(self, path: Path) -> bool:
        """Whether size and time of change have stayed for ``settle_seconds``, as seen by our own clock:
        the time of change comes from another machine as often as not."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        now = time.monotonic()
        mark = (status.st_size, status.st_mtime_ns)
        seen = self._seen.get(path)
        if seen is None or seen[:2] != mark:
            self._seen[path] = (*mark, now)
            # A file much older than we have been watching needs no second look.
            return time.time() - status.st_mtime >= self._settings.settle_seconds
        return now - seen[2] >= self._settings.settle_seconds


class ExportFile:
    """One file. See ``hub.intake.Portion`` for the contract."""

    def __init__(
        self, path: Path, context: SourceContext, settings: ExportFolderSettings, mappings: list[RowMapping]
    ) -> None:
        self.path = path
        self._settings = settings
        self._context = context
        self._mappings = mappings
        self._table: Table | None = None
        self._heading: Heading | None = None
        self._status = path.lstat()

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def _content(self) -> Content | Refusal:
        """The pass over the bytes, made once; a refusal is kept until ``batches`` may raise it."""
        if not stat.S_ISREG(self._status.st_mode):
            return Refusal(
                "unsafe-name",
                "这是链接或设备，不是普通文件，拒绝读取。",
                "A link or device, no regular file: refused.",
            )
        if any(ord(char) < 32 or char in "/\\" for char in self.name) or not self.name.isprintable():
            return Refusal(
                "unsafe-name",
                "文件名含有路径或控制字符，拒绝读取。",
                "The name holds a path or control characters.",
            )
        try:
            return examine(self.path, self._settings.max_file_bytes)
        except Refusal as refusal:
            return refusal

    @property
    def sha256(self) -> str:
        """Digest of the content; of name and size where the content may not be read."""
        content = self._content
        return content.sha256 if isinstance(content, Content) else f"unread-{self._status.st_size}"

    @property
    def identity(self) -> str:
        return f"{self.name}|{self._status.st_size}|{self.sha256}"

    @property
    def size(self) -> int | None:
        return self._heading.sheet.size if self._heading else None

    def open(self) -> Heading:
        """Opens the table and finds its heading. Raises ``Refusal``."""
        if self._heading is None:
            content = self._content
            if isinstance(content, Refusal):
                raise content
            self._table = (
                CsvTable(self.path, content.encoding, content.size)
                if content.encoding
                else XlsxTable(self.path)
            )
            heading = find_heading(self._table.sheets(), self._mappings)
            self._heading = heading._replace(sheet=self._table.prepare(heading.sheet, heading.row))
        return self._heading

    def batches(self, rows_finished: int) -> Iterator[Batch]:
        """The rows behind the first ``rows_finished``. Raises ``InputError`` if the file changed."""
        heading = self.open()
        reader = RowReader(heading.layout, self._context)
        read = skipped = 0
        items: list[Row | RowFault] = []
        for item in self._items(heading, reader):
            if item is None:
                skipped += 1
                continue
            read += 1
            if read <= rows_finished:
                continue
            items.append(item)
            if len(items) >= BATCH_ROWS:
                yield Batch(items, read, heading.sheet.done(), skipped)
                items = []
        self._expect_unchanged()
        yield Batch(items, read, heading.sheet.done(), skipped)

    def _items(self, heading: Heading, reader: RowReader) -> Iterator[Row | RowFault | None]:
        name, sheet, first = self.name, heading.sheet.name, heading.row
        for number, cells in heading.sheet.rows():
            if number <= first:
                continue
            place = Place(name, sheet, number)
            if isinstance(cells, BrokenRow):
                yield broken_row_fault(cells.problem, cells.remedy, cells.text, place)
            elif any(cells):
                yield reader.read_texts(cells, place)
            else:
                yield None

    def _expect_unchanged(self) -> None:
        now = self.path.lstat()
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (
            self._status.st_size,
            self._status.st_mtime_ns,
            self._status.st_ino,
        ):
            raise InputError(f"{self.name}: the file changed while it was read; it will be read anew")

    def finish(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        assert self._heading is not None
        archive_finished(
            self.path, self.sha256, self._heading.mapping.kind, counts, problems, self._settings.errors
        )

    def refuse(self, refusal: Refusal) -> None:
        archive_refused(self.path, self.sha256, refusal)

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None
            self._heading = None
