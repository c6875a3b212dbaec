"""Work that takes longer than a browser waits, beside the pages: begun by one, seen by all, forgotten with the process.

It changes nothing: what does is an act and goes through ``Carrier``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import structlog

from hub.domain.characters import mask_personal
from hub.errors import HubError

T = TypeVar("T")
log = structlog.get_logger()


class Work(NamedTuple, Generic[T]):
    """``result`` once it is done, ``fault`` where it could not be; neither while it runs."""

    began_at: datetime
    result: T | None = None
    fault: str = ""

    @property
    def is_running(self) -> bool:
        return self.result is None and not self.fault


class LongWork(Generic[T]):
    """One piece of work for a key at a time; the last one is kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), dict[Hashable, Work[T]]()

    def last(self, key: Hashable) -> Work[T] | None:
        with self._lock:
            return self._last.get(key)

    def forget(self, key: Hashable) -> None:
        """Its result holds no longer; what runs goes on."""
        with self._lock:
            if key in self._last and not self._last[key].is_running:
                del self._last[key]

    def start(self, key: Hashable, make: Callable[[], T], now: datetime) -> threading.Thread | None:
        """``None`` if it is under way already."""
        with self._lock:
            known = self._last.get(key)
            if known is not None and known.is_running:
                return None
            self._last[key] = Work(now)
        thread = threading.Thread(target=self._run, args=(key, make, now), name="long-work", daemon=True)
        thread.start()
        return thread

    def _run(self, key: Hashable, make: Callable[[], T], now: datetime) -> None:
        found = Work[T](now, None, "it ended without a word")
        try:
            found = Work(now, make())
        except HubError as error:
            found = Work(now, None, mask_personal(str(error)) or type(error).__name__)
        except Exception as error:
            log.exception("work beside the pages failed", error=type(error).__name__)
            found = Work(now, None, type(error).__name__)
        finally:
            with self._lock:
                self._last[key] = found
