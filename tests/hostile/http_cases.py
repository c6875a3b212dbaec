"""Bodies by HTTP: JSON that is none, JSON that is too much, and headers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile.registry import case
from tests.hostile.rows import PERSONAL
from tests.hostile.ways import Request
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_http_intake import BATCH, STRUCTURED, data, dumps, event

_MIB = 1 << 20


def good(number: int = 1, **more: Any) -> dict[str, Any]:
    return event(number, content={"remark": PERSONAL, **more})


def _body(
    name: str, make: Callable[[], bytes], *, pointer: str | None = None, kind: str = STRUCTURED, **headers: str
) -> None:
    @case(name)
    def generate() -> Request:
        sent = tuple((key.replace("_", "-"), value) for key, value in headers.items())
        return Request([make()], sent, kind, pointer)


def _batch(name: str, make: Callable[[], bytes | str], pointer: str) -> None:
    """A case that stands between two good events of a batch."""

    def body() -> bytes:
        bad = make()
        raw = bad if isinstance(bad, bytes) else bad.encode()
        return b"[" + dumps(good(1)) + b"," + raw + b"," + dumps(good(9)) + b"]"

    _body(name, body, pointer=pointer, kind=BATCH)


def _with(text: str) -> str:
    """An event whose data begins with ``text``."""
    return dumps(good(5)).decode().replace('"data": {', f'"data": {{{text}, ', 1)


_body("http-empty", lambda: b"")
_body("http-no-json", lambda: b"\x89PNG\r\n" + bytes(100))
_body("http-cut", lambda: dumps(good())[:-5])
_body("http-two-values", lambda: dumps(good()) * 2)
_body("http-deep", lambda: b"[" * 1_000_000)
_body("http-deep-closed", lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
_body("http-nan", lambda: _with('"x": NaN').encode())
_body("http-infinity", lambda: _with('"x": -Infinity').encode())
_body("http-utf16", lambda: dumps(good()).decode().encode("utf-16"))
_body("http-gb18030", lambda: dumps(good()).decode().encode("gb18030"))
_body("http-bom", lambda: b"\xef\xbb\xbf" + dumps(good()))
_body("http-latin1", lambda: dumps(good(5)).replace(b"JC-5", b"JC-\xe9"))
_body("http-cut-character", lambda: dumps(good(5)).replace(b"JC-5", b"JC-\xe5\x90"))
_body("http-surrogate-utf8", lambda: dumps(good(5)).replace(b"JC-5", b"JC-\xed\xa0\x80"))
_body("http-nul-byte", lambda: dumps(good(5)).replace(b"JC-5", b"JC-\0"))
_body("http-array", lambda: dumps([good()]), pointer="")
_body("http-charset", lambda: dumps(good()), kind=f"{STRUCTURED}; charset=gb18030")
_body("http-wrong-type", lambda: dumps(good()), kind="text/csv")
_body("http-form", lambda: b"a=b", kind="application/x-www-form-urlencoded")
_body("http-gzip-bomb", lambda: gzip.compress(bytes(64 * _MIB)), content_encoding="gzip")
_body("http-deflate", lambda: b"x", content_encoding="gzip, deflate")
_body("http-idempotency-key", lambda: dumps(good()), idempotency_key="x" * 5000)
_body("http-header-latin1", lambda: dumps(data()), kind="application/json", ce_id="JC-\xe9", ce_specversion="1.0",
      ce_source="/sources/gannan-law", ce_type="inspection.result.recorded")  # fmt: skip
_body("http-header-percent", lambda: dumps(data()), kind="application/json", ce_id="%C0%AF", ce_specversion="1.0",
      ce_source="/sources/gannan-law", ce_type="inspection.result.recorded")  # fmt: skip
_body("http-header-newline", lambda: dumps(data()), kind="application/json", ce_id="JC%0A5", ce_specversion="1.0",
      ce_source="/sources/gannan-law", ce_type="inspection.result.recorded", pointer="/id")  # fmt: skip
_body("http-batch-too-long", lambda: b"[" + b",".join([b"{}"] * 1001) + b"]", kind=BATCH)
_batch("http-names-twice", lambda: _with('"remark": "1", "remark": "2"'), "/data/remark")
_batch("http-envelope-twice", lambda: dumps(good(5)).decode()[:-1] + ', "id": "JC-6"}', "/id")
_batch("http-proto-names", lambda: _with('"__proto__": {"a": 1}, "__class__": "x"'), "/data/__proto__")
_batch("http-deep-inside", lambda: _with(f'"x": {"[" * 500}{"]" * 500}'), "/data/x/0")
_batch("http-huge-number", lambda: _with(f'"x": {"9" * 100_000}'), "/data/x")
_batch("http-huge-exponent", lambda: _with('"x": 1e999999999999999999'), "/data/x")
_batch("http-huge-fraction", lambda: dumps(good(5, item_name="@")).replace(b'"@"', b"0." + b"1" * 50_000),
       "/data/item_name")  # fmt: skip
_batch("http-lone-surrogate", lambda: json.dumps(good(5, legal_representative="\ud800")), "/data/legal_representative")
_batch("http-lone-surrogate-name", lambda: _with('"\\udfff": "x"'), "/data")
_batch("http-nul", lambda: json.dumps(good(5, party_name="合作市\0乳业")), "/data/party_name")
_batch("http-escape-sequence", lambda: json.dumps(good(5, party_name="\x1b[2J乳业")), "/data/party_name")
_batch("http-bidi-override", lambda: json.dumps(good(5, party_name="合作市\u202e业乳")), "/data/party_name")
_batch("http-full-width-date", lambda: json.dumps(good(5, check_date="２０２６-03-02")), "/data/check_date")
_batch("http-date-beyond", lambda: json.dumps(good(5, check_date="2026-02-30")), "/data/check_date")
_batch("http-enormous-text", lambda: json.dumps(good(5, remark="长" * 900_000), ensure_ascii=False), "/data/remark")
_batch("http-enormous-list", lambda: json.dumps(good(5, result_codes=["1"] * 100_000)), "/data/result_codes")
_batch("http-identity-number", lambda: json.dumps(good(5, party_uscc=IDENTITY_NUMBER)), "/data/party_uscc")
_batch("http-identity-number-as-name", lambda: _with(f'"{IDENTITY_NUMBER}": "x"'), "/data/623*************29")
_batch("http-not-an-object", lambda: "null", "")
_batch("http-many-names", lambda: _with(", ".join(f'"f{n}": {n}' for n in range(100_000))), "/data/f0")


@case("http-200mb-body")
def _body_200mb() -> Request:
    return Request(b" " * 65_536 for _ in range(200 * 16))


@case("http-200mb-batch")
def _batch_200mb() -> Request:
    def pieces() -> Iterator[bytes]:
        yield b"["
        for _ in range(200 * 16):
            yield b" " * 65_536

    return Request(pieces(), kind=BATCH)


@case("http-unicode-name")
def _unicode() -> Request:
    return Request([dumps(good(5, party_name="合作市𠮷祥བོད་商行👨\u200d👩\u200d👧"))])


@case("http-zero-width-code")
def _zero_width() -> Request:
    return Request([dumps(good(5, party_uscc="\u200b9162300073969\u200d9913A"))])
