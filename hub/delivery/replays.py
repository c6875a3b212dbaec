"""Notices that are sent again because a person asked for it: how such a record is told from the notice itself.

A replay is the inbox record of its notice, byte for byte, once more at the end of the same inbox, with headers that
say by which request. So it goes through the same flow, behind everything that was there before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hub.bus.records import Output, Record, header
from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import derive_id

#: Id of the request on record.
REQUEST_HEADER = "__hub.replay.request"
#: The offset up to which the planner knew the partition: what came after it is looked at before the notice goes out.
KNOWN_HEADER = "__hub.replay.known"


class Mark(NamedTuple):
    """What makes an inbox record a replay."""

    request_id: str
    known: int


def mark_of(record: Record) -> Mark | None:
    """The mark of a replay; ``None`` for a notice itself. An inbox is written by the hub alone."""
    request = header(record.headers, REQUEST_HEADER)
    if request is None:
        return None
    known = header(record.headers, KNOWN_HEADER) or b""
    return Mark(request.decode("utf-8", "replace"), int(known) if known.isdigit() else 0)


def replay_id(notice_id: str, request_id: str) -> str:
    """What a replay is called: a receiver that absorbs by id sees it, and absorbs a repeat of the same replay."""
    return derive_id("replay", notice_id, request_id)


def as_replayed(notice: dict[str, Any], mark: Mark) -> dict[str, Any]:
    """The fields of a notice as those of its replay: under an id of its own, and without an end of a period, which is
    the notice's alone."""
    original = notice["notice_id"]
    return {
        **notice, "notice_id": replay_id(original, mark.request_id), "replay_of": original,
        "replay_request": mark.request_id, "deliver_by": None,
    }


def is_replay(notice: Mapping[str, Any]) -> bool:
    return "replay_of" in notice


def to_replay(record: Record, notice_id: str, request_id: str, known: int) -> Output:
    """``record``, the inbox record of a notice, as its replay."""
    envelope = from_headers(record.headers)
    id = replay_id(notice_id, request_id)
    caused = envelope.caused(id=id, source="/operators", type=envelope.type, time=envelope.time)
    marks = [(REQUEST_HEADER, request_id.encode()), (KNOWN_HEADER, str(known).encode())]
    return Output(record.topic, record.key, record.value, [*to_headers(caused), *marks], record.partition)


#: Reads the records of some spans of a topic: partition -> (first offset, offset behind the last).
Spans = Callable[[Mapping[int, tuple[int, int]]], Iterable[Record]]


def overtaken(
    replays: Sequence[tuple[Record, Mapping[str, Any]]], spans: Spans, fact_of: Callable[[Record], str | None]
) -> dict[tuple[int, int], str]:
    """Place (partition, offset) of replays whose fact changed after they were planned -> why they do not go out.

    Between the planner's look and its writing routing may have put a removal into the inbox: the old listing behind
    it would be the last that the department hears. ``fact_of`` gives the correlation id of a record that can be read.
    """
    wanted: dict[int, tuple[int, int]] = {}
    for record, _ in replays:
        mark = mark_of(record)
        assert mark is not None
        start, end = wanted.get(record.partition, (mark.known, record.offset))
        wanted[record.partition] = min(start, mark.known), max(end, record.offset)
    later: dict[tuple[int, str], list[int]] = {}
    for record in spans({partition: span for partition, span in wanted.items() if span[0] < span[1]}):
        if mark_of(record) is None and (fact := fact_of(record)) is not None:
            later.setdefault((record.partition, fact), []).append(record.offset)
    found: dict[tuple[int, int], str] = {}
    for record, notice in replays:
        mark = mark_of(record)
        offsets = later.get((record.partition, str(notice["correlation_id"])), ())
        if mark is not None and any(mark.known <= offset < record.offset for offset in offsets):
            found[record.partition, record.offset] = "its fact changed after the replay was planned"
    return found
