"""How far a group is behind, judged from looks at it: no I/O, no clock of its own, and no threshold but the time that a
group may take between two commits.

A *look* is what the broker says of a group at a moment: where each partition begins and ends, what the group has
committed there, the oldest record that it has not read, and who is in it. Two looks make a pace.

Offsets are not records: compaction leaves holes, and retention takes the beginning away. So a partition is unread where
there *is* a record at or behind the position, and what was gone before the group came to it is ``lost``, said apart.
Kafka's own tool counts both as lag: ``lag + lost`` is its figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

Place = tuple[str, int]
#: A group that gets on commits within so long: lanes and flows every quarter of a second, the ledger every 2 s, and a
#: department's client every 5 by Kafka's default, which its receipts follow within one. Looks that span less may lie
#: between two commits of a group that is well.
COMMIT_RHYTHM_SECONDS = 6.0


class Verdict(StrEnum):
    """How a group stands, of several looks at it.

    ::

        is a record unread? ──no──▶ ok
              │ yes
        is anybody in the group? ──no──▶ stopped   nobody reads it: nothing moves before somebody starts
              │ yes
        has all been read that was there at the first look? ──yes──▶ ok   it keeps up; what waits came since
              │ no, or there was no earlier look
        did any commit move between the looks? ──yes─▶ behind    it reads, and still has to read what was there before
              │ no
        may it stand still (``Leave``)? ──yes──▶ waits     by design: it goes on when that ends
              │ no
        do the looks span the time between two commits? ──no──▶ behind   nobody can tell yet (``is_undecided``)
              │ yes
              ▼
            stalled   it is there, and does not get on

    A rewind (a commit that went back) is no verdict but named beside it: what follows it is a backlog like another.
    """

    OK = "ok"
    BEHIND = "behind"
    WAITS = "waits"
    STALLED = "stalled"
    STOPPED = "stopped"


class Leave(NamedTuple):
    """That a group may stand still with records unread. ``until`` is when it goes on by itself (office hours);
    ``None``: what it reads lies ready, and a department takes it when it will."""

    until: datetime | None = None


class Member(NamedTuple):
    """A process in a group, as the broker knows it, and the partitions that it was given."""

    member_id: str
    client_id: str
    host: str
    places: frozenset[Place] = frozenset()


class PlaceLook(NamedTuple):
    """One group on one partition at one moment.

    Readable are offsets from ``start`` up to ``end``, without it. ``committed`` is ``None`` where the group never did.
    ``oldest_offset`` is that of the oldest record which it has not read, ``None`` where there is none;
    ``oldest_at`` when that was written (``None`` also where the record has no time).
    """

    topic: str
    partition: int
    start: int
    end: int
    committed: int | None
    oldest_offset: int | None = None
    oldest_at: datetime | None = None

    @property
    def place(self) -> Place:
        return self.topic, self.partition

    @property
    def position(self) -> int:
        """Where the group reads on: its commit, or the beginning where there is none or it is gone."""
        return max(self.start, self.committed or 0)

    @property
    def lag(self) -> int:
        """Offsets from the position to the end."""
        return max(self.end - self.position, 0)

    @property
    def lost(self) -> int:
        """Offsets that were behind the commit and are gone: retention was faster than the group."""
        return 0 if self.committed is None else max(self.start - self.committed, 0)

    @property
    def is_unread(self) -> bool:
        return self.oldest_offset is not None


class GroupLook(NamedTuple):
    """One group at one moment. ``is_simple``: it commits without members ever having joined."""

    group: str
    at: datetime
    places: tuple[PlaceLook, ...]
    members: tuple[Member, ...] = ()
    is_simple: bool = False


class Rewind(NamedTuple):
    """A commit that went back."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int


class PlaceLag(NamedTuple):
    """One group on one partition: ``seconds`` is the age of its oldest unread record, 0 where none is unread and
    ``None`` where that record has no time. ``is_still``: the same record was unread at every look, longer than a commit
    takes."""

    look: PlaceLook
    seconds: float | None
    is_still: bool


class GroupLag(NamedTuple):
    """What several looks at a group say of it. Rates are offsets a second over ``observed_seconds``, ``None`` after one
    look alone.

    ``drain_seconds``: how long until what is unread *now* is read, at the pace seen; ``catch_up_seconds``: until
    nothing is, while more comes in as it did. ``None`` is never at this pace, or not known. ``is_undecided``: the looks
    span too little to tell a standstill from the time between two commits; another look may. ``leave`` is that of now,
    or of the first look.
    """

    group: str
    at: datetime
    verdict: Verdict
    places: tuple[PlaceLag, ...]
    members: tuple[Member, ...]
    is_simple: bool
    unread: int
    lost: int
    seconds: float | None
    observed_seconds: float
    drain_rate: float | None
    arrival_rate: float | None
    drain_seconds: float | None
    catch_up_seconds: float | None
    rewinds: tuple[Rewind, ...]
    is_undecided: bool
    leave: Leave | None = None

    @property
    def is_ready(self) -> bool:
        """Whether what is unread lies ready for a department."""
        return self.leave is not None and self.leave.until is None

    def horizon_seconds(self, place: Place) -> float | None:
        """How long until what is unread at a partition now is read; ``None`` is: nobody knows, maybe never."""
        if self.verdict in (Verdict.STOPPED, Verdict.STALLED):
            return None
        if self.leave is not None:  # the hub has done its part, or does it as soon as it may
            return max((self.leave.until - self.at).total_seconds(), 0.0) if self.leave.until else 0.0
        if self.verdict is Verdict.OK:
            return 0.0  # who keeps up goes at the pace of what comes in, which is no measure of what it could
        if any(each.is_still for each in self.places if each.look.place == place):
            return None
        return self.drain_seconds


def judge(looks: Sequence[GroupLook], leave: Leave | None = None) -> GroupLag:
    """The state of a group out of looks at it, the oldest first; one is enough for all but the pace. ``leave``: it may
    stand still, now or at the first look.

    :raises ValueError: without a look, or for looks at several groups.
    """
    if len({look.group for look in looks}) != 1:
        raise ValueError("looks at one group are judged, at least one")
    first, last = looks[0], looks[-1]
    observed = (last.at - first.at).total_seconds()
    unread = sum(each.lag for each in last.places if each.is_unread)
    is_long = observed >= COMMIT_RHYTHM_SECONDS
    held = frozenset(each.place for each in last.places if _is_held(looks, each))
    places = tuple(PlaceLag(each, _age(each, last.at), is_long and each.place in held) for each in last.places)
    ages = [each.seconds for each in places if each.look.is_unread]
    known = [age for age in ages if age is not None]
    drained = sum(_moves(before, after) for before, after in pairwise(looks))
    drain, arrival = None, None
    if len(looks) > 1 and observed > 0:
        drain, arrival = drained / observed, _arrived(looks) / observed
    verdict = _verdict(looks, drained, leave, is_long=is_long)
    return GroupLag(
        group=last.group, at=last.at, verdict=verdict, places=places, members=last.members,
        is_simple=last.is_simple, unread=unread, lost=sum(each.lost for each in last.places),
        seconds=0.0 if not ages else max(known, default=None), observed_seconds=observed,
        drain_rate=drain, arrival_rate=arrival,
        drain_seconds=_time(unread, drain), catch_up_seconds=_time(unread, _net(drain, arrival)),
        rewinds=tuple(rewind for before, after in pairwise(looks) for rewind in _rewinds(before, after)),
        is_undecided=verdict is Verdict.BEHIND and not is_long and (len(looks) == 1 or bool(held)),
        leave=leave,
    )  # fmt: skip


def _verdict(looks: Sequence[GroupLook], drained: int, leave: Leave | None, *, is_long: bool) -> Verdict:
    last = looks[-1]
    unread = [each for each in last.places if each.is_unread]
    if not unread:
        return Verdict.OK
    if not last.members:
        return Verdict.STOPPED
    ends = {each.place: each.end for each in looks[0].places}
    if len(looks) > 1 and all((each.oldest_offset or 0) >= ends.get(each.place, 0) for each in unread):
        return Verdict.OK
    if not drained and leave is not None:
        return Verdict.WAITS
    return Verdict.BEHIND if drained or not is_long else Verdict.STALLED


def _age(look: PlaceLook, now: datetime) -> float | None:
    if not look.is_unread:
        return 0.0
    # Clocks of producers differ: a record of the next moment is no younger than none.
    return max((now - look.oldest_at).total_seconds(), 0.0) if look.oldest_at is not None else None


def _is_held(looks: Sequence[GroupLook], now: PlaceLook) -> bool:
    """Whether the record that is unread now was the one that was unread at every look."""
    if not now.is_unread or len(looks) == 1:
        return False
    seen = [each for look in looks for each in look.places if each.place == now.place]
    return len(seen) == len(looks) and {each.oldest_offset for each in seen} == {now.oldest_offset}


def _pairs(before: GroupLook, after: GroupLook) -> Iterator[tuple[PlaceLook, PlaceLook]]:
    earlier = {each.place: each for each in before.places}
    return ((earlier[each.place], each) for each in after.places if each.place in earlier)


def _moves(before: GroupLook, after: GroupLook) -> int:
    """Offsets that the group got on by. What retention took meanwhile it did not read."""
    return sum(
        max((now.committed or 0) - max(then.position, now.start), 0) for then, now in _pairs(before, after)
    )


def _arrived(looks: Sequence[GroupLook]) -> int:
    return sum(max(now.end - then.end, 0) for then, now in _pairs(looks[0], looks[-1]))


def _rewinds(before: GroupLook, after: GroupLook) -> Iterator[Rewind]:
    for then, now in _pairs(before, after):
        if then.committed is not None and now.committed is not None and now.committed < then.committed:
            yield Rewind(now.topic, now.partition, then.committed, now.committed)


def _net(drain: float | None, arrival: float | None) -> float | None:
    return None if drain is None or arrival is None else drain - arrival


def _time(unread: int, rate: float | None) -> float | None:
    if not unread:
        return 0.0
    return unread / rate if rate is not None and rate > 0 else None
