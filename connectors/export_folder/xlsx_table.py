"""XLSX sheets: streamed row by row, merged cells filled, serial dates as dates.

A sheet names its merged ranges behind its rows, so the sheet is scanned once for them (and for
formulas) before it is read.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from xml.parsers import expat

from connectors.export_folder.table import MAX_COLUMNS, BrokenRow, Sheet
from connectors.export_folder.xlsx_package import (
    Attributes,
    SharedStrings,
    chunks,
    damaged_xml,
    date_styles,
    local_name,
    new_parser,
    open_package,
    sheet_parts,
)
from hub.intake import Refusal

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')
#: The beginning of the tag alone: its attributes may be longer than what is kept of the piece before.
_FORMULA = re.compile(rb"<(?:\w+:)?f(?=[\s/>])")
_PROLOGUE = re.compile(rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([^"']{1,40})["']""")
#: Rows and columns as a workbook numbers them at most.
_MAX_ROW_DIGITS, _MAX_COLUMN_LETTERS = 7, 3
_LAST_CELL = re.compile(rb'<(?:\w+:)?c\s[^>]*?r="([A-Z]{1,3}\d{1,7})"')
#: More merged ranges than any hand makes; they are all held in memory.
_MAX_MERGED = 200_000
#: An element that straddles two pieces is shorter than this.
_OVERLAP = 2048


@lru_cache(maxsize=1024)
def column_index(letters: str) -> int:
    """0 for A, 25 for Z, 26 for AA; ``MAX_COLUMNS`` for what is no column of a workbook."""
    if not (letters.isascii() and letters.isalpha() and letters.isupper() and len(letters) <= _MAX_COLUMN_LETTERS):
        return MAX_COLUMNS
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


class XlsxSheet:
    """One sheet of a workbook. ``rows`` may be called again; one reading at a time."""

    def __init__(self, table: XlsxTable, name: str, part: str) -> None:
        self._table = table
        self.part = part
        self.name = name
        self.is_1904 = table.is_1904
        self.size = table.package.getinfo(part).file_size
        self._read = 0
        self.merged: list[tuple[int, int, int, int]] = []

    def done(self) -> int:
        """Bytes of XML read so far."""
        return self._read

    def rows(self) -> Iterator[tuple[int, list[str] | BrokenRow]]:
        """Rows that the file has, with their own numbers; rows that it leaves out are blank."""
        rows = self._plain_rows()
        return _filled(rows, self.merged) if self.merged else iter(rows)

    def _plain_rows(self) -> Iterator[tuple[int, list[str] | BrokenRow]]:
        reader = _SheetReader(self._table.strings, self._table.dates, self.is_1904)
        self._read = 0
        for chunk in chunks(self._table.package, self.part):
            self._read += len(chunk)
            reader.feed(chunk)
            yield from reader.take()
        reader.feed(None)
        yield from reader.take()


class _SheetReader:
    """Turns the XML of a sheet into rows of text."""

    def __init__(self, strings: SharedStrings, dates: frozenset[str], is_1904: bool) -> None:
        self._strings = strings
        self._dates = dates
        self._epoch = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30)
        self._rows: list[tuple[int, list[str] | BrokenRow]] = []
        self._cells: list[str] = []
        self._number = 0
        self._type = self._style = ""
        self._column = 0
        self._is_text = False
        self._phonetic = 0
        self._parts: list[str] = []
        parser = new_parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def feed(self, chunk: bytes | None) -> None:
        try:
            self._parser.Parse(chunk or b"", chunk is None)
        except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
            raise damaged_xml(error) from error

    def take(self) -> list[tuple[int, list[str] | BrokenRow]]:
        rows, self._rows = self._rows, []
        return rows

    def _start(self, tag: str, attributes: Attributes) -> None:
        if ":" in tag:
            tag = local_name(tag)
        if tag == "c":
            place = attributes.get("r")
            # Without a place it is the one behind the last, which may have been empty.
            self._column = column_index(place.rstrip("0123456789")) if place else self._column + 1
            self._type = attributes.get("t", "n")
            self._style = attributes.get("s", "")
            self._parts.clear()
        elif tag == "v" or tag == "t":
            self._is_text = not self._phonetic
        elif tag == "row":
            self._cells = []
            self._column = -1
            self._number = self._row_number(attributes.get("r"))
        elif tag == "rPh":
            self._phonetic += 1

    def _row_number(self, given: str | None) -> int:
        """Rows come in their order; a number that goes back or beyond is that of no row that can be shown."""
        if not given:
            return self._number + 1
        is_number = given.isascii() and given.isdigit() and len(given) <= _MAX_ROW_DIGITS
        if not is_number or int(given) <= self._number:
            raise damaged_xml(ValueError(f"row {self._number + 1} says that it is row {given[:20]}"))
        return int(given)

    def _text(self, data: str) -> None:
        if self._is_text:
            self._parts.append(data)

    def _end(self, tag: str) -> None:
        if ":" in tag:
            tag = local_name(tag)
        if tag == "v" or tag == "t":
            self._is_text = False
        elif tag == "c":
            if self._parts and self._column < MAX_COLUMNS:
                cells = self._cells
                cells.extend([""] * (self._column + 1 - len(cells)))
                cells[self._column] = self._value("".join(self._parts))
        elif tag == "row":
            self._rows.append((self._number, self._cells))
        elif tag == "rPh":
            self._phonetic -= 1

    def _value(self, raw: str) -> str:
        kind = self._type
        if kind == "s":
            try:
                return self._strings.get(int(raw))
            except ValueError as error:
                raise damaged_xml(error) from error
        if kind == "n":
            return self._date(raw) if self._style in self._dates else _number_text(raw)
        if kind == "b":
            return "TRUE" if raw == "1" else "FALSE"
        return raw

    def _date(self, raw: str) -> str:
        try:
            days = float(raw)
            if not 0 < days < 80_000:  # until 2119; what lies outside is a number that looks like a date
                return _number_text(raw)
            moment = self._epoch + timedelta(days=days)
        except (ValueError, OverflowError):
            return raw
        if days == int(days):
            return date(moment.year, moment.month, moment.day).isoformat()
        return (moment + timedelta(milliseconds=500)).replace(microsecond=0).isoformat(" ")


def _number_text(raw: str) -> str:
    """A number as a person would write it: 12, 0.3, but 6.23E+17 stays so that lost digits show."""
    if len(raw) < 12 and "." not in raw and "E" not in raw and "e" not in raw:
        return raw
    try:
        value = float(raw)
    except ValueError:
        return raw
    if not math.isfinite(value):
        return raw
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:E}" if abs(value) >= 1e15 else repr(value)


def _filled(
    rows: Iterator[tuple[int, list[str] | BrokenRow]],
    merged: list[tuple[int, int, int, int]],
) -> Iterator[tuple[int, list[str] | BrokenRow]]:
    """Rows with every cell of a merged range showing what its first cell holds."""
    waiting = sorted(merged, reverse=True)
    active: list[tuple[tuple[int, int, int, int], str]] = []
    for number, cells in rows:
        assert isinstance(cells, list)
        active = [entry for entry in active if entry[0][2] >= number]
        while waiting and waiting[-1][0] <= number:
            area = waiting.pop()
            if area[0] == number and area[1] < len(cells):
                active.append((area, cells[area[1]]))
        for (_, left, _, right), text in active:
            if text:
                cells.extend([""] * (right + 1 - len(cells)))
                for column in range(left, right + 1):
                    cells[column] = cells[column] or text
        yield number, cells


class XlsxTable:
    """A workbook, opened. Holds the archive and the table of texts until ``close``."""

    def __init__(self, path: Path) -> None:
        self.package: zipfile.ZipFile = open_package(path)
        try:
            parts, self.is_1904 = sheet_parts(self.package)
            self.dates = date_styles(self.package)
            self.strings = SharedStrings(self.package)
        except BaseException:
            self.package.close()
            raise
        self._sheets = [XlsxSheet(self, name, part) for name, part in parts]

    def sheets(self) -> list[Sheet]:
        """The visible sheets in the order of their tabs."""
        return list(self._sheets)

    def prepare(self, sheet: Sheet, heading_row: int) -> Sheet:
        """Scans the sheet for merged ranges below the heading, and refuses one with formulas."""
        assert isinstance(sheet, XlsxSheet)
        merged: list[tuple[int, int, int, int]] = []
        tail = b""
        for chunk in chunks(self.package, sheet.part):
            piece = tail + chunk
            if not tail:
                self._expect_plain(sheet, piece)
            formula = _FORMULA.search(piece)
            if formula:
                cells = _LAST_CELL.findall(piece, 0, formula.start())
                place = cells[-1].decode() if cells else "?"
                raise Refusal(
                    "formula",
                    f"工作表“{sheet.name}”含有公式（{place}）。请全选，选择性粘贴为“数值”后再提交。",
                    f"Sheet {sheet.name} holds a formula ({place}). Paste as values and hand in again.",
                )
            # Matches that end within the tail are found again in the next piece; the set removes doubles.
            for left, top, right, bottom in _MERGED.findall(piece):
                area = (
                    int(top),
                    column_index(left.decode()),
                    int(bottom),
                    min(column_index(right.decode()), MAX_COLUMNS - 1),
                )
                if area[0] > heading_row:
                    merged.append(area)
            if len(merged) > _MAX_MERGED:
                raise Refusal(
                    "too-large",
                    "合并单元格过多。请取消合并后再提交。",
                    "Too many merged cells. Unmerge them.",
                )
            tail = piece[-_OVERLAP:]
        sheet.merged = sorted(set(merged))
        return sheet

    @staticmethod
    def _expect_plain(sheet: XlsxSheet, beginning: bytes) -> None:
        """The scan looks for tags in bytes: in another encoding than every program's it would see none."""
        found = _PROLOGUE.match(beginning)
        named = found.group(1).lower() if found else b"utf-8"
        if named not in (b"utf-8", b"us-ascii", b"ascii") or b"\0" in beginning[:100]:
            raise Refusal(
                "damaged",
                f"工作表“{sheet.name}”的 XML 不是 UTF-8 编码。请用 Excel 或 WPS 另存为 .xlsx 后再提交。",
                f"The XML of sheet {sheet.name} is not in UTF-8. Save it as .xlsx by Excel or WPS.",
            )

    def close(self) -> None:
        """Closes the archive and removes the table of texts."""
        self.strings.close()
        self.package.close()
