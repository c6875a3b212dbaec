"""How often somebody may ask: a token bucket, kept as the one moment at which it is full again (GCRA).

All times are whole microseconds, so that Python and Redis' Lua count alike: doubles hold them exactly.
"""

from __future__ import annotations

from typing import NamedTuple

_MICROS = 1_000_000


class Quota(NamedTuple):
    """``limit`` requests in ``window_seconds``, all of them at once if need be; then one each window / limit."""

    name: str
    limit: int
    window_seconds: int = 60

    @property
    def window(self) -> int:
        return self.window_seconds * _MICROS

    @property
    def emission(self) -> int:
        """What one request costs, in microseconds."""
        return self.window // self.limit


class Verdict(NamedTuple):
    """``remaining`` requests at this moment; whole again in ``reset_seconds``; the next one in ``retry_seconds``, 0
    where this one was let in."""

    is_allowed: bool
    remaining: int
    reset_seconds: int
    retry_seconds: int


def verdict_of(quota: Quota, is_allowed: bool, debt: int) -> Verdict:
    """``debt``: microseconds until the bucket is full again, after this request if it was let in."""
    missing = max(0, debt + quota.emission - quota.window)
    return Verdict(
        is_allowed, max(0, (quota.window - debt) // quota.emission), _seconds(debt),
        0 if is_allowed else max(1, _seconds(missing)),
    )


def take(quota: Quota, full_at: int, now: int) -> tuple[int, Verdict]:
    """One request at ``now`` of a bucket that is full at ``full_at``; when it is full then, and whether it may."""
    start = max(full_at, now)
    after = start + quota.emission
    if after - now > quota.window:
        return start, verdict_of(quota, False, start - now)
    return after, verdict_of(quota, True, after - now)


def _seconds(micros: int) -> int:
    return -(-micros // _MICROS)
