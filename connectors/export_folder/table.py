"""A table inside a file, whatever the file's form: rows of text, one at a time.

``open_table`` looks at the content, not at the name's ending, and refuses what is no table.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hub.intake import Refusal

#: A heading stands within the first rows of a sheet; titles, units and notes above it are skipped.
MAX_HEADING_ROWS = 30
#: Cells beyond are cut off unread while the heading is looked for and a fault behind it: no export
#: has so many columns, a file that is no table easily does.
MAX_COLUMNS = 512
#: Longest cell that is read, in characters; Excel's own limit is 32,767.
MAX_CELL_CHARACTERS = 65_536

_CHUNK = 1 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_WEB = (b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta", b"<head")


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row of a text file that cannot be cut into cells, and why."""

    problem: str
    remedy: str
    text: str

    def __len__(self) -> int:
        """Cells: what cannot be cut is one."""
        return 1


class Sheet(Protocol):
    """One sheet. ``rows`` gives (row number from 1, cells) and may be called again from the start;
    a cell is text, empty where there is nothing. ``done()`` is how far the reading has come, of
    ``size``."""

    @property
    def name(self) -> str | None: ...

    @property
    def is_1904(self) -> bool: ...

    @property
    def size(self) -> int: ...

    def rows(self) -> Iterator[tuple[int, list[str] | BrokenRow]]: ...

    def done(self) -> int: ...


class Table(Protocol):
    """An opened file. ``sheets`` are the candidates, in the file's order; ``prepare`` is called for
    the one whose heading fits, before its rows are read, and raises ``Refusal``; ``close`` frees
    what it holds and may be called twice."""

    def sheets(self) -> list[Sheet]: ...

    def prepare(self, sheet: Sheet, heading_row: int) -> Sheet: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Content:
    """What one pass over the bytes of a file showed. ``encoding`` is ``None`` for a ZIP."""

    sha256: str
    size: int
    encoding: str | None


def examine(path: Path, max_bytes: int) -> Content:
    """Reads the file once from end to end: its digest, and which encoding a text has.

    :raises Refusal: when it cannot be a table.
    """
    size = path.stat().st_size
    if size == 0:
        raise Refusal("empty", "文件是空的。", "The file is empty.")
    if size > max_bytes:
        raise Refusal(
            "too-large",
            f"文件过大：{size} 字节，最多 {max_bytes} 字节。请分成几个文件。",
            f"The file has {size} bytes, the limit is {max_bytes}. Split it.",
        )
    with path.open("rb") as file:
        head = file.read(4096)
        if head.startswith(_OLE):
            raise Refusal(
                "old-or-encrypted",
                "这是旧格式（.xls）或加密的工作簿。请去掉密码，另存为 .xlsx 后再提交。",
                "An old .xls or an encrypted workbook. Remove the password and save as .xlsx.",
            )
        if head.startswith(_ZIP):
            return Content(digest_of(path), size, None)
        if head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_WEB):
            raise Refusal(
                "not-a-table",
                "这是网页或 XML 文件，不是表格。请用 Excel 打开，另存为 .xlsx 后再提交。",
                "A web page or XML, not a table. Open it in Excel and save as .xlsx.",
            )
    return _examine_text(path, size, head)


def digest_of(path: Path) -> str:
    """SHA-256 of the content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _examine_text(path: Path, size: int, head: bytes) -> Content:
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        candidates = []  # UTF-32, which only programs write
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    elif head.startswith(b"\xef\xbb\xbf"):
        candidates = ["utf-8-sig"]
    else:
        # GB18030 takes almost any bytes, so strict UTF-8 is asked first.
        candidates = ["utf-8", "gb18030"]
    digest = hashlib.sha256()
    broken: dict[str, int] = {}
    for number, encoding in enumerate(candidates):
        decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
        lines = 1
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    if number == 0:
                        digest.update(chunk)
                    if encoding != "utf-16" and b"\0" in chunk:
                        raise Refusal(
                            "not-a-table",
                            "文件含有二进制内容，不是 CSV 或 XLSX 表格。如为“Unicode 文本”，请存为 UTF-8 编码的 CSV。",
                            "The file holds binary content; it is no CSV and no XLSX. UTF-16 needs a byte order mark.",
                        )
                    if len(chunk) == _CHUNK and b"\n" not in chunk and b"\r" not in chunk:
                        # A line is read as a whole: one without end would take all memory.
                        raise Refusal(
                            "not-a-table",
                            "文件中有超过 1 MB 的一行，不是表格。",
                            "A line of more than 1 MB: not a table.",
                        )
                    decoder.decode(chunk)
                    lines += chunk.count(b"\n")
                decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            broken[encoding] = lines + error.object[: error.start].count(b"\n")
            continue
        # The digest of a first pass that stopped halfway is of no use.
        sha256 = digest.hexdigest() if number == 0 else digest_of(path)
        return Content(sha256, size, encoding)
    where = "，".join(f"按 {name.upper()} 读到第 {line} 行" for name, line in broken.items())
    where_english = ", ".join(f"as {name.upper()} up to line {line}" for name, line in broken.items())
    raise Refusal(
        "encoding",
        f"无法识别文字编码{f'（{where}出错）' if where else ''}。一个文件只能用一种编码：请存为 UTF-8 或 GB18030 "
        "编码的 CSV，或存为 .xlsx。",
        f"The encoding cannot be told{f' (it reads {where_english})' if where else ''}. A file has one encoding: save "
        "as CSV in UTF-8 or GB18030, or as .xlsx.",
    )
