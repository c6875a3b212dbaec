"""What outlets said to their latest probes, as far as it still holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hub.contracts.probes import OutletAnswer

STEP = "answered"
#: An answer that nothing followed for so many beats of its rhythm holds no more: nobody asks, or nobody knows.
LATE_BEATS = 3


class Outlets:
    """Any thread may tell and ask."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._monotonic = threading.Lock(), monotonic
        self._latest: dict[str, tuple[float, OutletAnswer]] = {}

    def take(self, answer: OutletAnswer) -> None:
        with self._lock:
            self._latest[answer.outlet] = self._monotonic(), answer

    def latest(self) -> dict[str, dict[str, float | None]]:
        """Seconds until the outlet took the latest probe; ``None`` where it did not, or nothing was heard of late."""
        now = self._monotonic()
        with self._lock:
            found = sorted(self._latest.items())
        return {outlet: {STEP: _holding(answer, now - at)} for outlet, (at, answer) in found}


def _holding(answer: OutletAnswer, age_seconds: float) -> float | None:
    holds = answer.is_taken and age_seconds <= LATE_BEATS * answer.every_seconds
    return answer.seconds if holds else None
