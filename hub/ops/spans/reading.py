"""From the headers of a record to its span. Values, keys and subjects are not looked at.

Which span a record is follows from its headers alone, so that a repeat is the same span again:

- ``traceparent`` names the record's own span where that is the one that its id gives; any other is the span of who
  called (W3C Trace Context), and the record is a child of it. So are dead letters, and what was put back: they carry
  the headers of the record that they were, and are told from it by their place.
- The parent is the span of the cause (``ce_causationid``): that which the cause's id gives as the beginning of this
  trace, if it is, else that of a record within it.
- What time alone moved (alerts, the end of a term) has no ``traceparent``: it belongs where its cause does.

A record of which the id is no UUID is none of the hub's, and has no span.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from hub.bus.dead_letters import OWN_PREFIX, PREFIX, REDRIVEN_PREFIX, last_header
from hub.bus.records import Record
from hub.domain.events import derive_id, new_traceparent, read_traceparent, span_of
from hub.ops.spans.span import Place, Span

#: Causes that are remembered for their time: about 15 MB. A record comes within seconds of its cause, an answer of a
#: department within days; what is forgotten by then starts at its own ``ce_time``.
REMEMBERED = 50_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: What the hub writes there, and nothing that a number of a person or an enterprise fits into.
_WORDS = re.compile(r"[a-z]+(?:[-.][a-z]+)*")
_SOURCE = re.compile(r"/([a-z]+)(?:/([a-z0-9]+(?:-[a-z0-9]+)*))?")
_LONG_NUMBER = re.compile(r"\d{6}")
_VERSION = re.compile(r"[\w.:-]{1,80}")
_DEAD_LETTERS = ".dead-letters.v1"


class _Known(NamedTuple):
    place: Place
    at: int


class _Head(NamedTuple):
    """What of a record's headers counts. ``caller``: the span, in the same trace, that its ``traceparent`` names as
    that of another."""

    record: Record
    id: str
    cause: str | None
    texts: dict[str, str]
    place: Place | None
    caller: str | None


class SpanReader:
    """Remembers the latest records, for the times of their effects. For one thread."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def read(self, records: Iterable[Record]) -> list[Span]:
        """The spans of a batch. Within it an effect may stand before its cause: topics are read side by side."""
        heads = [head for record in records if (head := _head(record)) is not None]
        for head in heads:
            if head.place is not None:
                self._remember(head, head.place)
        spans = [self._span(head) for head in heads]
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return spans

    def _remember(self, head: _Head, place: Place) -> None:
        if _again(head.record):
            return  # its effects are those of the record that it was
        if head.id not in self._known:
            self._known[head.id] = _Known(place, head.record.timestamp)

    def _span(self, head: _Head) -> Span:
        record, cause = head.record, self._known.get(head.cause) if head.cause is not None else None
        place, parent, link = self._where(head, cause)
        self._remember(head, place)
        started = cause.at if cause is not None else _millis(head.texts.get("ce_time"), record.timestamp)
        if _again(record):
            # The letter, or what was put back, beside the record that it was.
            original = self._known.get(head.id)
            started = original.at if original is not None else record.timestamp
            own = span_of(derive_id("span", record.topic, str(record.partition), str(record.offset)))
            place, parent, link = Place(place.trace, own), place.span, None
        is_letter = record.topic.endswith(_DEAD_LETTERS)
        type_ = head.texts.get("ce_type", "")
        return Span(
            place, parent, link, type_ if _WORDS.fullmatch(type_) else record.topic,
            record.topic.removesuffix(_DEAD_LETTERS) if is_letter else service_of(head.texts.get("ce_source", "")),
            min(started, record.timestamp), record.timestamp, _attributes(head, is_letter=is_letter), is_letter,
        )

    def _where(self, head: _Head, cause: _Known | None) -> tuple[Place, str | None, Place | None]:
        if head.place is None:
            return self._without_context(head, cause)
        trace = head.place.trace
        if head.caller is not None or head.cause is None:
            outside = cause.place if cause is not None and cause.place.trace != trace else None
            return head.place, head.caller, outside
        if cause is not None:
            if cause.place.trace == trace:
                return head.place, cause.place.span, None
            return head.place, None, cause.place
        first = _first(head.cause)
        if first.trace == trace:
            return head.place, first.span, None
        # A record that begins its trace has its cause in another one.
        is_beginning = head.place == _first(head.id)
        return head.place, None if is_beginning else span_of(head.cause), None

    def _without_context(self, head: _Head, cause: _Known | None) -> tuple[Place, str | None, Place | None]:
        if head.cause is None:
            return _first(head.id), None, None
        above = cause.place if cause is not None else _first(head.cause)
        return Place(above.trace, span_of(head.id)), above.span, None


def service_of(source: str) -> str:
    """The stage that wrote a record, of its ``ce_source``: ``/stages/NAME`` names it, ``/sources/NAME`` is written by
    intake; of what people and pages write the first word."""
    found = _SOURCE.fullmatch(source)
    if found is None:
        return "unknown"
    first, second = found.groups()
    if first == "stages" and second is not None and _WORDS.fullmatch(second):
        return second
    return "intake" if first == "sources" else first


def _head(record: Record) -> _Head | None:
    texts: dict[str, str] = {}
    for name, value in record.headers:
        if name in _READ and value is not None and name not in texts:
            texts[name] = value.decode("utf-8", "replace")
    id = texts.get("ce_id", "")
    if _UUID.fullmatch(id) is None:
        return None
    cause = texts.get("ce_causationid", "")
    given = read_traceparent(texts.get("traceparent", ""))
    place, caller = None, None
    if given is not None:
        place = Place(*given)
        if place.span not in (span_of(id), _first(id).span):
            place, caller = Place(place.trace, span_of(id)), place.span
    known_cause = cause if _UUID.fullmatch(cause) and cause != id else None
    return _Head(record, id, known_cause, texts, place, caller)


_READ = frozenset(("ce_id", "ce_causationid", "ce_type", "ce_source", "ce_time", "traceparent"))


def _first(id: str) -> Place:
    """The span that begins the trace of an event."""
    _, trace, span, _ = new_traceparent(id).split("-")
    return Place(trace, span)


def _again(record: Record) -> bool:
    """Whether a record carries the headers of an earlier one: a dead letter, or one that was put back."""
    return record.topic.endswith(_DEAD_LETTERS) or any(
        name.startswith(REDRIVEN_PREFIX) for name, _ in record.headers
    )


def _attributes(head: _Head, *, is_letter: bool) -> dict[str, str | int]:
    """By OpenTelemetry's semantic conventions for messaging with Kafka and for CloudEvents; ``hub.`` are our own."""
    record = head.record
    found: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "cloudevents.event_id": head.id,
    }
    source = head.texts.get("ce_source", "")
    if _SOURCE.fullmatch(source) and not _LONG_NUMBER.search(source):
        found["cloudevents.event_source"] = source
    if is_letter:
        _put(found, "error.type", last_header(record.headers, PREFIX + "exception"))
        _put(found, "hub.rule_version", last_header(record.headers, OWN_PREFIX + "rule-version"))
    return found


def _put(attributes: dict[str, str | int], name: str, value: bytes | None) -> None:
    text = (value or b"").decode("utf-8", "replace")
    if _VERSION.fullmatch(text):
        attributes[name] = text


def _millis(time: str | None, default: int) -> int:
    try:
        found = datetime.fromisoformat(time or "")
    except ValueError:
        return default
    return int(found.timestamp() * 1000) if found.tzinfo is not None else default
