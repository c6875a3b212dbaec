"""The controller answers as soon as it has a change; the brokers, whom everybody asks, hear of it a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeVar

T = TypeVar("T")


def settled(left: Callable[[], Collection[T]], seconds: float) -> Collection[T]:
    """Asks until nothing is left of a change, for ``seconds`` at most; returns what then is."""
    until = time.monotonic() + seconds
    while (found := left()) and time.monotonic() < until:
        time.sleep(0.05)
    return found
