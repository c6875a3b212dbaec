"""Redis index of what a source has already sent: which version of which row, with which content.

An index only. It remembers up to which offsets of the event topics it is complete, and what came
later is read from there; lost, it is rebuilt from the topics.

Everything of a source is one hash, so that one command changes it whole: the fields of rows are 16
bytes, the others are words:

=========================  ==========================================================
16 bytes                   4 bytes version, 8 bytes digest, the row's state
``offset:<topic>:<n>``     offset from which on partition n is not in the index yet
``file:<identity>``        how far a portion of work has got (JSON, the owner's)
``mark``                   changes with every write of the owner
``running``                set while an intake runs, to the portion that it reads; tells a kill from an end
=========================  ==========================================================

About 100 bytes a row. The mark makes loss visible: a hash that was flushed, evicted or restored from
an older snapshot does not have the mark that its owner wrote last, and then neither answers a lookup
nor takes a write.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import redis

from hub.errors import IndexUnavailableError

_ENTRY = struct.Struct(">I8s")
_MARK = b"mark"
_RUNNING = b"running"
#: Writes all pairs if the mark is the one expected. 1,000 pairs a call stay below Lua's stack.
_WRITE = """
if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return 0 end
for at = 2, #ARGV, 2000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, at, math.min(at + 1999, #ARGV)))
end
return 1
"""


class SeenRow(NamedTuple):
    """The last version of a row: its number from 1, 8 bytes that identify its content, its state
    (the event type that entered it)."""

    version: int
    digest: bytes
    state: str


class SeenIndex:
    """The index of one source. Used by one thread of one process, the holder of the source's lock.

    All methods raise IndexUnavailableError when Redis does not answer or has lost the index; the
    owner then begins anew with ``begin`` and catches up. Whoever made the client closes it; it must
    not decode responses.
    """

    def __init__(self, client: redis.Redis, source: str, *, prefix: str = "hub:seen:") -> None:
        self.source = source
        self._client = client
        self._key = f"{prefix}{source}"
        self._write = client.register_script(_WRITE)
        self._mark = b""
        self._count = 0

    def begin(self, run: str) -> str | None:
        """Takes the index over. Returns ``None`` if its last owner ended, else what it was reading when
        it was killed (``""`` for nothing)."""
        with _answering():
            running = cast("bytes | None", self._client.hget(self._key, cast(str, _RUNNING)))
            self._mark = f"{run}:0".encode()
            self._count = 0
            # What it was reading stays, in case that this owner is killed before it has caught up.
            self._client.hset(self._key, mapping={_MARK: self._mark, _RUNNING: running or b""})
        return None if running is None else running.decode()

    def enter(self, identity: str) -> None:
        """Says which portion is read from now on."""
        self._put([_RUNNING, identity.encode()])

    def end(self) -> None:
        """Says that nothing is under way any more."""
        with _answering():
            self._client.hdel(self._key, cast(str, _RUNNING))

    def clear(self) -> None:
        """Forgets everything but the ownership, to be rebuilt."""
        with _answering():
            running = cast("bytes | None", self._client.hget(self._key, cast(str, _RUNNING))) or b""
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(self._key)
                pipeline.hset(self._key, mapping={_MARK: self._mark, _RUNNING: running})
                pipeline.execute()

    def lookup(self, keys: Sequence[bytes]) -> list[SeenRow | None]:
        """The last version of each row, ``None`` for those never seen. ``keys`` are 16 bytes each."""
        with _answering():
            found = cast("list[bytes | None]", self._client.hmget(self._key, [_MARK, *keys]))
        if found[0] != self._mark:
            raise IndexUnavailableError("The index of rows seen was lost or rolled back; it will be rebuilt.")
        return [None if raw is None else _unpack(raw) for raw in found[1:]]

    def peek(self, keys: Sequence[bytes]) -> list[SeenRow | None]:
        """As ``lookup``, for somebody who does not own the index and only wants an idea: what was lost is not noticed,
        and what its owner writes meanwhile may be missing."""
        with _answering():
            found = cast("list[bytes | None]", self._client.hmget(self._key, list(keys))) if keys else []
        return [None if raw is None else _unpack(raw) for raw in found]

    def offsets(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """(topic, partition) -> offset from which on the index has to be caught up, where it is known."""
        with _answering():
            fields = [f"offset:{topic}:{partition}" for topic, partition in places]
            found = cast("list[bytes | None]", self._client.hmget(self._key, fields)) if fields else []
        return {place: int(raw) for place, raw in zip(places, found, strict=True) if raw is not None}

    def position(self, identity: str) -> bytes | None:
        """What ``mark`` stored last for that portion of work."""
        with _answering():
            return cast("bytes | None", self._client.hget(self._key, f"file:{identity}"))

    def write(
        self,
        rows: Mapping[bytes, SeenRow],
        offsets: Mapping[tuple[str, int], int],
        position: tuple[str, bytes] | None = None,
    ) -> None:
        """Stores rows, offsets and the position of a portion, all or nothing."""
        pairs: list[bytes | str | int] = []
        for key, row in rows.items():
            pairs += (key, _ENTRY.pack(row.version, row.digest) + row.state.encode())
        for (topic, partition), offset in offsets.items():
            pairs += (f"offset:{topic}:{partition}", offset)
        if position is not None:
            pairs += (f"file:{position[0]}", position[1])
        self._put(pairs)

    def _put(self, pairs: list[bytes | str | int]) -> None:
        self._count += 1
        mark = self._mark.partition(b":")[0] + b":%d" % self._count
        with _answering():
            is_written = self._write(keys=[self._key], args=[self._mark, _MARK, mark, *pairs])
        if not is_written:
            raise IndexUnavailableError("The index of rows seen was lost or rolled back; it will be rebuilt.")
        self._mark = mark

    def forget_position(self, identity: str) -> None:
        """The portion is finished and out of the way."""
        with _answering():
            self._client.hdel(self._key, f"file:{identity}")


def _unpack(raw: bytes) -> SeenRow:
    version, digest = _ENTRY.unpack_from(raw)
    return SeenRow(version, digest, raw[_ENTRY.size :].decode())


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise IndexUnavailableError(f"Redis did not answer: {error}") from error
