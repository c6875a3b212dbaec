"""A file of an export: whose it is by its name, and its rows, read by the mapping whose headings it has.

The SFTP folder reads with this module too: where a file comes from and where it goes is said by its ``Ending``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import dropwhile, islice, repeat
from pathlib import Path
from typing import Protocol

from connectors.export_folder.csv_table import CsvTable
from connectors.export_folder.heading import Heading, find_heading
from connectors.export_folder.moving import Stamp
from connectors.export_folder.settings import ExportSettings
from connectors.export_folder.table import BrokenRow, Content, Table, digest_of, examine
from connectors.export_folder.xlsx_table import XlsxTable
from hub.intake import (
    Batch,
    ContractError,
    Counts,
    Handle,
    InputError,
    LoggedProblem,
    Place,
    Refusal,
    Row,
    RowFault,
    SourceContext,
    mask_personal,
)
from hub.intake.mapping import RowMapping, RowReader, broken_row_fault, check_mapping, load_mapping

#: Mappings that the connector brings along.
MAPPINGS = Path(__file__).parent / "mappings"
# Without the call of Python code that a named tuple's own constructor is.
_place = partial(tuple.__new__, Place)
#: Rows of a batch: enough to spread the cost of a broker's and an index's answer, small in memory.
BATCH_ROWS = 1000
#: A batch ends sooner where its rows have more cells than these together: blank ones of 65,536 columns fill memory too.
_BATCH_CELLS = 200_000
#: Rows whose cells are counted at once; they divide a batch.
_SOME_ROWS = 20
#: Of a usual export, to say how many rows a file has.
_ROW_BYTES = 200
#: Begins the digest of a file whose content is not read.
UNREAD = "unread-"
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


def _chunk(rows: Iterator[tuple[int, list[str] | BrokenRow]]) -> list[tuple[int, list[str] | BrokenRow]]:
    """The next rows of a sheet, as many as make a batch; none at its end."""
    found: list[tuple[int, list[str] | BrokenRow]] = []
    cells = 0
    while len(found) < BATCH_ROWS and cells < _BATCH_CELLS and (some := list(islice(rows, _SOME_ROWS))):
        found += some
        cells += sum([len(row) for _, row in some])
    return found


def is_an_export(name: str) -> bool:
    """Whether a file of that name is to be read: not hidden, not our own, not one that is being written."""
    return not name.startswith((".", "~$")) and not name.lower().endswith(_NOT_OURS)


def is_safe_name(name: str) -> bool:
    """Whether a name holds neither a path nor control characters."""
    return name.isprintable() and not any(ord(char) < 32 or char in "/\\" for char in name)


def shown_name(name: str) -> str:
    """A name that logs, records and reports can hold: bytes that are no text are shown as such, a personal number
    is masked."""
    return mask_personal(os.fsencode(name).decode("utf-8", "backslashreplace"))


def load_mappings(names: Sequence[str], context: SourceContext) -> Mapping[str, RowMapping]:
    """The mappings of a source by their kind. Raises ``ContractError`` for those that cannot work."""
    mappings = [load_mapping(name, MAPPINGS) for name in names]
    by_kind = {mapping.kind: mapping for mapping in mappings}
    if len(by_kind) != len(mappings):
        raise ContractError(f"source {context.config.name}: two mappings have the same kind")
    for mapping in by_kind.values():
        check_mapping(mapping, context)
    return by_kind


class FileSource:
    """What sources of files have in common: mappings by kind, and where their rows go."""

    def __init__(self, context: SourceContext, mappings: Sequence[str]) -> None:
        self._context = context
        self._mappings = load_mappings(mappings, context)

    @property
    def name(self) -> str:
        return self._context.config.name

    @property
    def topics(self) -> Mapping[str, str]:
        return {mapping.topic: mapping.schema_name for mapping in self._mappings.values()}

    def target(self, kind: str) -> tuple[str, str]:
        mapping = self._mappings[kind]
        return mapping.topic, mapping.schema_name

    def reopen(self, content: tuple[Path, Content, os.stat_result]) -> ExportFile:
        """See ``hub.intake.Portion``."""
        settings = self._context.config.settings
        assert isinstance(settings, ExportSettings)
        return ExportFile(content[0], self._context, settings, self._mappings.values(), None, seen=content[1:])


class Ending(Protocol):
    """What becomes of a file in the end, and of what is told to its sender. Both may be called twice with
    the same words: a kill may come behind the first."""

    def finished(self, file: ExportFile, kind: str, counts: Counts, problems: Iterable[LoggedProblem]) -> None: ...

    def refused(self, file: ExportFile, refusal: Refusal) -> None: ...


class ExportFile:
    """One file. See ``hub.intake.Portion`` for the contract. ``seen`` is what another process has seen of it; one
    without ``ending`` is only read."""

    def __init__(
        self,
        path: Path,
        context: SourceContext,
        settings: ExportSettings,
        mappings: Iterable[RowMapping],
        ending: Ending | None,
        *,
        seen: tuple[Content, os.stat_result] | None = None,
    ) -> None:
        self.path = path
        self._ending = ending
        self._settings = settings
        self._context = context
        self._mappings = list(mappings)
        self._table: Table | None = None
        self._heading: Heading | None = None
        self._status = path.lstat() if seen is None else seen[1]
        if seen is not None:
            self._content = seen[0]

    @property
    def name(self) -> str:
        return shown_name(self.path.name)

    @cached_property
    def _content(self) -> Content | Refusal:
        """The pass over the bytes, made once; a refusal is kept until ``batches`` may raise it."""
        if not stat.S_ISREG(self._status.st_mode):
            return Refusal(
                "unsafe-name",
                "这是链接或设备，不是普通文件，拒绝读取。",
                "A link or device, no regular file: refused.",
            )
        if not is_safe_name(self.path.name):
            return Refusal(
                "unsafe-name",
                "文件名含有路径、控制字符，或不是 UTF-8 编码，拒绝读取。请改名后重新提交。",
                "The name holds a path or control characters, or is not in UTF-8. Rename it.",
            )
        try:
            return examine(self.path, self._settings.max_file_bytes)
        except Refusal as refusal:
            return refusal

    @cached_property
    def sha256(self) -> str:
        """Digest of the content; of size, time and inode where that is not read: a link, a file beyond the limit."""
        content = self._content
        if isinstance(content, Content):
            return content.sha256
        if stat.S_ISREG(self._status.st_mode) and self._status.st_size <= self._settings.max_file_bytes:
            with suppress(OSError):  # refused by its name alone, and nobody lets us read it
                return digest_of(self.path)
        said = "|".join(map(str, self.stamp))
        return UNREAD + hashlib.blake2b(said.encode(), digest_size=10).hexdigest()

    @property
    def stamp(self) -> Stamp:
        """Of what is read, here or by another process."""
        return Stamp.of(self._status)

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

    def handle(self) -> Handle | None:
        """Of a text file; a workbook would have to be unpacked twice. Raises ``Refusal``."""
        self.open()  # which finds the mapping that the end is told by
        content = self._content
        if isinstance(content, Refusal) or content.encoding is None:
            return None
        return Handle(content.size // _ROW_BYTES, (self.path, content, self._status))

    def batches(self, rows_finished: int) -> Iterator[Batch]:
        """The rows behind the first ``rows_finished``. Raises ``InputError`` if the file changed."""
        heading = self.open()
        reader = RowReader(heading.layout, self._context)
        read = skipped = 0
        last = Batch([], 0)
        rows = dropwhile(lambda row: row[0] <= heading.row, heading.sheet.rows())
        while chunk := _chunk(rows):
            found = self._items(chunk, heading.sheet.name, reader)
            items = [item for item in found if item is not None]
            skipped += len(found) - len(items)
            first = max(rows_finished - read, 0)
            read += len(items)
            if last.items:
                yield last
            last = Batch(items[first:], read, heading.sheet.done(), skipped)
        self._expect_unchanged()
        yield last._replace(done=heading.sheet.done())

    def _items(
        self, chunk: Sequence[tuple[int, list[str] | BrokenRow]], sheet: str | None, reader: RowReader
    ) -> list[Row | RowFault | None]:
        """What each of the rows is; ``None`` for what is no data."""
        name = self.name
        numbers, rows = zip(*chunk, strict=True)
        if set(map(type, rows)) == {list} and all(map(any, rows)):
            places = list(map(_place, zip(repeat(name), repeat(sheet), numbers)))
            return reader.all_texts(rows, places)
        found: list[Row | RowFault | None] = [None] * len(chunk)
        at: list[int] = []
        raws: list[list[str]] = []
        places = []
        for number, (row, cells) in enumerate(chunk):
            if isinstance(cells, BrokenRow):
                found[number] = broken_row_fault(cells.problem, cells.remedy, cells.text, Place(name, sheet, row))
            elif any(cells):
                at.append(number)
                raws.append(cells)
                places.append(Place(name, sheet, row))
        for number, item in zip(at, reader.all_texts(raws, places), strict=True):
            found[number] = item
        return found

    def _expect_unchanged(self) -> None:
        if Stamp.of(self.path.lstat()) != self.stamp:
            raise InputError(f"{self.name}: the file changed while it was read; it will be read anew")

    def finish(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None:
        assert self._heading is not None and self._ending is not None
        self._ending.finished(self, self._heading.mapping.kind, counts, problems)

    def refuse(self, refusal: Refusal) -> None:
        assert self._ending is not None
        self._ending.refused(self, refusal)

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None
            self._heading = None
