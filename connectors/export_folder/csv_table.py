"""CSV files: streamed, with the faults of hand-made quoting kept to the row that has them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from connectors.export_folder.table import MAX_CELL_CHARACTERS, BrokenRow, Sheet

DELIMITERS = (",", "\t", ";", "|")
#: Lines that one record may span by quoted line breaks; more is a quote that was never closed.
_MAX_LINES = 200
#: Lines are cut at once up to so many characters, some 500 of a usual export; by lines alone, wide ones would fill the
#: memory.
_BLOCK_CHARACTERS = 128 * 1024

csv.field_size_limit(MAX_CELL_CHARACTERS)


class _Lines:
    """Lines of a block that remember those of the record being read, so that it can be given up. A record that is
    not finished at the end of the block goes on in the file."""

    def __init__(self, block: Iterable[str], file: TextIO) -> None:
        self._block = iter(block)
        self._file = file
        self._returned: list[str] = []
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.pop() if self._returned else self._next()
        if len(self.taken) >= _MAX_LINES:
            self._returned.append(line)
            raise csv.Error("a quote is not closed")
        self.taken.append(line)
        return line

    def _next(self) -> str:
        for line in self._block:
            return line
        if self.taken:
            return next(self._file)
        raise StopIteration

    def give_back(self) -> str:
        """Gives back all lines of the record but its first, which is returned."""
        first, *rest = self.taken
        self._returned.extend(reversed(rest))
        self.taken.clear()
        return first


class CsvSheet:
    """The one sheet of a CSV file, cut by one delimiter."""

    is_1904 = False
    name = None

    def __init__(self, path: Path, encoding: str, delimiter: str, size: int) -> None:
        self._path = path
        self._encoding = encoding
        self._delimiter = delimiter
        self._file: TextIO | None = None
        self.size = size

    def done(self) -> int:
        """Bytes read so far, by the buffer's measure."""
        return self._file.buffer.tell() if self._file and not self._file.closed else self.size

    def rows(self) -> Iterator[tuple[int, list[str] | BrokenRow]]:
        """Numbers count records, as a spreadsheet shows them, not lines of the file."""
        with self._path.open("r", encoding=self._encoding, newline="") as file:
            self._file = file
            number = 0
            while block := file.readlines(_BLOCK_CHARACTERS):
                plain = self._plain(block)
                if plain is not None:
                    yield from enumerate(plain, number + 1)
                    number += len(plain)
                    continue
                for cells in self._records(block, file):
                    number += 1
                    yield number, cells

    def _plain(self, block: list[str]) -> list[list[str]] | None:
        """The records of a block in which each is one line and none is at fault, all at once."""
        try:
            records = list(csv.reader(block, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return None
        return records if len(records) == len(block) else None

    def _records(self, block: list[str], file: TextIO) -> Iterator[list[str] | BrokenRow]:
        lines = _Lines(block, file)
        taken = lines.taken
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            try:
                for cells in reader:
                    yield cells
                    taken.clear()
                return
            except csv.Error:
                line = lines.give_back()
                yield self._mend(line)
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)

    def _mend(self, line: str) -> list[str] | BrokenRow:
        """A line such as ``"甲"公司,...`` is plain enough; one whose quote stays open is not."""
        try:
            mended = next(csv.reader([line], delimiter=self._delimiter), [])
        except csv.Error:
            mended = []
        if mended and not any(
            len(cell) >= MAX_CELL_CHARACTERS or "\n" in cell or "\r" in cell for cell in mended
        ):
            return mended
        return BrokenRow(
            "引号不成对，或内容过长，无法分列",
            "内容含引号时，整个内容用双引号括起，内部引号写两次",
            line[:400],
        )


class CsvTable:
    """A CSV file: a sheet for each delimiter that could be meant, the heading decides."""

    def __init__(self, path: Path, encoding: str, size: int) -> None:
        self._sheets: list[Sheet] = [CsvSheet(path, encoding, delimiter, size) for delimiter in DELIMITERS]

    def sheets(self) -> list[Sheet]:
        """One reading of the file per delimiter."""
        return self._sheets

    def prepare(self, sheet: Sheet, heading_row: int) -> Sheet:
        """Nothing to prepare: text has no merged cells and no formulas of its own."""
        return sheet

    def close(self) -> None:
        """Nothing is held open between readings."""
