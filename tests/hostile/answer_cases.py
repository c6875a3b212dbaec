"""Files with answers of departments."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.hostile.registry import case
from tests.hostile.workbook_cases import DOCTYPE, OUTSIDE
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_filedrop import table
from tests.support_outlets import notice_id
from tests.unit.test_filedrop_replies import HEAD, HEAD_CELLS, archive, cell, workbook_with

A, B, C = (notice_id(subject, 1) for subject in "ABC")


def _file(name: str, end: str, make: Callable[[], bytes | str]) -> None:
    @case(name)
    def generate() -> tuple[str, bytes]:
        made = make()
        return end, made if isinstance(made, bytes) else made.encode()


def _row(name: str, *bad: str) -> None:
    """A case that stands between two rows that count."""
    _file(name, ".ack.csv", lambda: table(HEAD, (B, "已收到"), bad, (C, "已收到")))


_file("answer-empty", ".ack.csv", lambda: b"")
_file("answer-nul", ".ack.csv", lambda: table(HEAD, (A, "已收到\0")))
_file("answer-utf16-odd-byte", ".ack.csv", lambda: table(HEAD, (A, "已收到")).encode("utf-16") + b"\n")
_file("answer-quote-open", ".ack.csv", lambda: table(HEAD) + f'{A},"已收到\r\n')
_file("answer-too-large", ".ack.csv", lambda: b"x" * (5 << 20))
_file("answer-many-rows", ".ack.csv", lambda: b"a\n" * 30_000)
_file("answer-no-heading", ".ack.csv", lambda: "甲,乙\r\n1,2\r\n")
_file("answer-formula", ".ack.xlsx", lambda: workbook_with(
    HEAD_CELLS + f"<row>{cell(B)}{cell('已收到')}</row><row><c><f>A1</f><v>1</v></c>{cell('已收到')}</row>"
    f"<row>{cell(C)}{cell('已收到')}</row>"))
_file("answer-laughs", ".ack.xlsx", lambda: workbook_with(HEAD_CELLS, DOCTYPE))
_file("answer-external-entity", ".ack.xlsx", lambda: workbook_with(HEAD_CELLS, OUTSIDE))
_file("answer-string-index", ".ack.xlsx", lambda: workbook_with('<row><c t="s"><v>9</v></c></row>'))
_file("answer-string-index-huge", ".ack.xlsx", lambda: workbook_with(f'<row><c t="s"><v>{"9" * 5000}</v></c></row>'))
_file("answer-bomb", ".ack.xlsx", lambda: archive(**{"xl__workbook.xml": bytes(40 << 20)}))
_file("answer-members", ".ack.xlsx", lambda: archive(**dict.fromkeys(map(str, range(600)), "")))
_file("answer-encrypted", ".ack.xlsx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
_file("answer-json-deep", ".ack.json", lambda: b"[" * 1_000_000)
_file("answer-json-nan", ".ack.json", lambda: '{"received": NaN}')
_file("answer-json-names-twice", ".ack.json", lambda: f'{{"received": ["{A}"], "received": ["{B}"]}}')
_file("answer-json-huge-number", ".ack.json", lambda: f'{{"received": [{"9" * 5000}]}}')
_file("answer-json-surrogate", ".ack.json", lambda: json.dumps({"refused": {A: "因\ud800"}}))
_file("answer-other-form", ".ack.docx", lambda: b"x")
_row("answer-identity-number", IDENTITY_NUMBER, "已收到")
_row("answer-injection", '=HYPERLINK("http://a.invalid")', "已收到")
_row("answer-bidi", A, "拒收", "原因\u202e因原")
_row("answer-unknown-word", A, "@SUM(1)")
