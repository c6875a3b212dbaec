"""Small tables from outside, XLSX or CSV, read within bounds: forms that clerks filled in, or what pretends to be one.

Nothing is computed, fetched or unpacked beyond its bound, and a document type declaration, which no spreadsheet
program writes, is refused with every entity attack. Exports of whole systems are read by the connectors.
"""

from __future__ import annotations

import csv
import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.parsers import expat

from hub.errors import InputError

MAX_BYTES = 4 * 1024 * 1024
#: All that is read of a workbook, unpacked. A form of 20,000 lines takes some 8 MB.
MAX_UNPACKED = 32 * 1024 * 1024
MAX_ROWS, MAX_COLUMNS, MAX_CELL, _MAX_MEMBERS = 20_000, 64, 4_000, 500
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_DELIMITERS = ",\t;"


class UnreadableError(InputError):
    """A file that is no table. Text and ``remedy`` are Chinese: they go back to whoever sent it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


class Line(NamedTuple):
    """One row: its number as a spreadsheet shows it, its cells, and which of them hold a formula."""

    number: int
    cells: list[str]
    formulas: frozenset[int] = frozenset()


class Table(NamedTuple):
    """One sheet. ``days_1904`` is added to a serial day: what some workbooks count from."""

    name: str | None
    lines: list[Line]
    days_1904: int = 0


def read_tables(content: bytes) -> list[Table]:
    """The sheets of a file, by what it holds and not by its name. Raises UnreadableError."""
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"文件超过 {MAX_BYTES // 1024 // 1024} MB", "请分成几个文件")
    if not content.strip():
        raise UnreadableError("文件是空的", "请填写后重新放入")
    if content.startswith(_OLE):
        raise UnreadableError("旧格式（.xls）或加密的工作簿", "请去掉密码，另存为 .xlsx 后重新放入")
    if content.startswith(_ZIP):
        return _Workbook(content).tables()
    return [Table(None, list(_lines(_text(content))))]


def _text(content: bytes) -> str:
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    # GB18030 takes almost any bytes, so UTF-8 is asked first.
    for encoding in ["utf-16"] if is_wide else ["utf-8-sig", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise UnreadableError("不是 CSV 或 XLSX 表格", "请存为 UTF-8 编码的 CSV，或存为 .xlsx")


def _lines(text: str) -> Iterator[Line]:
    head = text[:4000].partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for cells in rows:
            number += 1
            if number > MAX_ROWS:
                raise _too_long()
            yield Line(number, [_bounded(cell) for cell in cells[:MAX_COLUMNS]])
    except csv.Error as error:
        problem = f"第 {number + 1} 行引号不成对，或内容过长"
        raise UnreadableError(problem, "内容含引号时，整个内容用双引号括起，内部引号写两次") from error


def _bounded(cell: str) -> str:
    # One beyond the bound stays visible as too long for every field that there is.
    return cell[: MAX_CELL + 1].strip()


def _too_long() -> UnreadableError:
    return UnreadableError(f"超过 {MAX_ROWS} 行", "请分成几个文件")


def _damaged(error: Exception) -> UnreadableError:
    return UnreadableError(f"工作簿已损坏，无法读取（{type(error).__name__}）", "请重新另存为 .xlsx 后放入")


class _Workbook:
    """A workbook whose table of contents has been looked at before anything was unpacked."""

    def __init__(self, content: bytes) -> None:
        try:
            self._package = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise _damaged(error) from error
        members = self._package.infolist()
        names = {member.filename for member in members}
        if len(members) > _MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
            raise UnreadableError("压缩内容异常：解压后体积过大", "请另存为普通的 .xlsx 后放入")
        if any(member.flag_bits & 1 for member in members):
            raise UnreadableError("文件有密码", "请去掉密码后重新放入")
        if "xl/workbook.xml" not in names:
            raise UnreadableError("压缩包不是 Excel 工作簿", "请直接放入 .xlsx 或 .csv 文件")
        if any(name.lower().endswith("vbaproject.bin") for name in names):
            raise UnreadableError("工作簿含有宏", "请另存为不含宏的 .xlsx 后放入")
        self._names, self._left = names, MAX_UNPACKED
        self._days_1904 = 0

    def tables(self) -> list[Table]:
        sheets = self._sheets()
        strings = self._strings()
        return [Table(name, self._rows(part, strings), self._days_1904) for name, part in sheets]

    def _part(self, name: str) -> bytes:
        try:
            with self._package.open(name) as part:
                content = part.read(self._left + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, KeyError,
                ValueError) as error:  # fmt: skip
            raise _damaged(error) from error
        self._left -= len(content)
        if self._left < 0:
            raise UnreadableError("压缩内容异常：解压后体积过大", "请另存为普通的 .xlsx 后放入")
        return content

    def _each(
        self, name: str, start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] = lambda tag: None, text: Callable[[str], None] = lambda data: None,
    ) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True

        def refuse(*_: object) -> None:
            raise UnreadableError("工作簿的 XML 含有实体声明", "请用 Excel 或 WPS 另存为 .xlsx 后放入")

        parser.StartDoctypeDeclHandler = refuse
        parser.EntityDeclHandler = refuse
        parser.StartElementHandler = lambda tag, attributes: start(tag.rpartition(":")[2], attributes)
        parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
        parser.CharacterDataHandler = text
        try:
            parser.Parse(self._part(name), True)
        except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
            raise _damaged(error) from error

    def _sheets(self) -> list[tuple[str, str]]:
        targets: dict[str, str] = {}
        sheets: list[tuple[str, str]] = []

        def see_relation(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = attributes.get("Target", "")
                path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
                targets[attributes.get("Id", "")] = path

        def see_sheet(tag: str, attributes: dict[str, str]) -> None:
            if tag == "sheet":
                relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
                sheets.append((attributes.get("name", ""), relation))
            elif tag == "workbookPr" and attributes.get("date1904", "0") in ("1", "true"):
                self._days_1904 = 1462

        if "xl/_rels/workbook.xml.rels" in self._names:
            self._each("xl/_rels/workbook.xml.rels", see_relation)
        self._each("xl/workbook.xml", see_sheet)
        parts = {name: targets.get(relation, "") for name, relation in sheets}
        return [(name, part) for name, part in parts.items() if part in self._names]

    def _strings(self) -> list[str]:
        found: list[str] = []
        if "xl/sharedStrings.xml" not in self._names:
            return found
        parts: list[str] = []
        state = {"is_text": False, "phonetic": 0}

        def start(tag: str, _: dict[str, str]) -> None:
            if tag == "si":
                parts.clear()
            elif tag == "rPh":  # pronunciation is shown above the text, it is not part of it
                state["phonetic"] += 1
            state["is_text"] = tag == "t" and not state["phonetic"]

        def end(tag: str) -> None:
            state["is_text"] = False
            if tag == "rPh":
                state["phonetic"] -= 1
            elif tag == "si":
                found.append(_bounded("".join(parts)))

        def text(data: str) -> None:
            if state["is_text"]:
                parts.append(data)

        self._each("xl/sharedStrings.xml", start, end, text)
        return found

    def _rows(self, part: str, strings: list[str]) -> list[Line]:
        reader = _SheetReader(strings)
        self._each(part, reader.start, reader.end, reader.text)
        return reader.lines


class _SheetReader:
    """Turns the XML of a sheet into rows of text."""

    def __init__(self, strings: list[str]) -> None:
        self.lines: list[Line] = []
        self._strings = strings
        self._number, self._column, self._type = 0, 0, "n"
        self._cells: list[str] = []
        self._formulas: set[int] = set()
        self._parts: list[str] = []
        self._is_text = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            given = attributes.get("r", "")
            self._number = int(given) if given.isdigit() and len(given) < 8 else self._number + 1
            self._cells, self._formulas, self._column = [], set(), -1
        elif tag == "c":
            place = attributes.get("r", "").rstrip("0123456789")
            self._column = _column(place) if place else self._column + 1
            self._type = attributes.get("t", "n")
            self._parts.clear()
        elif tag == "f":
            self._formulas.add(self._column)
        self._is_text = tag in ("v", "t")

    def text(self, data: str) -> None:
        if self._is_text:
            self._parts.append(data)

    def end(self, tag: str) -> None:
        self._is_text = False
        if tag == "c" and self._parts and self._column < MAX_COLUMNS:
            self._cells.extend([""] * (self._column + 1 - len(self._cells)))
            self._cells[self._column] = self._value("".join(self._parts))
        elif tag == "row":
            if len(self.lines) >= MAX_ROWS:
                raise _too_long()
            self.lines.append(Line(self._number, self._cells, frozenset(self._formulas)))

    def _value(self, raw: str) -> str:
        if self._type != "s":
            return _bounded(raw)
        try:
            index = int(raw)
            if index < 0:
                raise IndexError(index)
            return self._strings[index]
        except (ValueError, IndexError) as error:
            raise _damaged(error) from error


def _column(letters: str) -> int:
    """0 for A, 26 for AA; what no spreadsheet has is far beyond every bound."""
    if not 0 < len(letters) <= 3 or not (letters.isascii() and letters.isupper()):
        return MAX_COLUMNS
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1
