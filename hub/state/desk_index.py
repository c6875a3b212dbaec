"""Redis index of what lies on whose desk: clocks, notices and leads of each department, and its counts.

Every key begins with the department's code, so that whoever reads for one department cannot come upon another's; there
is no key of all. No personal data: ids, codes, days and states; a natural person stands there as the keyed hash that
is its subject. The ``ledger`` stage folds it (:mod:`hub.domain.desk`) and writes it in one step with its position.

=================  =========================================================================
``<code>:clocks``  clock id -> entry, of open clocks and of those that ended within 100 days
``<code>:due``     open clocks in order of their due moments; ``<code>:by-id`` all of them by their ids
``<code>:notices`` notice id -> entry
``<code>:inbox``   notices in order of their issue; ``<code>:waiting`` those to be answered
``<code>:leads``   fact -> entry; ``<code>:open-leads`` those to be handled, oldest first
``<code>:score``   ``day|rule|outcome`` -> how many clocks
=================  =========================================================================

About 700 bytes an open clock, 600 a notice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar, cast

import redis

from hub.domain.desk import ClockEntry, Counted, LeadEntry, Mark, NoticeEntry, marks_of
from hub.domain.disclosed import ChannelEntry
from hub.state.ledger_index import answering

PREFIX = "hub:desk:"
Entry = ClockEntry | NoticeEntry | LeadEntry | ChannelEntry
Command = list[str | int]
E = TypeVar("E", ClockEntry, NoticeEntry, LeadEntry, ChannelEntry)
#: Entries that are looked at in one go when what is long over leaves.
_SWEPT_AT_ONCE = 1000
#: Made once: json.dumps makes an encoder for each call that says how.
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Shelf(Generic[E]):
    """Where entries of one kind stand: a hash, and sorted sets with those that a predicate takes."""

    name: str
    kind: type[E]
    #: Entry -> the sorted sets that it stands in, with its place in each.
    places: Callable[[E], Mapping[str, str]]
    #: All of those sorted sets.
    orders: tuple[str, ...]
    #: Sorted set -> how many of its last places it keeps, where it does not keep all.
    most: Mapping[str, int] = field(default_factory=dict)


def _clock_places(entry: ClockEntry) -> dict[str, str]:
    return {"by-id": f":{entry.clock_id}"} | ({"due": entry.order} if entry.is_open else {})


def _notice_places(entry: NoticeEntry) -> dict[str, str]:
    if entry.order is None:
        return {}
    return {"inbox": entry.order} | ({"waiting": entry.order} if entry.is_waiting else {})


def _lead_places(entry: LeadEntry) -> dict[str, str]:
    return {"open-leads": entry.order} if entry.is_open else {}


CLOCKS = Shelf("clocks", ClockEntry, _clock_places, ("due", "by-id"))
NOTICES = Shelf("notices", NoticeEntry, _notice_places, ("inbox", "waiting"))
LEADS = Shelf("leads", LeadEntry, _lead_places, ("open-leads",))
SHELVES: tuple[Shelf[Any], ...] = (CLOCKS, NOTICES, LEADS)


class Page(NamedTuple, Generic[E]):
    """Some entries in order, and where the next page begins; ``None`` behind the last.

    A cursor is a place in the order, not a count: what is put in or taken out meanwhile moves nothing.
    """

    entries: list[E]
    cursor: str | None


class DeskIndex:
    """All methods raise IndexUnavailableError when Redis does not answer. Thread-safe as the client is.

    ``client`` must not decode responses. The first argument of every question is the code of the department whose desk
    it is. What else is looked after in this way has a prefix and ``shelves`` of its own (:mod:`channel_index`).
    """

    def __init__(
        self, client: redis.Redis, *, prefix: str = PREFIX, shelves: tuple[Shelf[Any], ...] = SHELVES
    ) -> None:
        self._client, self._prefix = client, prefix
        self.shelves = {shelf.name: shelf for shelf in shelves}
        #: Not among the desks: only the stage looks up whose a lead is.
        self._homes = f"{prefix.rstrip(':')}-of-lead"

    # -- whoever asks -------------------------------------------------------------------------

    def page(
        self, department: str, shelf: Shelf[E], order: str, *, cursor: str | None = None, limit: int = 50,
        is_reversed: bool = False,
    ) -> Page[E]:
        """Entries in the order of one of the shelf's sorted sets, from behind ``cursor`` on."""
        key = self._key(department, order)
        with answering():
            if is_reversed:
                last = f"({cursor}" if cursor else "+"
                found = self._client.zrevrangebylex(key, last, "-", start=0, num=limit + 1)
            else:
                first = f"({cursor}" if cursor else "-"
                found = self._client.zrangebylex(key, first, "+", start=0, num=limit + 1)
        members = [member.decode() for member in cast("list[bytes]", found)]
        names = [member.partition(":")[2] for member in members[:limit]]
        entries = self.entries(department, shelf, names)
        rest = members[limit - 1] if members[limit:] else None
        return Page([entries[name] for name in names if name in entries], rest)

    def entries(self, department: str, shelf: Shelf[E], names: Sequence[str]) -> dict[str, E]:
        """The entries of these ids that the department has."""
        if not names:
            return {}
        with answering():
            found = cast(
                "list[bytes | None]", self._client.hmget(self._key(department, shelf.name), list(names))
            )
        return {
            name: shelf.kind.parse(json.loads(raw))
            for name, raw in zip(names, found, strict=True) if raw is not None
        }

    def count(self, department: str, order: str) -> int:
        """How many stand in one of the orders."""
        with answering():
            return int(self._client.zcard(self._key(department, order)))

    def marks(self, department: str) -> list[tuple[Mark, int]]:
        """All counts of the department's clocks."""
        with answering():
            found = cast("dict[bytes, bytes]", self._client.hgetall(self._key(department, "score")))
        return [(Mark(*name.decode().split("|")), int(count)) for name, count in found.items()]

    def empty_marks(self, department: str) -> list[Command]:
        """What takes counts out that have come to nothing."""
        key = self._key(department, "score")
        return [["HDEL", key, "|".join(mark)] for mark, count in self.marks(department) if not count]

    # -- the stage ----------------------------------------------------------------------------

    def many(self, wanted: Mapping[tuple[str, str], Sequence[str]]) -> dict[tuple[str, str, str], Entry]:
        """(department, shelf) -> ids, as entries by (department, shelf, id); one round trip."""
        order = [(place, list(names)) for place, names in wanted.items() if names]
        with answering(), self._client.pipeline(transaction=False) as pipe:
            for (department, name), names in order:
                pipe.hmget(self._key(department, name), names)
            answers = pipe.execute()
        return {
            (*place, id): self.shelves[place[1]].kind.parse(json.loads(raw))
            for (place, names), found in zip(order, answers, strict=True)
            for id, raw in zip(names, found, strict=True) if raw is not None
        }

    def commands(
        self, department: str, shelf: Shelf[Any], id: str, old: Entry | None, new: Entry | None
    ) -> list[Command]:
        """What makes ``new`` of ``old``; empty where they are the same."""
        if old == new:
            return []
        had, has = (dict(shelf.places(each)) if each is not None else {} for each in (old, new))
        found: list[Command] = [
            ["ZREM", self._key(department, name), place] for name, place in had.items() if has.get(name) != place
        ]
        found += [
            ["ZADD", self._key(department, name), 0, place] for name, place in has.items() if had.get(name) != place
        ]
        found += [
            ["ZREMRANGEBYRANK", self._key(department, name), 0, -most - 1] for name, most in shelf.most.items()
            if name in has and had.get(name) != has[name]
        ]
        if new is None:
            found.append(["HDEL", self._key(department, shelf.name), id])
        else:
            found.append(["HSET", self._key(department, shelf.name), id, pack(new)])
        return found

    def score_commands(
        self, department: str, changes: Iterable[tuple[Counted | None, Counted | None]]
    ) -> list[Command]:
        """What the counts become as clocks of a department change, together."""
        sums: dict[Mark, int] = {}
        for old, new in changes:
            before, after = marks_of(old), marks_of(new)
            for mark in before - after:
                sums[mark] = sums.get(mark, 0) - 1
            for mark in after - before:
                sums[mark] = sums.get(mark, 0) + 1
        key = self._key(department, "score")
        return [["HINCRBY", key, "|".join(mark), change] for mark, change in sums.items() if change]

    def homes(self, leads: Sequence[str]) -> dict[str, str]:
        """Lead -> whose desk it lies on, for those that lie on one."""
        if not leads:
            return {}
        with answering():
            found = cast("list[bytes | None]", self._client.hmget(self._homes, list(leads)))
        return {lead: code.decode() for lead, code in zip(leads, found, strict=True) if code is not None}

    def home_command(self, lead: str, department: str | None) -> Command:
        """Notes whose desk a lead lies on now; ``None`` for nobody's."""
        return ["HDEL", self._homes, lead] if department is None else ["HSET", self._homes, lead, department]

    def departments(self) -> set[str]:
        """The codes of all that have a desk; for the stage and for operators."""
        with answering():
            keys = list(self._client.scan_iter(match=f"{self._prefix}*", count=1000))
        return {key.decode().removeprefix(self._prefix).partition(":")[0] for key in keys}

    def part(
        self, department: str, shelf: Shelf[E], cursor: int
    ) -> tuple[int, dict[str, E]]:
        """Some entries of a shelf, and where the rest begins; 0 is both the beginning and the end."""
        with answering():
            after, found = cast(
                "tuple[int, dict[bytes, bytes]]",
                self._client.hscan(self._key(department, shelf.name), cursor, count=_SWEPT_AT_ONCE),
            )
        return int(after), {
            name.decode(): shelf.kind.parse(json.loads(raw)) for name, raw in found.items()
        }

    def all(self, department: str, shelf: Shelf[E]) -> dict[str, E]:
        """Every entry of a shelf, for comparison."""
        cursor, found = self.part(department, shelf, 0)
        while cursor:
            cursor, more = self.part(department, shelf, cursor)
            found |= more
        return found

    def order(self, department: str, name: str) -> list[str]:
        """All places of a sorted set, for comparison."""
        with answering():
            found = cast("list[bytes]", self._client.zrange(self._key(department, name), 0, -1))
        return [member.decode() for member in found]

    def clear(self) -> None:
        """Forgets all desks."""
        with answering():
            for key in self._client.scan_iter(match=f"{self._prefix}*", count=1000):
                self._client.unlink(key)
            self._client.delete(self._homes)

    def _key(self, department: str, name: str) -> str:
        return f"{self._prefix}{department}:{name}"


def pack(entry: Entry) -> str:
    return _ENCODE(entry)
