"""Redis index of the ledger: where on the log the records of each fact, subject and department stand.

An index only: the ``ledger`` stage writes it from the topics and begins anew where it was lost. Everything in it
stands under short hashes of ids; no value of a record is in it.

==================  =================================================================================
``e:<entity>``      a fact (correlation id): hour of its last record, then 12 bytes a record
``i:<2 bytes>``     ids of events and notices, 9 bytes each -> the fact
``s:<subject>``     the facts of a subject, 10 bytes each
``d:<code>:<hour>`` the facts that a department had part in, in that hour
``w:<hour>``        the facts that had a record in that hour: what leaves when the hour leaves
``offsets``         how far each partition has been read; moves in one step with what was read
``meta``            mark, counts, and the first hour that is held whole
==================  =================================================================================

An hour is that of the record's own time on the log, so that the index is a function of the log and of the first hour
that it holds. A mark changes with every write: an index that was flushed, evicted or restored from an older snapshot
lacks the mark that its owner wrote last, and takes no write.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import redis

from hub.errors import IndexUnavailableError
from hub.state.ledger_scripts import ENTRY_BYTES, EVICT, ID_BYTES, SUBJECT_BYTES, TOUCH_BYTES, WINDOW_BYTES, WRITE

PREFIX = "hub:ledger:"
HOUR_MS = 3_600_000
NO_ID = bytes(ID_BYTES)
NO_KEY = bytes(4)
#: What one of each takes in Valkey, its share of the tables included; a test holds the sum of them against the server.
_ENTITY_BYTES, _ID_COST, _SUBJECT_COST = 92, 40, 96
#: Touches that leave in one step: some milliseconds of the server.
_EVICTED_AT_ONCE = 2000

_PLACE = struct.Struct(">Q")
_HOUR = struct.Struct(">I")


def short_id(text: str | bytes) -> bytes:
    """Ten bytes that stand for an id: two of 10 million are the same once in 10 billion."""
    return blake2b(text.encode() if isinstance(text, str) else text, digest_size=ID_BYTES).digest()


def short_subject(text: str | bytes) -> bytes:
    return blake2b(text.encode() if isinstance(text, str) else text, digest_size=SUBJECT_BYTES).digest()


def short_key(key: bytes) -> bytes:
    """Four bytes for the key of a compacted topic, within one fact; never those that say "no key"."""
    return blake2b(key, digest_size=4).digest().replace(NO_KEY, b"\x00\x00\x00\x01")


def pack_place(topic: int, partition: int, offset: int) -> bytes:
    return _PLACE.pack(topic << 52 | partition << 40 | offset)


def unpack_place(packed: bytes) -> Place:
    number = _PLACE.unpack(packed)[0]
    return Place(number >> 52, number >> 40 & 0xFFF, number & 0xFF_FFFF_FFFF)


def hour_of(timestamp: int) -> bytes:
    """``timestamp`` is milliseconds since the epoch."""
    return _HOUR.pack(max(timestamp, 0) // HOUR_MS)


class Place(NamedTuple):
    """Where a record stands; ``topic`` is the number that the index has for it."""

    topic: int
    partition: int
    offset: int


class Usage(NamedTuple):
    """What the index holds, and about how many bytes of Redis that is."""

    entities: int
    entries: int
    ids: int
    subjects: int
    touches: int
    listed: int

    @property
    def bytes(self) -> int:
        return (
            self.entities * _ENTITY_BYTES + self.entries * (ENTRY_BYTES + 1) + self.ids * _ID_COST
            + self.subjects * _SUBJECT_COST + self.entities * ID_BYTES + self.touches * (TOUCH_BYTES + 4)
            + self.listed * (ID_BYTES + 2)
        )


class LedgerIndex:
    """Reading may go on in any number of processes and threads; one owner at a time writes.

    All methods raise IndexUnavailableError when Redis does not answer; ``write`` and ``evict`` also when the index was
    lost or somebody else has taken it over: the owner then begins anew. ``client`` must not decode responses; whoever
    made it closes it.
    """

    def __init__(self, client: redis.Redis, *, prefix: str = PREFIX, lease_seconds: float = 5.0) -> None:
        self._client, self._prefix = client, prefix
        self._lease_ms = int(lease_seconds * 1000)
        self._write, self._evict = client.register_script(WRITE), client.register_script(EVICT)
        self._owner, self._count, self._mark = "", 0, b""

    # -- the owner ----------------------------------------------------------------------------

    def begin(self, owner: str) -> bool:
        """Takes the index over, unless another owner has written within the lease."""
        with answering():
            held = self._client.set(self._key("owner"), owner, nx=True, px=self._lease_ms)
            if not held and self._client.get(self._key("owner")) != owner.encode():
                return False
            self._owner, self._count, self._mark = owner, 0, f"{owner}:0".encode()
            self._client.hset(self._key("meta"), "mark", cast(str, self._mark))
        return True

    def seize(self, owner: str, seconds: float = 60.0) -> None:
        """Takes the index over whoever has it: his next write is refused, and he waits until ``end``."""
        with answering():
            self._client.set(self._key("owner"), owner, px=int(seconds * 1000))
            self._owner, self._count, self._mark = owner, 0, f"{owner}:0".encode()
            self._client.hset(self._key("meta"), "mark", cast(str, self._mark))

    def has_owner(self) -> bool:
        """Whether anybody has written within the lease."""
        with answering():
            return bool(self._client.exists(self._key("owner")))

    def end(self) -> None:
        """Lets the next owner begin at once."""
        with answering():
            if self._client.get(self._key("owner")) == self._owner.encode():
                self._client.delete(self._key("owner"))

    def clear(self) -> None:
        """Forgets everything but the ownership. What was to be read is read from its beginning."""
        with answering():
            for part in _parts(self._client.scan_iter(match=f"{self._prefix}*", count=5000), 5000):
                if keys := [key for key in part if key != self._key("owner").encode()]:
                    self._client.unlink(*keys)
            if self._owner:
                self._client.hset(self._key("meta"), "mark", cast(str, self._mark))

    def number_topics(self, names: Sequence[str]) -> dict[str, int]:
        """The numbers of topics, given where they have none yet; for the owner alone."""
        with answering():
            known = self.topics()
            new = [name for name in names if name not in known]
            first = max(known.values(), default=0) + 1
            if new:
                given = {name: first + at for at, name in enumerate(new)}
                self._client.hset(self._key("topics"), mapping=cast("dict[Any, Any]", given))
                known |= given
        return known

    def write(
        self, items: bytes, departments: Sequence[str], commands: Sequence[Sequence[str | int]],
        offsets: Mapping[tuple[str, int], int],
    ) -> None:
        """One batch in one step: items (see :func:`item`), Redis commands of the desks, and how far it brings us."""
        self._count += 1
        after = f"{self._owner}:{self._count}".encode()
        flat = [part for (topic, number), at in offsets.items() for part in (f"{topic}:{number}", at)]
        with answering():
            is_written = self._write(args=[
                self._prefix, self._mark, after, self._owner, self._lease_ms, items, json.dumps(departments),
                json.dumps(commands, ensure_ascii=False), json.dumps(flat),
            ])
        if not is_written:
            raise IndexUnavailableError("The index of the ledger was lost or taken over; it is taken up anew.")
        self._mark = after

    def evict(self, most_bytes: int, to_bytes: int | None = None) -> int:
        """Where the index is above the bound, takes out the oldest until it is below ``to_bytes`` (the bound itself).

        Answers how many touches left.
        """
        left = 0
        aim = most_bytes
        while self.usage().bytes > aim:
            aim = most_bytes if to_bytes is None else to_bytes
            with answering():
                taken = cast(int, self._evict(args=[self._prefix, self._mark, _EVICTED_AT_ONCE]))
            if taken < 0:
                raise IndexUnavailableError("The index of the ledger was lost or taken over; it is taken up anew.")
            if taken == 0:
                break
            left += taken
        return left

    def offsets(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> offset from which on the index has to be caught up."""
        with answering():
            found = cast("dict[bytes, bytes]", self._client.hgetall(self._key("offsets")))
        places = ((name.decode().rpartition(":"), at) for name, at in found.items())
        return {(topic, int(number)): int(at) for (topic, _, number), at in places}

    # -- whoever asks -------------------------------------------------------------------------

    def topics(self) -> dict[str, int]:
        with answering():
            found = cast("dict[bytes, bytes]", self._client.hgetall(self._key("topics")))
        return {name.decode(): int(number) for name, number in found.items()}

    def usage(self) -> Usage:
        with answering():
            found = cast("list[bytes | None]", self._client.hmget(self._key("meta"), list(Usage._fields)))
        return Usage(*(int(value or 0) for value in found))

    def floor_ms(self) -> int:
        """From when on the index is whole, in milliseconds since the epoch; 0 where nothing has left it."""
        with answering():
            found = cast("bytes | None", self._client.hget(self._key("meta"), "floor"))
        return _HOUR.unpack(found)[0] * HOUR_MS if found else 0

    def is_there(self) -> bool:
        """Whether anything was ever written into it."""
        with answering():
            return bool(self._client.exists(self._key("offsets")))

    def filled_command(self) -> list[str | int]:
        """For ``write``: it has once been read to the end of the log since it was empty."""
        return ["HSET", self._key("meta"), "filled", 1]

    def is_filled(self) -> bool:
        """Whether what it does not know is not there, or came within the last moments; or left it by age."""
        with answering():
            return bool(self._client.hexists(self._key("meta"), "filled"))

    def entity_of(self, id: str) -> bytes | None:
        """The fact of an event or notice, or the fact itself where ``id`` is a correlation id."""
        short = short_id(id)
        with answering(), self._client.pipeline(transaction=False) as pipe:
            pipe.hget(self._named("i:", bytes((short[0], short[1] & 0xFC))), cast(str, short[1:]))
            pipe.exists(self._named("e:", short))
            found, is_entity = pipe.execute()
        return found or (short if is_entity else None)

    def entities_of_subject(self, subject: str) -> list[bytes]:
        with answering():
            found = cast("bytes | None", self._client.get(self._named("s:", short_subject(subject))))
        return _cut(found or b"")

    def entities_of_department(self, code: str, since_ms: int = 0) -> list[bytes]:
        """The facts that a department had part in from that hour on, the latest hour first."""
        hours = self.hours(since_ms)
        with answering(), self._client.pipeline(transaction=False) as pipe:
            for hour in hours:
                pipe.get(self._named(f"d:{code}:", hour))
            found = cast("list[bytes | None]", pipe.execute())
        return list(dict.fromkeys(entity for part in found for entity in reversed(_cut(part or b""))))

    def hours(self, since_ms: int = 0) -> list[bytes]:
        with answering():
            return cast(
                "list[bytes]", self._client.zrevrangebyscore(self._key("windows"), "+inf", max(since_ms, 0) // HOUR_MS)
            )

    def places(self, entities: Sequence[bytes]) -> list[list[Place]]:
        """The records of each fact; empty for one that the index does not hold."""
        with answering():
            keys = [self._named("e:", entity) for entity in entities]
            found = cast("list[bytes | None]", self._client.mget(keys)) if keys else []
        return [_unpack(value) for value in found]

    def dump(self) -> Iterator[tuple[bytes, int, list[Place]]]:
        """Every fact with the start of the hour of its last record (ms) and its records; in no order."""
        with answering():
            start = self._named("e:", b"")
            for keys in _parts(self._client.scan_iter(match=f"{self._prefix}e:*", count=5000), 5000):
                values = cast("list[bytes | None]", self._client.mget(keys))
                for key, value in zip(keys, values, strict=True):
                    if value is not None:
                        yield key[len(start):], _HOUR.unpack(value[:4])[0] * HOUR_MS, _unpack(value)

    def names(self) -> dict[bytes, bytes]:
        """Every short id with its fact, for comparison."""
        with answering():
            start = self._named("i:", b"")
            found: dict[bytes, bytes] = {}
            for keys in _parts(self._client.scan_iter(match=f"{self._prefix}i:*", count=5000), 1000):
                with self._client.pipeline(transaction=False) as pipe:
                    for key in keys:
                        pipe.hgetall(key)
                    for key, entries in zip(keys, pipe.execute(), strict=True):
                        found |= {key[len(start) : len(start) + 1] + rest: entity for rest, entity in entries.items()}
        return found

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _named(self, kind: str, name: bytes) -> bytes:
        return f"{self._prefix}{kind}".encode() + name


def item(
    entity: bytes, place: bytes, key: bytes, hour: bytes, id: bytes, subject: bytes, department: int
) -> bytes:
    """One record as ``write`` takes it; ``department`` counts from 1 in the batch's list, 0 is none."""
    return b"".join((entity, place, key, hour, id, subject, department.to_bytes(1, "big")))


def _unpack(value: bytes | None) -> list[Place]:
    if value is None:
        return []
    return [unpack_place(value[at : at + 8]) for at in range(WINDOW_BYTES, len(value), ENTRY_BYTES)]


def _cut(members: bytes) -> list[bytes]:
    return [members[at : at + ID_BYTES] for at in range(0, len(members), ID_BYTES)]


def _parts(keys: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    for key in keys:
        part.append(key)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


@contextmanager
def answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise IndexUnavailableError(f"the index of the ledger does not answer: {type(error).__name__}") from error
