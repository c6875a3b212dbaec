"""Who asked how often: in Redis for all web processes together, in memory where Redis is away.

No truth and nothing to rebuild: what is lost is forgotten after a window. Losing Redis makes each process count for
itself, so a caller of n processes gets at most n times his limit; it never makes the API stand still.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.domain.quota import Quota, Verdict, take, verdict_of

log = structlog.get_logger()
#: Callers that are remembered; of more the one that was not heard of for longest is forgotten.
_MOST = 100_000
#: So long Redis is not asked after it did not answer: a request must not wait for it each time.
_PAUSE_SECONDS = 5.0
#: The same sum as ``hub.domain.quota.take``; without a time of the caller's it is Redis' own, one for all machines.
_TAKE = """
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local start = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = start + tonumber(ARGV[2])
if after - now > tonumber(ARGV[3]) then
  return {0, start - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, after - now}
"""


class Quotas(Protocol):
    async def take(self, caller: str, quota: Quota) -> Verdict:
        """Counts one request. Never raises."""


def micros_now() -> int:
    return time.time_ns() // 1000


class MemoryQuotas:
    """The counts of one process. Thread-safe; ``now`` gives microseconds."""

    def __init__(self, now: Callable[[], int] = micros_now, *, most: int = _MOST) -> None:
        self._now, self._most, self._lock = now, most, threading.Lock()
        self._full_at: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def take(self, caller: str, quota: Quota) -> Verdict:
        key = quota.name, caller
        with self._lock:
            full_at, verdict = take(quota, self._full_at.get(key, 0), self._now())
            self._full_at[key] = full_at
            self._full_at.move_to_end(key)
            while len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
        return verdict


class RedisQuotas:
    """The counts of all processes. ``now`` is for tests: without it Redis' clock counts."""

    def __init__(
        self, client: Redis, fallback: Quotas, *, prefix: str = "hub:quota:", now: Callable[[], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._fallback, self._prefix = client, fallback, prefix
        self._now, self._monotonic, self._not_before = now, monotonic, float("-inf")
        self._take = client.register_script(_TAKE)

    async def take(self, caller: str, quota: Quota) -> Verdict:
        if self._monotonic() < self._not_before:
            return await self._fallback.take(caller, quota)
        now = self._now() if self._now is not None else -1
        try:
            is_allowed, debt = await self._take(
                keys=[f"{self._prefix}{quota.name}:{caller}"], args=[now, quota.emission, quota.window]
            )
        except (RedisError, OSError) as error:
            log.warning("quotas are counted by each process for itself", error=type(error).__name__)
            self._not_before = self._monotonic() + _PAUSE_SECONDS
            return await self._fallback.take(caller, quota)
        return verdict_of(quota, bool(is_allowed), int(debt))

    async def close(self) -> None:
        await self._client.aclose()
