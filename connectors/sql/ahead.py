"""The next portion of a growing column, read from the database while the last one is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

#: For how long the end of a source waits for a database that does not answer.
_PATIENCE_SECONDS = 5.0
_log = structlog.get_logger()


class Taken(NamedTuple):
    """What a reading found: whether there is a spool, and whether it met its limit."""

    has_rows: bool
    has_more: bool


class ReadAhead:
    """One reading behind the value ``behind``, in a thread of its own. ``read`` is given what says that nobody waits
    any more."""

    def __init__(self, behind: Any, read: Callable[[Callable[[], bool]], Taken]) -> None:
        self.behind = behind
        self._read = read
        self._stopping = threading.Event()
        self._found: Taken | None = None
        self._thread = threading.Thread(target=self._run, name="sql-ahead", daemon=True)
        self._thread.start()

    def wait(self) -> Taken | None:
        """What it found; ``None`` where it came to no end: whoever reads next meets the same fault, and says it."""
        self._thread.join()
        return self._found

    def close(self) -> None:
        """Gives it up. May be called twice."""
        self._stopping.set()
        self._thread.join(_PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            self._found = self._read(self._stopping.is_set)
        except Exception as error:
            _log.info("what is next could not be read ahead", error=type(error).__name__)
