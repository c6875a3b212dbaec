"""Looks at groups from outside: what they committed, what is there, what of it they have not read, who is in them.

The age of what a group has not read is the time of its oldest unread record, read from the log itself. Where
compaction left a hole at the position it is the first record behind the hole, and none where only a hole is left.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import GroupIdNotFoundError
from kafka.errors import KafkaError as AdminError

from hub.bus.clients import new_consumer
from hub.bus.lag import Offsets, read_offsets, wait_for_coordinator
from hub.bus.topics import admin
from hub.domain.lag import GroupLook, Member, Place, PlaceLook
from hub.errors import BrokerError

#: One record of each place is wanted, so little is fetched ahead; a record is taken however large it is.
_FETCH_BYTES = 16 * 1024
#: Compaction may take the record that was found: it is looked for anew after this long.
_REMEMBER_SECONDS = 60.0

#: How the admin client's text of a group that does not exist begins.
_NO_SUCH_GROUP = f"[Error {GroupIdNotFoundError.errno}]"

#: Offset of a record, and when it was written.
Oldest = tuple[int, datetime | None]


class LagObserver:
    """Looks at the same groups again and again; keeps its connections. One object serves one thread.

    ``groups`` are the topics that each reads. ``served_by`` names the group whose members move the commits of one that
    has none of its own. ``now`` gives aware UTC.
    """

    def __init__(
        self, bootstrap: str, groups: Mapping[str, Sequence[str]], served_by: Mapping[str, str] | None = None, *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC), patience_seconds: float = 30.0,
    ) -> None:
        self._bootstrap, self._groups, self._now = bootstrap, dict(groups), now
        self._served_by = dict(served_by or {})
        self._admin: KafkaAdminClient | None = None
        self._open = contextlib.ExitStack()
        self._oldest = OldestRecords(bootstrap, patience_seconds=patience_seconds)

    def look(self) -> list[GroupLook]:
        """All groups as they are now. Raises BrokerError; the next look then begins with new connections."""
        try:
            if self._admin is None:
                self._admin = self._open.enter_context(admin(self._bootstrap))
            with _broker_errors(self._bootstrap):
                offsets = read_offsets(self._admin, self._groups)
                members, simple = _members(self._admin, {*self._groups, *self._served_by.values()})
            oldest = self._oldest.find({
                (place, each.position)
                for group in self._groups for place, each in _places(group, self._groups, offsets) if each.lag
            })
        except BrokerError:
            self.close()
            raise
        at = self._now()
        return [
            GroupLook(
                group, at,
                tuple(_with_oldest(each, oldest) for _, each in _places(group, self._groups, offsets)),
                tuple(members.get(self._served_by.get(group, group), ())), group in simple,
            )
            for group in self._groups
        ]

    def close(self) -> None:
        """Lets go of the connections; what errors come of that say nothing new."""
        with contextlib.suppress(BrokerError):
            self._open.close()
        self._admin = None
        self._oldest.close()


class OldestRecords:
    """The first record at or behind an offset, and when it was written. Remembers what it found: a group that does not
    move costs nothing."""

    def __init__(self, bootstrap: str, *, patience_seconds: float = 30.0) -> None:
        self._bootstrap, self._patience_seconds = bootstrap, patience_seconds
        self._consumer: Consumer | None = None
        self._known: dict[tuple[Place, int], Oldest] = {}
        self._forget_at = 0.0

    def find(self, wanted: Iterable[tuple[Place, int]]) -> dict[tuple[Place, int], Oldest]:
        """(place, position) -> (offset, time) of the oldest record from the position on; what is not there has none.

        Raises BrokerError if nothing is heard for the patience.
        """
        wanted = set(wanted)
        if time.monotonic() >= self._forget_at:
            self._known, self._forget_at = {}, time.monotonic() + _REMEMBER_SECONDS
        self._known = {key: found for key, found in self._known.items() if key in wanted}
        # A consumer is at one position of a partition at a time; groups at different ones take turns.
        turns: dict[Place, list[int]] = defaultdict(list)
        for place, position in wanted - self._known.keys():
            turns[place].append(position)
        while turns:
            self._read({place: positions.pop() for place, positions in turns.items()})
            turns = defaultdict(list, {place: positions for place, positions in turns.items() if positions})
        return dict(self._known)

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _read(self, positions: Mapping[Place, int]) -> None:
        try:
            if self._consumer is None:
                self._consumer = new_consumer(
                    self._bootstrap, group="hub-lag", client_id="lag",
                    **{
                        "enable.partition.eof": True, "queued.min.messages": 1, "fetch.message.max.bytes": _FETCH_BYTES,
                        "fetch.wait.max.ms": 10, "log_level": 2,
                    },
                )
            self._consumer.assign([TopicPartition(*place, position) for place, position in positions.items()])
            self._read_on(self._consumer, dict(positions))
            self._consumer.unassign()
        except (KafkaException, BrokerError) as error:
            self.close()
            raise BrokerError(f"{self._bootstrap}: {error}") from error

    def _read_on(self, consumer: Consumer, left: dict[Place, int]) -> None:
        heard_at = time.monotonic()
        while left:
            done = []
            for message in consumer.consume(500, 0.05):
                heard_at = time.monotonic()
                place, error = (message.topic() or "", message.partition() or 0), message.error()
                if place not in left:
                    continue
                if error is None:
                    kind, milliseconds = message.timestamp()
                    at = datetime.fromtimestamp(milliseconds / 1000, UTC) if kind and milliseconds >= 0 else None
                    self._known[place, left.pop(place)] = message.offset() or 0, at
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.pop(place)  # nothing but a hole
                elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                    raise BrokerError(f"{place[0]}: {error.str()}")
                else:
                    continue
                done.append(TopicPartition(*place))
            if done and left:
                consumer.incremental_unassign(done)
            elif left and time.monotonic() - heard_at > self._patience_seconds:
                raise BrokerError(f"nothing heard for {self._patience_seconds:.0f} s")


@contextlib.contextmanager
def _broker_errors(bootstrap: str) -> Iterator[None]:
    try:
        yield
    except AdminError as error:
        raise BrokerError(f"{bootstrap}: {error}") from error


def _places(
    group: str, groups: Mapping[str, Sequence[str]], offsets: Offsets
) -> list[tuple[Place, PlaceLook]]:
    found = []
    committed = offsets.committed.get(group, {})
    for topic in groups[group]:
        for place in offsets.places.get(topic, ()):
            start, end = offsets.ranges[place]
            found.append((place, PlaceLook(*place, start, end, committed.get(place))))
    return found


def _with_oldest(look: PlaceLook, oldest: Mapping[tuple[Place, int], Oldest]) -> PlaceLook:
    found = oldest.get((look.place, look.position)) if look.lag else None
    if found is None or found[0] >= look.end:
        return look
    return look._replace(oldest_offset=found[0], oldest_at=found[1])


def _members(client: KafkaAdminClient, groups: Collection[str]) -> tuple[dict[str, list[Member]], frozenset[str]]:
    """Members by group, and the groups that are simple: they hold commits and no protocol."""
    none: Mapping[str, Any] = {}
    described = wait_for_coordinator(lambda: client.describe_groups(list(groups)), none)
    members, simple = {}, set()
    for group, found in described.items():
        # A group that never was has no members; one that nobody can tell of might have.
        if found["error"] is not None and not found["error"].startswith(_NO_SUCH_GROUP):
            raise BrokerError(f"group {group}: {found['error']}")
        members[group] = [_member(each) for each in found["members"]]
        if found["error"] is None and not found["protocol_type"]:
            simple.add(group)
    return members, frozenset(simple)


def _member(found: Mapping[str, Any]) -> Member:
    assigned = found["member_assignment"]
    # A member that is just joining has none yet.
    places = assigned.get("assigned_partitions", ()) if isinstance(assigned, Mapping) else ()
    return Member(
        found["member_id"], found["client_id"], found["client_host"].lstrip("/"),
        frozenset((each["topic"], number) for each in places for number in each["partitions"]),
    )
