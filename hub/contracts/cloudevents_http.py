"""CloudEvents 1.0 over HTTP, as they come in: structured, binary and batch mode.

One event becomes an ``Incoming``: its attributes as texts, its data as JSON values. What cannot be
read of one event of a batch is a ProblemError in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from hub.contracts.strict_json import faults_of, parse_strict, text_fault
from hub.domain.problem import Fault, ProblemError, fault

Mode = Literal["structured", "binary", "batch"]
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
BINARY = "application/json"
MAX_EVENTS = 1000
_REQUIRED = ("id", "source", "specversion", "type")
_NAME = re.compile(r"[a-z0-9]{1,40}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MAX_TEXT = 500


class Incoming(NamedTuple):
    """One event as it was sent. ``attributes`` has every attribute of the envelope, extensions too, as text."""

    attributes: Mapping[str, str]
    data: dict[str, Any]


class Unreadable(NamedTuple):
    """An event that cannot be read. ``id`` is its caller's, where that much can be said."""

    id: str | None
    problem: ProblemError


def mode_of(content_type: str, has_attributes: bool) -> Mode:
    """Which mode a request is in. ``has_attributes``: there are ``ce-`` headers. Raises ProblemError 415."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise _unsupported("the charset has to be UTF-8")
    if media_type == BATCH:
        return "batch"
    if media_type == STRUCTURED:
        return "structured"
    if media_type == BINARY and has_attributes:
        return "binary"
    raise _unsupported(f"Content-Type must be {STRUCTURED}, {BATCH}, or {BINARY} with ce- headers")


def read_structured(body: bytes) -> Incoming | Unreadable:
    """Raises ProblemError 400 for what is no JSON."""
    return _event(parse_strict(body))


def read_batch(body: bytes) -> list[Incoming | Unreadable]:
    """The events in their order, those that cannot be read among them.

    Raises ProblemError 400 for what is no JSON array, 413 for too many events.
    """
    found = parse_strict(body)
    if not isinstance(found, list):
        raise ProblemError(400, "malformed", "内容不是 JSON 数组", "a batch is a JSON array of events")
    if len(found) > MAX_EVENTS:
        raise ProblemError(413, "too-large", "内容过大", f"a batch may hold {MAX_EVENTS} events")
    return [_event(value) for value in found]


def read_binary(headers: Iterable[tuple[str, str]], body: bytes) -> Incoming | Unreadable:
    """``headers`` as they came, names in any case. Raises ProblemError 400 or 422."""
    attributes: dict[str, Any] = {}
    for name, value in headers:
        if not name.lower().startswith("ce-"):
            continue
        attribute = name.lower()[3:]
        if attribute in attributes:
            raise invalid([fault((attribute,), "the header stands twice")])
        attributes[attribute] = _decoded(attribute, value)
    data = parse_strict(body)
    if "data" in attributes or "data_base64" in attributes:
        raise invalid([fault(("data",), "the data of binary mode is the body")])
    return _event({**attributes, "data": data})


def invalid(errors: list[Fault], detail: str = "the event is not valid") -> ProblemError:
    """What is wrong with one event."""
    return ProblemError(422, "invalid", "内容未通过校验", detail, errors)


def _event(value: Any) -> Incoming | Unreadable:
    if not isinstance(value, dict):
        return Unreadable(None, invalid([fault((), "an event is a JSON object")]))
    faults = faults_of(value)
    if faults:
        return Unreadable(_caller_id(value), invalid(faults))
    attributes: dict[str, str] = {}
    for name, content in value.items():
        if name == "data" or content is None:  # an attribute without a value is the same as none
            continue
        if name == "data_base64":
            faults.append(fault((name,), "data has to be JSON, not bytes"))
        elif not _NAME.fullmatch(name):
            faults.append(fault((name[:100],), "the name of an attribute is of lower-case letters and digits"))
        elif not isinstance(content, str | int):
            faults.append(fault((name,), "an attribute is a text, a whole number, true or false"))
        elif len(text := content if isinstance(content, str) else str(content).lower()) > _MAX_TEXT:
            faults.append(fault((name,), f"longer than {_MAX_TEXT} characters"))
        elif not text.isprintable() and any(ord(each) < 32 for each in text):
            faults.append(fault((name,), "an attribute holds no tabs and line breaks"))
        else:
            attributes[name] = text
    faults += _envelope_faults(attributes)
    data = value.get("data")
    if isinstance(data, dict) and not faults:
        return Incoming(attributes, data)
    if not isinstance(data, dict):
        faults.append(fault(("data",), "is missing" if data is None else "has to be a JSON object"))
    return Unreadable(_caller_id(value), invalid(faults))


def _caller_id(value: dict[str, Any]) -> str | None:
    found = value.get("id")
    return found if isinstance(found, str) and len(found) <= _MAX_TEXT and text_fault(found) is None else None


def _envelope_faults(attributes: Mapping[str, str]) -> list[Fault]:
    faults = [fault((name,), "is missing") for name in _REQUIRED if not attributes.get(name)]
    if attributes.get("specversion", "1.0") != "1.0":
        faults.append(fault(("specversion",), "has to be 1.0"))
    kind = attributes.get("datacontenttype", BINARY).partition(";")[0].strip().lower()
    if kind != BINARY:
        faults.append(fault(("datacontenttype",), f"has to be {BINARY}"))
    if "time" in attributes and not _TIME.fullmatch(attributes["time"]):
        faults.append(fault(("time",), "is no time of RFC 3339"))
    return faults


def _decoded(name: str, value: str) -> str:
    """The value of a header, which CloudEvents writes percent-encoded where it is not plain ASCII."""
    try:
        if not value.isascii():
            raise ValueError
        return unquote_to_bytes(value).decode()
    except ValueError:
        said = "the header has to be percent-encoded UTF-8"
        raise ProblemError(400, "malformed", "请求头不是有效的 UTF-8", said, [fault((name,), said)]) from None


def _unsupported(detail: str) -> ProblemError:
    return ProblemError(415, "unsupported-media-type", "内容类型不受支持", detail)
