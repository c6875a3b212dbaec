"""Redis index of what falls due when: a sorted set for each partition, scored by the next moment.

It is no truth: the clocks stage writes it from its states and replaces it whole whenever it was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import redis

from hub.errors import IndexUnavailableError

_SCANNED = 5000


class DueIndex:
    """All methods raise IndexUnavailableError when Redis does not answer.

    ``client`` should have short socket timeouts and no retries: the stage waits for it. Whoever made the
    client closes it. Moments are aware; the index keeps milliseconds.
    """

    def __init__(self, client: redis.Redis, *, prefix: str = "hub:clocks:due:") -> None:
        self._client = client
        self._prefix = prefix

    def put(self, partition: int, moments: Mapping[str, datetime | None]) -> None:
        """When each of these clocks next has something to say; ``None`` takes it out."""
        if not moments:
            return
        key = self._key(partition)
        scores = {clock_id: _score(moment) for clock_id, moment in moments.items() if moment is not None}
        gone = [clock_id for clock_id, moment in moments.items() if moment is None]
        with _answering(), self._client.pipeline(transaction=False) as pipe:
            if scores:
                pipe.zadd(key, cast("dict[Any, Any]", scores))
            if gone:
                pipe.zrem(key, *gone)
            pipe.execute()

    def replace(self, partition: int, moments: Mapping[str, datetime]) -> None:
        """The whole index of a partition, in one step for whoever reads it."""
        key = self._key(partition)
        scores = {clock_id: _score(moment) for clock_id, moment in moments.items()}
        with _answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.delete(key)
            if scores:
                pipe.zadd(key, cast("dict[Any, Any]", scores))
            pipe.execute()

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
        with _answering():
            return self._client.zcard(self._key(partition))

    def members(self, partition: int) -> Iterator[tuple[str, datetime]]:
        """Every clock of the partition with its moment, in no order; one that moves meanwhile may come twice."""
        with _answering():
            for member, score in self._client.zscan_iter(self._key(partition), count=_SCANNED):
                yield member.decode() if isinstance(member, bytes) else str(member), _moment(float(score))

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
