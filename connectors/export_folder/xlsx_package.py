"""The parts of an .xlsx file around its sheets, and the guards against hostile ones.

Everything is read as a stream with limits. A document type declaration, which no spreadsheet
program writes, is refused, and with it every entity attack.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO
from xml.parsers import expat

from connectors.export_folder.table import MAX_CELL_CHARACTERS
from hub.intake import Refusal

#: All members together, unpacked. A million rows of thirty columns take about 3 GB of XML.
MAX_UNPACKED_BYTES = 6 * 1024**3
#: Real sheets pack 10 to 60 times; 250 leaves room, a bomb has 1,000 and more.
MAX_RATIO = 250
#: Small members may pack well without harm (an empty styles part).
_RATIO_FLOOR = 1 << 20
_MAX_MEMBERS = 5000
#: Parts that are held in memory whole: workbook, relations, styles.
_MAX_SMALL_PART = 16 << 20
_CHUNK = 1 << 18

#: Excel's own limit is 255; what is longer would be searched for as long as its square.
_MAX_FORMAT = 1000

Attributes = dict[str, str]
#: Built-in number formats that show a date or time of day (ECMA-376, 18.8.30), with the East Asian ones.
_DATE_FORMATS = frozenset({*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)})
_FORMAT_TEXT = re.compile(r'"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)


def refuse_bomb() -> Refusal:
    """The refusal of a file that unpacks to far more than it is."""
    return Refusal(
        "zip-bomb",
        "压缩内容异常：解压后体积过大，拒绝打开。",
        "The archive unpacks to far too much: refused as a zip bomb.",
    )


def open_package(path: Path) -> zipfile.ZipFile:
    """The archive, after its table of contents has passed every check; nothing is unpacked.

    :raises Refusal: for a bomb, an unsafe member name, or an archive that is no workbook.
    """
    try:
        package = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refusal(
            "damaged", "文件已损坏，无法打开。请重新导出。", f"The archive is damaged: {error}"
        ) from error
    try:
        _check(package, path.stat().st_size)
    except BaseException:
        package.close()
        raise
    return package


def _check(package: zipfile.ZipFile, packed: int) -> None:
    members = package.infolist()
    total = sum(member.file_size for member in members)
    if len(members) > _MAX_MEMBERS or total > MAX_UNPACKED_BYTES:
        raise refuse_bomb()
    if total > _RATIO_FLOOR and total > packed * MAX_RATIO:
        raise refuse_bomb()
    for member in members:
        name = member.filename.replace("\\", "/")
        is_outside = name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name)
        is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
        if is_outside or is_link or "\0" in member.orig_filename:
            raise Refusal(
                "unsafe-name",
                "压缩包内含有不安全的路径，拒绝打开。",
                "The archive has a member with an unsafe path: refused.",
            )
        if member.flag_bits & 1:
            raise Refusal(
                "old-or-encrypted",
                "文件有密码。请去掉密码后再提交。",
                "The file is encrypted. Remove the password.",
            )
        if member.file_size > _RATIO_FLOOR and member.file_size > max(1, member.compress_size) * MAX_RATIO:
            raise refuse_bomb()
    names = set(package.namelist())
    if "xl/workbook.xml" not in names:
        if "xl/workbook.bin" in names:
            raise Refusal(
                "not-a-table",
                "这是 .xlsb 二进制工作簿。请另存为 .xlsx 后再提交。",
                "An .xlsb workbook. Save as .xlsx.",
            )
        raise Refusal(
            "not-a-table",
            "这是压缩包，不是 Excel 工作簿。请直接提交 CSV 或 XLSX 文件。",
            "An archive, not a workbook. Hand in the CSV or XLSX file itself.",
        )
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise Refusal(
            "macros",
            "工作簿含有宏。请另存为不含宏的 .xlsx 后再提交。",
            "The workbook has macros. Save as .xlsx without.",
        )


def chunks(package: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A member's content in pieces, never more than its entry in the table of contents promised."""
    try:
        with package.open(name) as part:
            yield from iter(lambda: part.read(_CHUNK), b"")
    except (
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        KeyError,
        ValueError,
    ) as error:
        raise Refusal(
            "damaged", "文件已损坏，无法读取。请重新导出。", f"The archive is damaged: {error}"
        ) from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise Refusal(
                "damaged", "文件已损坏，无法读取。请重新导出。", f"The archive is damaged: {error}"
            ) from error
        raise


def local_name(tag: str) -> str:
    """The tag without its namespace prefix."""
    return tag.rpartition(":")[2]


def new_parser() -> expat.XMLParserType:
    """An expat parser that refuses document type declarations."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    # One cell is handed over in one piece, unless it is far too long.
    parser.buffer_size = MAX_CELL_CHARACTERS

    def refuse_doctype(*_: object) -> None:
        raise Refusal(
            "unsafe-xml",
            "工作簿的 XML 含有实体声明，拒绝打开。",
            "The workbook declares XML entities: refused.",
        )

    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.EntityDeclHandler = refuse_doctype
    return parser


def damaged_xml(error: Exception) -> Refusal:
    """The refusal of a part that is no well-formed XML."""
    return Refusal("damaged", "工作簿内容已损坏，无法读取。请重新导出。", f"The workbook is damaged: {error}")


def each_element(package: zipfile.ZipFile, name: str, see: Callable[[str, Attributes], None]) -> None:
    """Calls ``see`` with tag and attributes of every element of a small part."""
    parser = new_parser()
    parser.StartElementHandler = lambda tag, attributes: see(local_name(tag), attributes)
    read = 0
    try:
        for chunk in chunks(package, name):
            read += len(chunk)
            if read > _MAX_SMALL_PART:
                raise refuse_bomb()
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise damaged_xml(error) from error


def sheet_parts(package: zipfile.ZipFile) -> tuple[list[tuple[str, str]], bool]:
    """(sheet name, member) of the visible sheets in order, and whether dates count from 1904."""
    targets: dict[str, str] = {}
    sheets: list[tuple[str, str]] = []
    is_1904 = False

    def see_relation(tag: str, attributes: Attributes) -> None:
        if tag == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            targets[attributes.get("Id", "")] = (
                target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            )

    def see_workbook(tag: str, attributes: Attributes) -> None:
        nonlocal is_1904
        if tag == "sheet" and attributes.get("state", "visible") == "visible":
            relation = next(
                (value for key, value in attributes.items() if local_name(key) == "id" and ":" in key), ""
            )
            sheets.append((attributes.get("name", ""), relation))
        elif tag == "workbookPr":
            is_1904 = attributes.get("date1904", "0") in ("1", "true")

    names = set(package.namelist())
    if "xl/_rels/workbook.xml.rels" in names:
        each_element(package, "xl/_rels/workbook.xml.rels", see_relation)
    each_element(package, "xl/workbook.xml", see_workbook)
    found = [(name, targets.get(relation, "")) for name, relation in sheets]
    return [(name, part) for name, part in found if part in names], is_1904


def date_styles(package: zipfile.ZipFile) -> frozenset[str]:
    """Indexes (as written in ``s``) of the cell styles that show a date."""
    if "xl/styles.xml" not in package.namelist():
        return frozenset()
    formats: dict[int, str] = {}
    styles: list[int] = []
    is_inside = False

    def see(tag: str, attributes: Attributes) -> None:
        nonlocal is_inside
        if tag == "numFmt":
            formats[int(attributes.get("numFmtId", "0"))] = attributes.get("formatCode", "")[:_MAX_FORMAT]
        elif tag in ("cellXfs", "cellStyleXfs", "cellStyles"):
            is_inside = tag == "cellXfs"
        elif tag == "xf" and is_inside:
            styles.append(int(attributes.get("numFmtId", "0")))

    try:
        each_element(package, "xl/styles.xml", see)
    except ValueError as error:
        raise damaged_xml(error) from error

    def shows_date(number: int) -> bool:
        text = formats.get(number)
        if text is None:
            return number in _DATE_FORMATS
        return (
            re.search("[ymdhs年月日]", _FORMAT_TEXT.sub("", text).replace("General", ""), re.IGNORECASE)
            is not None
        )

    return frozenset(str(index) for index, number in enumerate(styles) if shows_date(number))


class SharedStrings:
    """The workbook's table of texts, kept in a temporary file: memory is 8 bytes for each text.

    ``get`` raises ``Refusal`` for an index outside the table.
    """

    def __init__(self, package: zipfile.ZipFile) -> None:
        self._offsets = array("Q", [0])
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the table
        self.get = lru_cache(maxsize=32768)(self._read)
        if "xl/sharedStrings.xml" in package.namelist():
            try:
                self._load(package)
            except BaseException:
                self._file.close()
                raise

    def _load(self, package: zipfile.ZipFile) -> None:
        parts: list[str] = []
        phonetic = 0
        is_text = False
        end = 0
        parser = new_parser()

        def start(tag: str, _: Attributes) -> None:
            nonlocal is_text, phonetic
            tag = local_name(tag)
            if tag == "si":
                parts.clear()
            elif tag == "rPh":  # pronunciation is shown above the text, it is not part of it
                phonetic += 1
            is_text = tag == "t" and not phonetic

        def stop(tag: str) -> None:
            nonlocal is_text, phonetic, end
            tag = local_name(tag)
            is_text = False
            if tag == "rPh":
                phonetic -= 1
            elif tag == "si":
                end += self._file.write("".join(parts)[:MAX_CELL_CHARACTERS].encode("utf-8", "replace"))
                self._offsets.append(end)

        def text(data: str) -> None:
            if is_text:
                parts.append(data)

        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, stop, text
        try:
            for chunk in chunks(package, "xl/sharedStrings.xml"):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError) as error:
            raise damaged_xml(error) from error
        self._file.flush()

    def _read(self, index: int) -> str:
        if not 0 <= index < len(self._offsets) - 1:
            raise damaged_xml(IndexError(f"shared string {index}"))
        start, end = self._offsets[index], self._offsets[index + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode("utf-8")

    def close(self) -> None:
        """Removes the temporary file."""
        self._file.close()
