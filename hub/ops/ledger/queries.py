"""Questions to the ledger about ways: of an event, an enterprise, a department. What lies on a desk: ``desk_queries``.

All of them answer from the index and fetch the records that they need by position. ``is_exact`` reads in addition what
came onto the log since the index was last written, which takes a part of a second; ``may_scan`` lets a question read
the log where the index cannot answer: seconds for a million records. A web page asks without either.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from hub.bus.log_reader import Position
from hub.bus.records import Record, header
from hub.errors import IndexUnavailableError
from hub.ops.ledger.log_scan import latest
from hub.ops.ledger.reading import RecordReader, compacted_topics
from hub.ops.ledger.view import Ledger
from hub.ops.trace import Step, steps_from
from hub.ops.trace_ends import End, ends_of
from hub.state.ledger_index import Place, short_id


class Trace(NamedTuple):
    """The way of something: ``steps`` oldest first, ``ends`` of its branches.

    ``origin`` is ``index`` or ``log``; ``note`` says in a sentence why it was the log, or what may be missing; else it
    is empty.
    """

    steps: list[Step]
    ends: list[End]
    origin: str
    note: str = ""


def trace(ledger: Ledger, id: str, *, is_exact: bool = False, may_scan: bool = False) -> Trace:
    """The way of the fact that an event is a version of; ``id`` is an event's, a notice's or the fact's own.

    With ``may_scan`` any other id that stands on the log as well: of an order, a receipt, a clock. Raises BrokerError;
    without ``may_scan`` also IndexUnavailableError.
    """
    try:
        tail = _tail(ledger) if is_exact else []
        entity = ledger.index.entity_of(id) or _entity_in(tail, id)
        if entity is not None:
            records = _records(ledger, [entity], tail)
            if is_whole(ledger, records):
                return _told(ledger, records, "index")
            note = "A part of it is older than what the index holds"
        elif not ledger.index.is_there():
            note = "The index is empty: it is being filled, or no ledger runs"
        else:
            note = "The index does not know this id"
    except IndexUnavailableError as error:
        if not may_scan:
            raise
        note = str(error)
    if not may_scan:
        return Trace([], [], "index", f"{note}; hub trace looks for it on the log.")
    return _told(ledger, ledger.scan.of_id(id), "log", f"{note}; this is read from the log.")


def history(ledger: Ledger, subject: str, *, is_exact: bool = False, may_scan: bool = False) -> Trace:
    """Everything that is known of an enterprise or a person (by its keyed hash): all its facts. Raises as ``trace``."""
    try:
        tail = _tail(ledger) if is_exact else []
        wanted = subject.encode()
        entities = dict.fromkeys(ledger.index.entities_of_subject(subject))
        of_tail = [record for record in tail if header(record.headers, "ce_subject") == wanted]
        entities |= dict.fromkeys(short_id(header(record.headers, "ce_correlationid") or b"") for record in of_tail)
        floor = ledger.index.floor_ms()
        if ledger.index.is_there() and not floor:
            return _told(ledger, _records(ledger, list(entities), tail), "index")
        if floor and not may_scan:
            note = f"Facts that ended before {_day(floor)} are not in the index; hub trace reads them from the log."
            return _told(ledger, _records(ledger, list(entities), tail), "index", note)
        note = f"The index holds what was last heard of from {_day(floor)} on" if floor else "The index is empty"
    except IndexUnavailableError as error:
        if not may_scan:
            raise
        note = str(error)
    if not may_scan:
        return Trace([], [], "index", f"{note}; hub trace looks for it on the log.")
    return _told(ledger, ledger.scan.of_subject(subject), "log", f"{note}; this is read from the log.")


def records_of(
    ledger: Ledger, correlation_ids: Iterable[str], topics: Container[str] | None = None
) -> list[Record]:
    """The records of these facts, as far as the index holds them; of these topics alone, where they are named.

    Raises IndexUnavailableError, BrokerError.
    """
    return _records(ledger, list(dict.fromkeys(short_id(each) for each in correlation_ids)), [], topics)


def records_with(ledger: Ledger, id: str, topics: Container[str] | None = None) -> list[Record] | None:
    """The records of the fact that an event or a notice belongs to; ``None`` where the index does not know the id.

    Raises as ``records_of``.
    """
    entity = ledger.index.entity_of(id)
    return None if entity is None else _records(ledger, [entity], [], topics)


def part_of(
    ledger: Ledger, department: str, *, since: datetime | None = None, limit: int = 100, may_scan: bool = False
) -> Trace:
    """What a department (id or code) had part in: as a source, as a subscriber, as the owner of clocks.

    The latest ``limit`` facts from the hour of ``since`` on. Raises UsageError for an unknown department, else as
    ``trace``.
    """
    code = ledger.code_of(department)
    since_ms = 0 if since is None else round(since.timestamp() * 1000)
    try:
        floor = ledger.index.floor_ms()
        if ledger.index.is_there() and since_ms >= floor:
            entities = ledger.index.entities_of_department(code, since_ms)
            note = f"The latest {limit} of {len(entities)} facts." if len(entities) > limit else ""
            return _told(ledger, _records(ledger, entities[:limit], []), "index", note)
        note = f"The index begins at {_day(floor)}" if floor else "The index is empty"
        if not may_scan:
            entities = ledger.index.entities_of_department(code, since_ms)[:limit]
            return _told(ledger, _records(ledger, entities, []), "index", f"{note}.")
    except IndexUnavailableError as error:
        if not may_scan:
            raise
        note = str(error)
    return _told(ledger, _scan_department(ledger, code, since_ms, limit), "log", f"{note}; this is read from the log.")


def is_whole(ledger: Ledger, records: Iterable[Record]) -> bool:
    """Whether the index has all of a fact: nothing ever left it, or the first version of its event is there."""
    if not ledger.index.floor_ms():
        return True
    routed = frozenset(ledger.map.routed_topics())
    return any(
        record.topic in routed and header(record.headers, "ce_sequence") in (None, b"1") for record in records
    )


def _told(ledger: Ledger, records: Iterable[Record], origin: str, note: str = "") -> Trace:
    steps = steps_from(records, ledger.catalog)
    return Trace(steps, ends_of(steps), origin, note)


def _records(
    ledger: Ledger, entities: Sequence[bytes], tail: Sequence[Record], topics: Container[str] | None = None
) -> list[Record]:
    """The records of these facts by the index, and those of the tail."""
    names = {number: name for name, number in ledger.index.topics().items() if topics is None or name in topics}
    positions = [
        _position(place, names) for places in ledger.index.places(entities) for place in places if place.topic in names
    ]
    wanted = set(entities)
    found = list(ledger.reader.fetch(positions).values()) + [
        record for record in tail if short_id(header(record.headers, "ce_correlationid") or b"") in wanted
    ]
    return latest(iter(found), compacted_topics(ledger.map))


def _position(place: Place, names: dict[int, str]) -> Position:
    return Position(names[place.topic], place.partition, place.offset)


def _tail(ledger: Ledger) -> list[Record]:
    """What came onto the log since the index was written; nothing where it was never written."""
    return ledger.scan.after(ledger.index.offsets())


def _entity_in(tail: Iterable[Record], id: str) -> bytes | None:
    wanted = id.encode()
    for record in tail:
        if wanted in (header(record.headers, "ce_id"), header(record.headers, "ce_correlationid")):
            return short_id(header(record.headers, "ce_correlationid") or b"")
    return None


def _scan_department(ledger: Ledger, code: str, since_ms: int, limit: int) -> list[Record]:
    reader = RecordReader(ledger.map, ledger.catalog, {name: 1 for name in ledger.map.topics})
    entities: dict[bytes, int] = {}
    for record in ledger.scan.all():
        if record.timestamp >= since_ms and reader.department_of(record) == code:
            entity = header(record.headers, "ce_correlationid") or b""
            entities[entity] = max(entities.get(entity, 0), record.timestamp)
    kept = set(sorted(entities, key=lambda entity: -entities[entity])[:limit])
    return latest(
        (record for record in ledger.scan.all() if header(record.headers, "ce_correlationid") in kept),
        compacted_topics(ledger.map),
    )


def _day(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="minutes")
