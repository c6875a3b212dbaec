"""CSV files: encodings, quotes, ragged rows, and size."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.hostile.registry import case
from tests.hostile.rows import PERSONAL, put, row, text, three
from tests.hostile.ways import AFTER, BEFORE, Expected
from tests.support_intake import INSPECTION, csv_bytes

BAD = "JC000005"
ALL = Expected(taken=(BEFORE, BAD, AFTER))
NONE = Expected(taken=())
_MIB = 1 << 20


def _encoded(name: str, expected: Expected, make: Callable[[], bytes]) -> None:
    @case(name)
    def generate(folder: Path) -> Expected:
        put(folder, make())
        return expected


_encoded("csv-utf16-bom", ALL, lambda: text().encode("utf-16"))
_encoded("csv-utf16-be-bom", ALL, lambda: b"\xfe\xff" + text().encode("utf-16-be"))
_encoded("csv-utf16-no-bom", NONE, lambda: text().encode("utf-16-le"))
_encoded("csv-utf32", NONE, lambda: text().encode("utf-32"))
_encoded("csv-utf16-odd-byte", NONE, lambda: text().encode("utf-16") + b"\n")
_encoded("csv-utf16-half-pair", NONE, lambda: b"\xff\xfe" + text().encode("utf-16-le") + b"\x3d\xd8\n\0")
_encoded("csv-gb18030-cut", NONE, lambda: text().encode("gb18030") + "合".encode("gb18030")[:1])
_encoded("csv-gb18030-cut-inside", NONE, lambda: text().encode("gb18030").replace(
    "扎西".encode("gb18030"), b"\xd4\xff", 1))
_encoded("csv-utf8-cut", NONE, lambda: text().encode() + "合".encode()[:2])
_encoded("csv-mixed-encodings", NONE, lambda: b"".join([
    csv_bytes(INSPECTION, [row(1)], encoding="gb18030"), csv_bytes(INSPECTION, [row(5)]).split(b"\r\n", 1)[1],
]))
_encoded("csv-mixed-encodings-utf8-first", NONE, lambda: b"".join([
    csv_bytes(INSPECTION, [row(1)]), csv_bytes(INSPECTION, [row(5)], encoding="gb18030").split(b"\r\n", 1)[1],
]))
_encoded("csv-latin1", NONE, lambda: "numéro;société;date\r\n1;Crémerie;2026-03-01\r\n".encode("latin-1"))
_encoded("csv-latin1-among-utf8", NONE, lambda: text().encode().replace(b"JC000005", b"JC00000\xe9"))
_encoded("csv-overlong-utf8", NONE, lambda: text().encode().replace(b"JC000005", b"JC\xc0\xaf00005"))
_encoded("csv-surrogates-utf8", NONE, lambda: text().encode().replace(b"JC000005", b"JC\xed\xa0\x8000005"))
_encoded("csv-nul", NONE, lambda: text(检查对象名称="合作市\0乳业").encode())
_encoded("csv-nul-utf16", Expected((3,), "检查对象名称"), lambda: text(检查对象名称="合作市\0乳业").encode("utf-16"))
_encoded("csv-empty", NONE, lambda: b"")
_encoded("csv-blank", NONE, lambda: b"\xef\xbb\xbf\r\n,,,\r\n\t\r\n")
_encoded("csv-bom-alone", NONE, lambda: b"\xef\xbb\xbf")
_encoded("csv-header-only", NONE, lambda: text([]).encode())
_encoded("csv-random", NONE, lambda: bytes(range(255, 0, -1)) * 40)
_encoded("csv-web-page", NONE, lambda: f"<html><table><tr><td>{PERSONAL}</td></tr></table></html>".encode())
_encoded("csv-heading-twice", NONE, lambda: csv_bytes([*INSPECTION, "检查日期"], three()))
_encoded("csv-no-heading", NONE, lambda: f"各县市市场监督管理局：\r\n{PERSONAL}\r\n".encode())
_encoded("csv-heading-far-below", NONE, lambda: b"x\r\n" * 40 + text().encode())
_encoded("csv-million-columns", NONE, lambda: b"a," * _MIB + b"\r\n" + text().encode())
_encoded("csv-million-columns-heading", NONE, lambda: ("检查编号," * 20_000 + "\r\n").encode() + text().encode())


@case("csv-million-columns-row")
def _wide_row(folder: Path) -> Expected:
    lines = text().splitlines(keepends=True)
    lines[2] = lines[2].rstrip("\r\n") + "," * (_MIB // 2) + "\r\n"
    put(folder, "".join(lines))
    return ALL


@case("csv-bom-inside")
def _bom_inside(folder: Path) -> Expected:
    first, rest = csv_bytes(INSPECTION, [row(1)], encoding="utf-8-sig"), three()[1:]
    put(folder, first + b"\xef\xbb\xbf" + csv_bytes(INSPECTION, rest).split(b"\r\n", 1)[1])
    return ALL


@case("csv-two-files-joined")
def _joined(folder: Path) -> Expected:
    part = csv_bytes(INSPECTION, [row(1)], encoding="utf-8-sig")
    put(folder, part + csv_bytes(INSPECTION, three()[1:], encoding="utf-8-sig"))
    return ALL


@case("csv-short-row")
def _short(folder: Path) -> Expected:
    lines = text().splitlines(keepends=True)
    lines[2] = ",".join(lines[2].split(",")[:10]) + "\r\n"
    put(folder, "".join(lines))
    return Expected((3,), "检查日期")


@case("csv-long-row")
def _long(folder: Path) -> Expected:
    lines = text().splitlines(keepends=True)
    lines[2] = lines[2].rstrip("\r\n") + ",多,出,的\r\n"
    put(folder, "".join(lines))
    return ALL


@case("csv-shifted-row")
def _shifted(folder: Path) -> Expected:
    lines = text().splitlines(keepends=True)
    lines[2] = "多," + lines[2]
    put(folder, "".join(lines))
    return Expected((3,), "检查日期")


@case("csv-quote-open")
def _quote_open(folder: Path) -> Expected:
    lines = text().splitlines(keepends=True)
    lines[2] = f'2,"没有收尾的引号{PERSONAL},' + lines[2]
    put(folder, "".join(lines))
    return Expected((3,))


@case("csv-quote-open-to-the-end")
def _quote_to_the_end(folder: Path) -> Expected:
    lines = text([row(number) for number in (1, 5, *range(10, 1500), 9)]).splitlines(keepends=True)
    lines[2] = '"' + lines[2]
    put(folder, "".join(lines))
    return Expected((3,), taken=(BEFORE, AFTER, "JC000777"))


@case("csv-quotes-everywhere")
def _quotes_everywhere(folder: Path) -> Expected:
    # Each of these would swallow 200 lines before it is given up: work that must not grow with the square.
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(text([row(1)]))
        file.writelines('"x\r\n' for _ in range(600))
        file.write(text([row(9)]).partition("\r\n")[2])
    return Expected(tuple(range(3, 603)))


@case("csv-huge-cell")
def _huge_cell(folder: Path) -> Expected:
    put(folder, text(备注="长" * 70_000))
    return Expected((3,))


@case("csv-long-cell")
def _long_cell(folder: Path) -> Expected:
    put(folder, text(检查对象名称="长" * 60_000))
    return Expected((3,), "检查对象名称")


@case("csv-200mb-line")
def _endless_line(folder: Path) -> Expected:
    with (folder / "a.csv").open("wb") as file:
        file.write(text([row(1)]).encode())
        for _ in range(200):
            file.write(b"x" * _MIB)
    return NONE


@case("csv-200mb-sparse")
def _sparse(folder: Path) -> Expected:
    with (folder / "a.csv").open("wb") as file:
        file.write(text().encode())
        os.truncate(file.fileno(), 200 * _MIB)
    return NONE


@case("csv-200mb-blank-lines")
def _blank_lines(folder: Path) -> Expected:
    piece = b"," * 65_536 + b"\n"
    with (folder / "a.csv").open("wb") as file:
        file.write(text().encode())
        for _ in range(400):
            file.write(piece)
    return ALL


@case("csv-line-of-a-megabyte-again-and-again")
def _long_lines(folder: Path) -> Expected:
    # Each line is just short enough for a megabyte to hold a line break, so each is read as a whole.
    lines = text().splitlines(keepends=True)
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines[:2])
        for _ in range(20):
            file.write("x" * (_MIB - 10) + "\r\n")
        file.writelines(lines[3:])
    return Expected(tuple(range(3, 23)))


@case("csv-too-large")
def _too_large(folder: Path) -> Expected:
    with (folder / "a.csv").open("wb") as file:
        os.truncate(file.fileno(), 5 << 30)
    return NONE


@case("csv-no-line-breaks-but-cr")
def _old_mac(folder: Path) -> Expected:
    put(folder, text().replace("\r\n", "\r"))
    return ALL
