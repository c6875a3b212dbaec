"""The time that deadlines are judged by: the wall clock, as long as it goes like the machine's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

log = structlog.get_logger()

#: How far the wall clock may go ahead or behind between two looks, as time servers slew it.
TOLERANCE = timedelta(seconds=60)
#: A step that has lasted this long was meant.
PATIENCE = timedelta(minutes=10)


def _wall() -> datetime:
    return datetime.now(UTC)


def _elapsed() -> float:
    """Seconds that the machine has lived, those that it slept included where it can say so."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Call it for the time. Not for two threads.

    A wall clock that jumps (somebody set it, a virtual machine came back) would say of a day's deadlines that
    they are over. So a step is not believed at once: time goes on by the machine's own count, an error is logged,
    and only what has lasted for ``patience`` is taken for right. Deadlines are late by that much at worst.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], datetime] = _wall,
        elapsed: Callable[[], float] = _elapsed,
        tolerance: timedelta = TOLERANCE,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._tolerance, self._patience = tolerance, patience
        self._believed, self._at = wall(), elapsed()
        #: How far off the wall clock is, and since when: ``None`` while it is right.
        self._step: tuple[timedelta, float] | None = None

    def __call__(self) -> datetime:
        wall, elapsed = self._wall(), self._elapsed()
        expected = self._believed + timedelta(seconds=elapsed - self._at)
        off = wall - expected
        if abs(off) > self._tolerance:
            if self._step is None or abs(off - self._step[0]) > self._tolerance:
                self._step = (off, elapsed)
                log.error("the wall clock stepped, going on without it", seconds=round(off.total_seconds()))
            if elapsed - self._step[1] < self._patience.total_seconds():
                return expected
            log.warning("the wall clock kept to its step, it is believed", seconds=round(off.total_seconds()))
        self._believed, self._at, self._step = wall, elapsed, None
        return wall
