"""The ledger's index answers, or the log where that cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hub.errors import IndexUnavailableError
from hub.ops.ledger.view import Ledger

T = TypeVar("T")


class NotHeldError(Exception):
    """The index does not hold what is asked for."""


def either(ledger: Ledger, by_index: Callable[[], T], by_log: Callable[[], T]) -> T:
    """The log answers while the index is away or being filled, and what the index does not hold."""
    try:
        if ledger.index.is_filled():
            return by_index()
    except (IndexUnavailableError, NotHeldError):
        pass
    return by_log()
