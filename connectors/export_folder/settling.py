"""Whether somebody is still writing to a file, as far as one can see from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable


class Settling:
    """Files of one folder, as they were last seen. ``trusts_times``: a file whose time of change is long past
    needs no second look. Where the times come from a clock that may be off, every file needs two."""

    def __init__(
        self, seconds: float, *, trusts_times: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._trusts_times = trusts_times
        self._now = now
        self._seen: dict[Hashable, tuple[int, int, float]] = {}

    def is_settled(self, name: Hashable, size: int, changed_ns: int) -> bool:
        """Whether size and time of change (nanoseconds since 1970) have stayed for so long, as seen by our own
        clock: the time of change comes from another machine as often as not."""
        now = self._now()
        seen = self._seen.get(name)
        if seen is None or seen[:2] != (size, changed_ns):
            self._seen[name] = (size, changed_ns, now)
            return not self._seconds or (
                self._trusts_times and time.time() - changed_ns / 1e9 >= self._seconds
            )
        return now - seen[2] >= self._seconds

    def keep(self, names: Collection[Hashable]) -> None:
        """Forgets all others."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
