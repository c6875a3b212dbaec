"""Answers of interfaces that are polled."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.hostile.registry import case
from tests.hostile.rows import PERSONAL
from tests.hostile.ways import AFTER, BEFORE, Polled
from tests.support_http_poll import record


def good(number: int, **more: Any) -> str:
    return json.dumps(record(number, **{"remark": PERSONAL, **more}), ensure_ascii=False)


def page(*records: str) -> bytes:
    return f'{{"data": {{"items": [{", ".join(records)}]}}, "paging": {{"sync": "1", "has_more": false}}}}'.encode()


def _answer(name: str, make: Callable[[], bytes], **headers: str) -> None:
    @case(name)
    def generate() -> Polled:
        return Polled(make(), tuple((key.replace("_", "-"), value) for key, value in headers.items()))


def _record(name: str, make: Callable[[], str | bytes], column: str | None = None) -> None:
    @case(name)
    def generate() -> Polled:
        bad = make()
        whole = page(good(1), "@@", good(9)).replace(b"@@", bad if isinstance(bad, bytes) else bad.encode())
        return Polled(whole, rows=(2,), column=column, taken=(BEFORE, AFTER))


def _beside(text: str) -> str:
    return good(5)[:-1] + f", {text}}}"


def _dated(text: str) -> str:
    """A record whose date is ``text``, whatever that is in JSON."""
    return good(5, checked_on="@").replace('"@"', text)


_answer("polled-no-json", lambda: b"<html>503</html>")
_answer("polled-deep", lambda: b'{"data":' * 200_000)
_answer("polled-nan", lambda: page(good(1)[:-1] + ', "x": NaN}'))
_answer("polled-gb18030", lambda: page(good(1)).decode().encode("gb18030"))
_answer("polled-names-twice", lambda: b'{"data": {"items": []}, "data": {"items": []}}')
_answer("polled-too-large", lambda: b" " * (9 << 20))
_answer("polled-gzip-bomb", lambda: gzip.compress(bytes(64 << 20)), content_encoding="gzip")
_answer("polled-gzip-that-is-none", lambda: b"no gzip", content_encoding="gzip")
_answer("polled-records-no-list", lambda: page().replace(b"[]", b"{}"))
_record("polled-record-names-twice", lambda: _beside('"number": "JC000006"'))
_record("polled-record-deep", lambda: _beside(f'"x": {"[" * 400}{"]" * 400}'))
_record("polled-record-nul", lambda: good(5, party="合作市\0乳业"))
_record("polled-record-lone-surrogate", lambda: _beside('"item": {"name": "\\ud800"}'))
_record("polled-record-bidi", lambda: good(5, party="合作市\u202e业乳"))
_record("polled-record-no-object", lambda: "[1, 2]")
_record("polled-record-date", lambda: good(5, checked_on="2026-02-30"), "checked_on")
_record("polled-record-huge-number", lambda: _dated(f'{"9" * 100_000}'),
        "checked_on")  # fmt: skip
_record("polled-record-huge-exponent", lambda: _dated('1e999999'),
        "checked_on")  # fmt: skip
_record("polled-record-exponent-beyond", lambda: _dated('1e99999999999999999999'), "checked_on")  # fmt: skip
_record("polled-record-enormous-text", lambda: good(5, remark="长" * 1_000_000), "remark")
_record("polled-record-wrong-type", lambda: good(5, checked_on={"year": 2026}), "checked_on")
_record("polled-record-looks-like-ours", lambda: good(5, checked_on={"$d": "2026-99-99"}), "checked_on")
