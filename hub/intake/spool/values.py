"""Rows of a table as lines of the spool, and back: every type comes out as it went in.

JSON, not pickle: a spool is a file, and reading it must not be able to run anything. What JSON has no
word for is an object of one word, e.g. ``{"$d": "2026-03-01"}``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from hub.intake.mapping.parsers import ValueFault
from hub.intake.spool.loading import batch_loader

Values = list[Any]
#: Types of which orjson writes what ``json`` writes, sooner. Not so floats (NaN), nor what may hold some.
_PLAIN = frozenset({str, int, bool, type(None), date, datetime, Decimal, bytes})
#: Characters of a row as JSON beyond which its longest values are not kept; a real row has some thousand.
MAX_VALUE = 1_000_000


def dump(row: Any) -> bytes:
    """A row, or a single value as ``plain`` gave it, as JSON: the same bytes for the same content. Values beyond
    ``MAX_VALUE`` of a row that is too long are kept as their length and digest: no field takes so much, and a batch
    of such rows would fill the memory."""
    if isinstance(row, list | tuple) and _PLAIN.issuperset(map(type, row)):
        try:
            line = orjson.dumps(row, default=_tag, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError:  # half of a surrogate pair, an integer of more than 64 bits: JSON knows them, orjson does not
            pass
        else:
            if len(line) <= MAX_VALUE:
                return line
    text = "".join(_parts(row, 0))
    if len(text) > MAX_VALUE:
        text = "".join(_parts([_bounded(value) for value in row], 0))
    return text.encode("utf-8", "surrogatepass")


def _bounded(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        value = _encode(value)
    if not isinstance(value, str | bytes | bytearray) or len(value) <= MAX_VALUE // 10:
        return value
    content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return {"$x": f"{len(value)}|{hashlib.blake2b(content, digest_size=16).hexdigest()}"}


def join(rows: Sequence[bytes]) -> bytes:
    """Rows as ``dump`` gave them, as one list."""
    return b"[" + b",".join(rows) + b"]"


def plain(value: Any) -> Any:
    """A single value in JSON's words, e.g. of a cursor; ``loader`` reads it back."""
    return json.loads(_encode(value))


def loader(encoding: str, zone: str) -> Callable[[bytes | str], Any]:
    """The reverse of ``dump`` and ``plain``. Bytes become text by ``encoding``; those that are none
    become the ``ValueFault`` that says so. Times without a zone are of ``zone``."""
    zone_info = ZoneInfo(zone)
    is_local = zone == "Asia/Shanghai"

    def moment(text: str) -> datetime:
        found = datetime.fromisoformat(text)
        # Without a zone is local time; only another zone has to be said.
        return found if found.tzinfo is not None or is_local else found.replace(tzinfo=zone_info)

    def text_of(encoded: str) -> Any:
        data = base64.b64decode(encoded)
        if data in (b"\0", b"\1"):
            return data == b"\1"  # BIT(1), which drivers hand over as bytes
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            return ValueFault("encoding", f"内容不是 {encoding} 编码，无法识别", "请核对该列的字符编码")

    def too_long(said: str) -> ValueFault:
        return ValueFault(
            "too-long", f"内容过长：{said.partition('|')[0]} 个字符或字节", f"最多 {MAX_VALUE // 10} 个，请缩短"
        )

    readers: dict[str, Callable[[str], Any]] = {
        "$d": date.fromisoformat,
        "$t": moment,
        "$n": Decimal,
        "$b": text_of,
        "$x": too_long,
    }

    def hook(found: dict[str, Any]) -> Any:
        if len(found) == 1:
            ((word, content),) = found.items()
            if word in readers and type(content) is str:
                return readers[word](content)
        return found

    decoder = json.JSONDecoder(object_hook=hook)

    def load(line: bytes | str) -> Any:
        text = line if isinstance(line, str) else line.decode("utf-8", "surrogatepass")
        return decoder.decode(text)

    return batch_loader(readers, load)


def _tag(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$t": value.isoformat()}
    if isinstance(value, date):
        return {"$d": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$n": str(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$b": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, time | timedelta):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


_ENCODER = json.JSONEncoder(check_circular=False, default=_tag, ensure_ascii=False, separators=(",", ":"))
_encode = _ENCODER.encode


def _encoder() -> Callable[[Any, int], Iterable[str]]:
    """What ``_ENCODER.encode`` makes anew for every row, made once: a third of its time."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    try:
        made: Callable[[Any, int], Iterable[str]] = make(
            None, _tag, json.encoder.encode_basestring, None, ":", ",", False, False, True
        )
    except TypeError:  # an interpreter that does it otherwise
        return lambda row, _: (_encode(row),)
    return made


_parts = _encoder()
