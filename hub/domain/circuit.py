"""Whether an outside system is worth asking at all, judged from how the last requests ended.

    closed ──▶ open            ``threshold`` failures in a row, of at least two subjects
      ▲          │ after ``delay`` (doubled each time, up to ``longest``)
      │          ▼
      └──── half-open ──▶ open   one request is let through: its end decides

No clock of its own: every call brings the time, in seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum

from hub.domain.retry import doubled


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """The circuit of one endpoint. Not thread-safe.

    Failures of one subject alone never open it: that may be a fault of what is sent, and then it is the
    subject that waits, not the endpoint's whole queue.
    """

    def __init__(self, *, threshold: int = 8, delay: float = 1.0, longest: float = 60.0) -> None:
        self._threshold, self._first_delay, self._longest = threshold, delay, longest
        self._failures = 0
        self._subjects: set[Hashable] = set()
        self._opened = 0
        self._until = 0.0
        self.state = CircuitState.CLOSED

    def asks(self, now: float) -> bool:
        """Whether a request may go out now. In the half-open state ``True`` is said once."""
        if self.state is CircuitState.OPEN and now >= self._until:
            self.state = CircuitState.HALF_OPEN
            return True
        return self.state is CircuitState.CLOSED

    def wait(self, now: float) -> float:
        """Seconds until the next request may be tried; 0 while it is closed."""
        return max(0.0, self._until - now) if self.state is CircuitState.OPEN else 0.0

    def succeeded(self) -> None:
        """The endpoint gave an answer that shows it at work, a refusal of one notice among them."""
        self.state, self._failures, self._opened = CircuitState.CLOSED, 0, 0
        self._subjects.clear()

    def failed(self, subject: Hashable, now: float, wish: float = 0.0) -> bool:
        """A request failed in a way that may pass; ``wish`` is how long the other side asks to wait.

        ``True`` if the circuit opened by it.
        """
        self._failures += 1
        self._subjects.add(subject)
        is_probe = self.state is CircuitState.HALF_OPEN
        is_down = self._failures >= self._threshold and len(self._subjects) > 1
        if self.state is CircuitState.OPEN or not (is_probe or is_down or wish > 0):
            return False
        pause = doubled(self._opened, first=self._first_delay, longest=self._longest)
        self._opened += 1
        self._until = now + max(pause, wish)
        self.state = CircuitState.OPEN
        self._subjects.clear()
        return True
