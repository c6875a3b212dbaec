"""XLSX: what a workbook may hold beside its rows, and archives that are none."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

from tests.hostile.registry import case
from tests.hostile.rows import put, three
from tests.hostile.text_cases import ALL
from tests.hostile.ways import BEFORE, Expected
from tests.support_intake import INSPECTION
from tests.unit.test_export_refusals import repacked, workbook_bytes

NONE = Expected(taken=())
SHEET, STRINGS, STYLES = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "哈" * 10}">' for n in range(10)
)
DOCTYPE = f"<!DOCTYPE a [{LAUGHS}]>"
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
PARAMETER = '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]>'


def noise(size: int) -> str:
    """Text that packs as real content does, not as a bomb; the same each time."""
    return random.Random(1).randbytes(size // 2).hex()


def brackets() -> str:
    return "".join(f"[{n * 7919 % 99_991}" for n in range(200_000))


def good(**bad: str) -> bytes:
    rows: list[list[object]] = [list(INSPECTION)]
    rows += [[each.get(heading, "") for heading in INSPECTION] for each in three(**bad)]
    return workbook_bytes(rows)


def part(name: str, data: bytes | None = None) -> str:
    with zipfile.ZipFile(io.BytesIO(data or good())) as package:
        return package.read(name).decode()


def cells(values: list[str], number: int) -> str:
    made = "".join(f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>' for value in values)
    return f'<row r="{number}">{made}</row>'


def sheet(rows: str, before: str = "", behind: str = "") -> bytes:
    made = f'{before}<worksheet xmlns="{SPACE}"><sheetData>{rows}</sheetData>{behind}</worksheet>'
    return f'<?xml version="1.0"?>{made}'.encode()


def plain_rows(**bad: str) -> list[str]:
    rows = [list(INSPECTION), *([each.get(heading, "") for heading in INSPECTION] for each in three(**bad))]
    return [cells(values, number) for number, values in enumerate(rows, 1)]


def _replaced(old: str, new: str, rows: str) -> str:
    return rows.replace(old, new)


def _noisy(mark: str, rows: str) -> str:
    return rows.replace(f">{mark}<", f">{noise(5 << 20)}<")


def _workbook(name: str, expected: Expected, make: Callable[[], bytes], ending: str = "a.xlsx") -> None:
    @case(name)
    def generate(folder: Path) -> Expected:
        put(folder, make(), ending)
        return expected


def _part(name: str, member: str, content: Callable[[], bytes | str], expected: Expected = NONE) -> None:
    def make() -> bytes:
        made = content()
        return repacked(good(), {member: made.encode() if isinstance(made, str) else made})

    _workbook(name, expected, make)


def _sheet(name: str, make: Callable[[], bytes], expected: Expected = NONE) -> None:
    _part(name, SHEET, make, expected)


def _rows(name: str, change: Callable[[str], str], expected: Expected = NONE, behind: str = "", **bad: str) -> None:
    """A case of the sheet with its three rows, written in full, and then changed."""
    _sheet(name, lambda: sheet(change("".join(plain_rows(**bad))), behind=behind), expected)


def _behind_rows(name: str, make: Callable[[], str], expected: Expected = NONE) -> None:
    """A case of cells behind those of the first three rows."""
    _rows(name, lambda rows: rows.replace("</row>", make() + "</row>", 3), expected)


def _in_place(name: str, cell: str, column: str) -> None:
    """A case of a cell written otherwise in the second row."""
    empty = '<c t="inlineStr"><is><t>@</t></is></c>'
    _rows(name, lambda rows: rows.replace(empty, cell), Expected((3,), column), **{column: "@"})


_FORMULA = "<c><f>A1</f><v>1</v></c>"
_workbook("xlsx-formula", NONE, lambda: good(备注="=1+1"))
_workbook("xlsx-formula-of-another-file", NONE, lambda: good(备注="=[1]Sheet1!$A$1"))
_behind_rows("xlsx-formula-without-value", lambda: '<c r="Z9"><f>A1</f></c>')
_behind_rows("xlsx-formula-long-attributes", lambda: f'<c><f ref="{noise(600_000)}">A1</f><v>1</v></c>')
_sheet("xlsx-formula-utf16", lambda: sheet("".join(plain_rows()).replace("</row>", f"{_FORMULA}</row>", 3)).decode()
       .encode("utf-16"))
_part("xlsx-external-link", "xl/externalLinks/externalLink1.xml", lambda: f'<externalLink xmlns="{SPACE}"/>', ALL)
_part("xlsx-external-sheet", "xl/_rels/workbook.xml.rels", lambda: part("xl/_rels/workbook.xml.rels").replace(
    'Target="/xl/worksheets/sheet1.xml"', 'Target="http://127.0.0.1:9/sheet1.xml" TargetMode="External"'))
_part("xlsx-macros", "xl/vbaProject.bin", lambda: b"x")
_part("xlsx-doctype-laughs-sheet", SHEET, lambda: sheet(cells(["&l9;"], 1).replace("&amp;", "&"), DOCTYPE))
_part("xlsx-doctype-laughs-strings", STRINGS, lambda: f"{DOCTYPE}<sst><si><t>&l9;</t></si></sst>")
_part("xlsx-doctype-laughs-workbook", "xl/workbook.xml", lambda: f"{DOCTYPE}<workbook>&l9;</workbook>")
_part("xlsx-external-entity", STRINGS, lambda: f"{OUTSIDE}<sst><si><t>&x;</t></si></sst>")
_part("xlsx-external-entity-styles", STYLES, lambda: f"{OUTSIDE}<styleSheet>&x;</styleSheet>")
_part("xlsx-external-dtd", STRINGS, lambda: f"{PARAMETER}<sst/>")
_sheet("xlsx-xml-deep", lambda: sheet("<a>" * 300_000))
_rows("xlsx-xml-deep-closed", lambda rows: "<a>" * 100_000 + "</a>" * 100_000 + rows, ALL)
_sheet("xlsx-xml-cut", lambda: sheet("".join(plain_rows()))[:-40])
_rows("xlsx-xml-nul", lambda rows: rows.replace("JC000005", "JC\x0000005"))
_rows("xlsx-xml-control-reference", lambda rows: rows.replace("JC000005", "JC&#8;000005"))
_sheet("xlsx-xml-latin1", lambda: sheet("".join(plain_rows())).replace(b"JC000005", b"JC\xe9000005"))
_sheet("xlsx-xml-unknown-encoding", lambda: sheet("").replace(b'"1.0"', b'"1.0" encoding="x-none"'))
_rows("xlsx-xml-attributes", lambda rows: "<x " + " ".join(f'a{n}="1"' for n in range(50_000)) + "/>" + rows, ALL)
for _name, _index in (("beyond", "99999"), ("negative", "-1"), ("no-number", "eins"), ("huge", "9" * 5000)):
    _part(f"xlsx-string-index-{_name}", SHEET,
          partial(sheet, f'<row><c t="s"><v>{_index}</v></c></row>'))
for _name, _number in (("no-number", "drei"), ("huge", "9" * 5000), ("beyond", "99999999"), ("negative", "-3")):
    _rows(f"xlsx-row-number-{_name}", partial(_replaced, 'r="3"', f'r="{_number}"'))
_behind_rows("xlsx-cell-place-strange", lambda: '<c r="!1"><v>1</v></c>', ALL)
_behind_rows("xlsx-cell-place-beyond", lambda: f'<c r="{"Z" * 5000}1"><v>1</v></c>', ALL)
_rows("xlsx-cell-without-row", lambda rows: '<c r="A1" t="inlineStr"><is><t>x</t></is></c>' + rows, ALL)
_in_place("xlsx-number-strange", "<c><v>1e400</v></c>", "检查日期")
_in_place("xlsx-number-nan", "<c><v>             nan</v></c>", "检查日期")
_in_place("xlsx-number-infinite", "<c><v>      -infinity</v></c>", "检查日期")
_in_place("xlsx-error-cell", '<c t="e"><v>#REF!</v></c>', "备注")
_behind_rows("xlsx-many-cells", lambda: "".join(f"<c><v>{n * 7919 % 99_991}</v></c>" for n in range(50_000)), ALL)
_rows("xlsx-merged-everywhere", str, behind="<mergeCells>" + "".join(
    f'<mergeCell ref="A{n}:XFD{n + 1000000}"/>' for n in range(2, 220_000)) + "</mergeCells>")
_rows("xlsx-merged-huge", str, Expected(taken=(BEFORE,)), '<mergeCells><mergeCell ref="A2:XFD9999999"/></mergeCells>')
_rows("xlsx-merged-backwards", str, ALL, '<mergeCells><mergeCell ref="F9:A2"/></mergeCells>')
_rows("xlsx-bidi-name", str, Expected((3,), "检查对象名称"), 检查对象名称="合作市\u202e业乳")
_rows("xlsx-text-of-5mb", partial(_noisy, "@"), Expected((3,), "检查对象名称"), 检查对象名称="@")
_part("xlsx-shared-text-of-5mb", STRINGS, lambda: f"<sst><si><t>{noise(5 << 20)}</t></si></sst>", ALL)
_part("xlsx-styles-strange", STYLES, lambda: '<styleSheet><numFmts><numFmt numFmtId="x"/></numFmts></styleSheet>')
_part("xlsx-format-of-brackets", STYLES, lambda: (
    f'<styleSheet><numFmts><numFmt numFmtId="200" formatCode="{brackets()}"/></numFmts>'
    '<cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>'), ALL)
_part("xlsx-sheet-twice", "xl/workbook.xml", lambda: part("xl/workbook.xml").replace(
    "</sheets>", f'<sheet name="Sheet" sheetId="2" r:id="rId1" xmlns:r="{RELATIONS}"/></sheets>'), ALL)
_part("xlsx-path-parent", "../../etc/passwd", lambda: b"x")
_part("xlsx-path-absolute", "/etc/passwd", lambda: b"x")
_part("xlsx-path-windows", "C:\\evil.xml", lambda: b"x")
_part("xlsx-path-device", "xl/CON.xml", lambda: b"x", ALL)
_part("xlsx-wrong-content-types", "[Content_Types].xml", lambda: b"<Types/>", ALL)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_workbook("xlsx-as-csv", ALL, good, "a.csv")
_workbook("xlsx-cut", NONE, lambda: good()[:-200])
_workbook("xlsx-cut-in-half", NONE, lambda: good()[: len(good()) // 2])
_workbook("xlsx-checksum", NONE, lambda: _broken(good()))
_workbook("xlsx-encrypted-ole", NONE, lambda: _OLE + "EncryptedPackage".encode("utf-16-le") + bytes(600))
_workbook("xlsx-encrypted-member", NONE, lambda: _flagged(good()))
_workbook("xlsx-old-xls", NONE, lambda: _OLE + bytes(600), "a.xls")
_workbook("xlsx-binary", NONE, lambda: _archive({"xl/workbook.bin": b"x"}))
_workbook("xlsx-many-members", NONE, lambda: _archive({f"{n}": b"" for n in range(6000)} | {"xl/workbook.xml": b""}))
_workbook("xlsx-nested-archive", NONE, lambda: _archive({"a.zip": _archive({"b.zip": good()})}))
_workbook("xlsx-member-twice", ALL, lambda: _twice(good()))
_workbook("xlsx-bzip2", ALL, lambda: _archive(_members(good()), zipfile.ZIP_BZIP2))


@case("xlsx-bomb-ratio")
def _ratio(folder: Path) -> Expected:
    put(folder, _archive_of(_members(good()) | {SHEET: b""}, SHEET, (bytes(1 << 20) for _ in range(200))), "a.xlsx")
    return NONE


@case("xlsx-bomb-that-lies")
def _liar(folder: Path) -> Expected:
    # The table of contents says 10 bytes, the member goes on for 200 MB.
    packed = _archive_of(_members(good()) | {SHEET: b""}, SHEET, (b" " * (1 << 20) for _ in range(200)))
    place = packed.rindex(b"PK\x01\x02", 0, packed.rindex(SHEET.encode()))
    put(folder, packed[: place + 24] + (10).to_bytes(4, "little") + packed[place + 28 :], "a.xlsx")
    return NONE


@case("xlsx-bomb-overlapping")
def _overlapping(folder: Path) -> Expected:
    # Every entry of the table of contents points to the same packed member, as the densest bombs do.
    packed = _archive_of(_members(good()) | {SHEET: b""}, SHEET, (bytes(1 << 20) for _ in range(8)))
    start, end = packed.index(b"PK\x01\x02"), packed.rindex(b"PK\x05\x06")
    central = packed[start:end]
    last = central[central.rindex(b"PK\x01\x02") :]
    count = 3000
    entries = central + last * (count - central.count(b"PK\x01\x02"))
    tail = packed[end : end + 8] + count.to_bytes(2, "little") * 2
    tail += len(entries).to_bytes(4, "little") + start.to_bytes(4, "little") + b"\0\0"
    put(folder, packed[:start] + entries + tail, "a.xlsx")
    return NONE


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return out.getvalue()


def _archive_of(members: dict[str, bytes], name: str, pieces: Iterator[bytes]) -> bytes:
    """The archive with the member ``name`` last, written piece by piece."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for other, content in members.items():
            if other != name:
                package.writestr(other, content)
        with package.open(name, "w") as file:
            for piece in pieces:
                file.write(piece)
    return out.getvalue()


def _broken(data: bytes) -> bytes:
    """One bit of the sheet's content turned over."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        content = package.read(SHEET).replace(b"JC000005", b"JC000006")
        right, wrong = (zlib.crc32(each).to_bytes(4, "little") for each in (package.read(SHEET), content))
    return data.replace(right, wrong)


def _flagged(data: bytes) -> bytes:
    """Every member says that it is encrypted."""
    made = bytearray(data)
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        made[at + 8] |= 1
        at = made.find(b"PK\x01\x02", at + 4)
    return bytes(made)


def _twice(data: bytes) -> bytes:
    """A member under the name of the sheet before the real one."""
    out = io.BytesIO()
    members = _members(data)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/worksheets/sheet0.xml", b"<x/>")
        for name, content in members.items():
            package.writestr(name, content)
    return out.getvalue().replace(b"xl/worksheets/sheet0.xml", SHEET.encode())
