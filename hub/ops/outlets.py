"""What outlets said to their latest probes, as far as they are still asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hub.contracts.probes import OutletAnswer

STEP = "answered"
#: An answer that nothing followed for so many beats of its rhythm holds no more: nobody asks any longer.
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
        """Seconds until the outlet took the latest probe, ``None`` where it did not. Who is not asked, or was not of
        late, is left out: of him nothing is known."""
        now = self._monotonic()
        with self._lock:
            found = sorted(self._latest.items())
        return {
            outlet: {STEP: answer.seconds if answer.is_taken else None}
            for outlet, (at, answer) in found
            if answer.is_asked and now - at <= LATE_BEATS * answer.every_seconds
        }
