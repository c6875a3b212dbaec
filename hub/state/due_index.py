"""Redis index of what falls due when: a sorted set for each partition, scored by the next moment.

It is no truth: the clocks stage writes it from its states and replaces it whole whenever it was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

import redis

from hub.errors import IndexUnavailableError

#: Members in one command, written or read.
_PART = 5000


class DueIndex:
    """All methods raise IndexUnavailableError when Redis does not answer.

    ``client`` should have short socket timeouts and no retries: the stage waits for it. Whoever made the
    client closes it. Moments are written as milliseconds since the epoch and read as aware datetimes.
    """

    def __init__(self, client: redis.Redis, *, prefix: str = "hub:clocks:due:") -> None:
        self._client = client
        self._prefix = prefix

    def put(self, partition: int, moments: Mapping[str, int | None]) -> None:
        """When each of these clocks next has something to say; ``None`` takes it out."""
        if not moments:
            return
        key = self._key(partition)
        scores = {clock_id: moment for clock_id, moment in moments.items() if moment is not None}
        gone = [clock_id for clock_id, moment in moments.items() if moment is None]
        with _answering(), self._client.pipeline(transaction=False) as pipe:
            if scores:
                pipe.zadd(key, cast("dict[Any, Any]", scores))
            if gone:
                pipe.zrem(key, *gone)
            pipe.execute()

    def replace(self, partition: int, moments: Mapping[str, int]) -> None:
        """The whole index of a partition, in one step for whoever reads it."""
        key = self._key(partition)
        written = f"{key}:written"
        entries = iter(moments.items())
        with _answering():
            self._client.delete(written)
            # In parts, so that nobody waits behind one command of a million members.
            while part := dict(islice(entries, _PART)):
                self._client.zadd(written, cast("dict[Any, Any]", part))
            if moments:
                self._client.rename(written, key)
            else:
                self._client.delete(key)

    def due_before(self, partition: int, moment: datetime, limit: int = 100) -> list[tuple[str, datetime]]:
        """At most ``limit`` clocks whose moment is at or before ``moment``, the earliest first."""
        with _answering():
            found = self._client.zrangebyscore(
                self._key(partition), "-inf", _score(moment), start=0, num=limit, withscores=True
            )
        return [
            (member.decode() if isinstance(member, bytes) else str(member), _moment(float(score)))
            for member, score in cast("list[tuple[bytes | str, float]]", found)
        ]

    def count(self, partition: int) -> int:
        """How many clocks of the partition have a moment to come."""
        return self.counts([partition])[0]

    def counts(self, partitions: Sequence[int]) -> list[int]:
        """The same of several, in one round trip."""
        with _answering(), self._client.pipeline(transaction=False) as pipe:
            for partition in partitions:
                pipe.zcard(self._key(partition))
            return cast("list[int]", pipe.execute())

    def members(self, partition: int) -> Iterator[tuple[str, int]]:
        """Every clock of the partition with its moment, in no order; one that moves meanwhile may come twice."""
        with _answering():
            for member, score in self._client.zscan_iter(self._key(partition), count=_PART):
                yield member.decode() if isinstance(member, bytes) else str(member), int(score)

    def drop(self, partitions: Sequence[int]) -> None:
        """Forgets them: a stage that runs misses them and writes them anew."""
        with _answering():
            self._client.delete(*map(self._key, partitions))

    def _key(self, partition: int) -> str:
        return f"{self._prefix}{partition}"


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise IndexUnavailableError(f"the due index does not answer: {type(error).__name__}") from error


def _score(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(score: float) -> datetime:
    return datetime.fromtimestamp(score / 1000, UTC)
