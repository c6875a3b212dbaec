"""Notices are put into the index before their first attempt, and delivery goes on where Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hub.errors import IndexUnavailableError
from hub.state.notice_index import Notice

#: Notices that could not be indexed wait for Redis here; the rest comes when the web side fills the index at its start.
MAX_UNINDEXED = 100_000
PAUSE_SECONDS = 5.0


class NoticeWriter(Protocol):
    """The part of NoticeIndex that delivery needs. Raises IndexUnavailableError."""

    def put(self, notices: Sequence[Notice]) -> None: ...


class Indexer:
    """Writes in a thread; after a failure Redis is left alone for a while. ``monotonic`` gives seconds."""

    def __init__(self, index: NoticeWriter, monotonic: Callable[[], float], log: Any) -> None:
        self._index, self._monotonic, self._log = index, monotonic, log
        self._waiting: list[Notice] = []
        self._pause_until = 0.0

    async def put(self, notices: Sequence[Notice]) -> None:
        """Returns when they are written, or wait for Redis. Raises nothing of Redis."""
        notices = [*self._waiting, *notices]
        if not notices:
            return
        if self._monotonic() >= self._pause_until:
            try:
                await asyncio.to_thread(self._index.put, notices)
            except IndexUnavailableError as error:
                self._pause_until = self._monotonic() + PAUSE_SECONDS
                self._log.warning("delivery.index_unavailable", error=str(error), waiting=len(notices))
            else:
                self._waiting = []
                return
        # By id, so that a batch that comes again and again takes its place once.
        self._waiting = list({notice.notice_id: notice for notice in notices}.values())[-MAX_UNINDEXED:]
