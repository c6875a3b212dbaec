"""How times spread: what half of them, 95 and 99 of a hundred stay below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Spread(NamedTuple):
    """Times in milliseconds, over so many ``times``."""

    times: int
    p50: float
    p95: float
    p99: float
    longest: float

    def __str__(self) -> str:
        return (
            f"{self.p50:>8.1f} ms (p50) {self.p95:>8.1f} (p95) {self.p99:>8.1f} (p99) {self.longest:>8.1f} at most, "
            f"of {self.times:,}"
        )


def spread(seconds: Iterable[float]) -> Spread:
    """Of times in seconds, at least one."""
    found = sorted(each * 1000 for each in seconds)
    if not found:
        raise RuntimeError("nothing was measured")

    def below(part: float) -> float:
        return found[min(int(len(found) * part), len(found) - 1)]

    return Spread(len(found), below(0.5), below(0.95), below(0.99), found[-1])
