"""The queues of a subscription: one for each subject, strictly in order, none in another's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from hub.bus.batch import Place
from hub.bus.records import Record
from hub.delivery.message import action_of
from hub.delivery.replays import is_replay
from hub.delivery.waits import Wait
from hub.domain.events import Envelope


class LineState(StrEnum):
    """Draws what becomes of the first notice of a subject.

        idle ──▶ ready ──▶ busy ──▶ idle, or ready for the next
                   ▲         ├──▶ resting    failed; tried again in seconds, the inbox keeps it
                   │         ├──▶ waiting    failed for longer; on the topic of waits, tried again by itself
                   │         ├──▶ elsewhere  its period ends: handed out the other way, until that says how it ended
                   │         └──▶ parked     refused for good; a person releases or drops it
                   └─────────────┘
    """

    IDLE = "idle"
    READY = "ready"
    BUSY = "busy"
    RESTING = "resting"
    WAITING = "waiting"
    ELSEWHERE = "elsewhere"
    PARKED = "parked"


class Item:
    """One notice on its way. ``wait`` is set once it stands on the topic of waits."""

    __slots__ = (
        "attempts", "body", "envelope", "first_at", "http_status", "is_released", "is_told", "last_error", "notice",
        "record", "tries_in_place", "wait",
    )

    def __init__(
        self, record: Record, notice: Mapping[str, Any], envelope: Envelope, body: bytes, wait: Wait | None = None
    ) -> None:
        self.record, self.notice, self.envelope, self.body, self.wait = record, notice, envelope, body, wait
        self.attempts = wait.attempts if wait else 0
        self.first_at: datetime | None = wait.first_attempt_at if wait else None
        self.http_status: int | None = wait.http_status if wait else None
        self.tries_in_place = 0
        self.last_error = wait.reason if wait else ""
        #: A person wants it tried the ordinary way, whatever the hour.
        self.is_released = False
        #: A person was told that it is about to be late.
        self.is_told = False

    @property
    def notice_id(self) -> str:
        return str(self.notice["notice_id"])


class Line:
    """The notices of one subject, the oldest first."""

    __slots__ = ("is_gone", "items", "key", "state")

    def __init__(self, key: tuple[str, int, bytes | None]) -> None:
        self.key = key
        #: Its partition belongs to somebody else now: what is under way ends, nothing more begins.
        self.is_gone = False
        self.items: deque[Item] = deque()
        self.state = LineState.IDLE

    @property
    def place(self) -> Place:
        return self.key[:2]

    @property
    def is_held(self) -> bool:
        """Whether later notices go behind it, onto the topic of waits."""
        return self.state in (LineState.WAITING, LineState.ELSEWHERE, LineState.PARKED)


class Lines:
    """All lines that are not empty."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int, bytes | None], Line] = {}
        #: Partition and fact -> offset and id of the last notice that takes the fact back, while that has no end: about
        #: 250 bytes each.
        self._lifts: dict[tuple[int, str], tuple[int, str]] = {}

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def of(self, record: Record) -> Line:
        key = (record.topic, record.partition, record.key)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        return line

    def drop_empty(self, line: Line) -> None:
        if not line.items:
            self._lines.pop(line.key, None)

    def add(self, item: Item) -> None:
        """At the end of its line."""
        self.of(item.record).items.append(item)
        self.note(item.record, item.notice)

    def note(self, record: Record, notice: Mapping[str, Any]) -> None:
        """Remembers what takes back a fact, also where its turn has not come. What is only said again takes back
        nothing that came since."""
        if action_of(notice) == "lift" and not is_replay(notice):
            self._lifts[_place_of(record, notice)] = (record.offset, str(notice["notice_id"]))

    def remove(self, line: Line, item: Item) -> None:
        """It has ended."""
        line.items.remove(item)
        place = _place_of(item.record, item.notice)
        # All that came before what takes a fact back has ended with it.
        if self._lifts and (lift := self._lifts.get(place)) is not None and lift[0] == item.record.offset:
            del self._lifts[place]

    def superseded(self, line: Line) -> list[tuple[Item, str]]:
        """(notice, id of the later one that takes back its fact) of what need not go out any more.

        What is under way is not among them; nor is the later one, since the department may hold what came before.
        """
        if not self._lifts:
            return []
        found: list[tuple[Item, str]] = []
        for item in line.items:
            lift = self._lifts.get(_place_of(item.record, item.notice))
            is_under_way = line.state is LineState.BUSY and item is line.items[0]
            if lift is None or is_under_way:
                continue
            if item.record.offset < lift[0]:
                found.append((item, lift[1]))
        return found

    def forget(self, places: Iterable[Place]) -> list[Line]:
        """Takes the lines of some partitions out; returns them."""
        gone = set(places)
        partitions = {partition for _, partition in gone}
        self._lifts = {place: lift for place, lift in self._lifts.items() if place[0] not in partitions}
        found = [line for line in self._lines.values() if line.place in gone]
        for line in found:
            line.is_gone = True
            del self._lines[line.key]
        return found


def _place_of(record: Record, notice: Mapping[str, Any]) -> tuple[int, str]:
    return record.partition, str(notice["correlation_id"])
