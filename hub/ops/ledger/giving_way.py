"""Gives way to the stages that events wait for: an index may be late, though not for long.

A niceness alone does not do it. It says who goes first on a processor, and what is done for this stage elsewhere, in
Valkey and in the broker, is done at their own priority. So whoever had to wait for a processor takes it that the
others are short of one, and rests for a multiple of that time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hub.bus.records import Record

#: Niceness of the thread and of those that it starts.
_NICENESS = 10
#: What the kernel says of a thread: nanoseconds on a processor, nanoseconds that it waited for one, slices. Linux.
_SCHEDULED = Path("/proc/thread-self/schedstat")
#: Rest for each second of waiting, and the longest one: a twentieth of the time is spent on waiting.
_REST_FACTOR = 20.0
_LONGEST_SECONDS = 1.0
#: Behind by more, it takes its part of the processors as others do.
PATIENCE_SECONDS = 30.0


def lower_priority() -> None:
    """Of this thread, for good."""
    os.nice(_NICENESS)


def waited_seconds() -> float:
    """How long this thread has waited for a processor in its life; 0 where the system does not say."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class GivingWay:
    """For one thread. ``waited`` is how long it has waited for a processor so far, ``now`` seconds since 1970."""

    def __init__(
        self, *, waited: Callable[[], float] = waited_seconds, now: Callable[[], float] = time.time,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._waited, self._now, self._patience_seconds = waited, now, patience_seconds
        self._before = waited()

    def rest_seconds(self, records: Sequence[Record]) -> float:
        """How long to rest behind this portion of the log before the next one is read."""
        total = self._waited()
        waited, self._before = total - self._before, total
        if not records:
            return 0.0
        behind = self._now() - min(record.timestamp for record in records) / 1000
        return 0.0 if behind > self._patience_seconds else min(waited * _REST_FACTOR, _LONGEST_SECONDS)
