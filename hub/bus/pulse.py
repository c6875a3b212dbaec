"""Whether a loop that reads from Kafka goes round, and whether it has a place in its group.

A loop that stands still is the one thing that only a restart mends: the process lives, its threads too, and nothing is
read. Everything else (a broker that is away, an outlet that does not answer) is waited out in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: The loop that is not back by then has lost its partitions anyway: ``max.poll.interval.ms`` of its consumer.
STUCK_SECONDS = 600.0


class Pulse:
    """Written by the loop, read by whoever asks; each attribute is written by one thread alone."""

    def __init__(
        self, name: str, *, stuck_seconds: float = STUCK_SECONDS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._stuck_seconds, self._monotonic = stuck_seconds, monotonic
        self._beat_at: float | None = None
        self._is_member = self._was_member = False

    def beat(self) -> None:
        """The loop went round."""
        self._beat_at = self._monotonic()

    def joined(self) -> None:
        """The group gave its partitions, maybe none, and the tables that go with them have been read."""
        self._is_member = self._was_member = True

    def left(self) -> None:
        """The partitions are gone: revoked, lost, or given up for a new beginning."""
        self._is_member = False

    def why_dead(self) -> str | None:
        """Why only a restart helps; ``None`` while the loop goes round, has not begun or has just been begun."""
        if self._beat_at is None:
            return None
        still = self._monotonic() - self._beat_at
        return f"{self.name}: the loop has stood still for {still:.0f} s" if still > self._stuck_seconds else None

    def why_not_ready(self) -> str | None:
        return None if self._is_member else f"{self.name}: no partitions are assigned"

    def why_not_started(self) -> str | None:
        return None if self._was_member else f"{self.name}: waits for its first partitions or reads their tables"
