"""Notices that are handed out the other way, each until that says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from hub.bus.tasks import end_tasks
from hub.delivery.fallback import Way
from hub.delivery.lines import Item, Line, LineState
from hub.delivery.transport import Taken, WithdrawnError
from hub.errors import HubError


class Elsewhere:
    """One task for each line whose first notice is handed out over ``way``. In one event loop.

    ``ended`` is called with the line, its first notice and the answer. ``pause_seconds`` pass before what failed is
    tried again: a full disk, say. ``now`` gives aware UTC.
    """

    def __init__(
        self, way: Way, ended: Callable[[Line, Item, Taken], None], now: Callable[[], datetime],
        pause_seconds: float, log: Any,
    ) -> None:
        self.way = way
        self._ended, self._now, self._pause_seconds, self._log = ended, now, pause_seconds, log
        self._tasks: dict[Line, asyncio.Task[None]] = {}

    def hand_out(self, line: Line) -> None:
        line.state = LineState.ELSEWHERE
        self._tasks[line] = asyncio.get_running_loop().create_task(self._serve(line))

    def call_back(self, line: Line) -> None:
        """Ends the attempt, if there is one; what becomes of the line is the caller's."""
        task = self._tasks.pop(line, None)
        if task is not None:
            task.cancel()

    async def forget(self, lines: Iterable[Line]) -> None:
        """Ends the attempts of lines that belong to somebody else now."""
        await end_tasks([self._tasks.pop(line) for line in lines if line in self._tasks])

    async def close(self) -> None:
        await self.forget(list(self._tasks))
        await self.way.transport.close()

    async def _serve(self, line: Line) -> None:
        item = line.items[0]
        item.first_at = item.first_at or self._now()
        item.attempts += 1
        while True:
            try:
                taken = await self.way.transport.attempt(item.notice_id, item.body, item.envelope.traceparent)
                break
            except WithdrawnError:
                return
            except Exception as error:  # whatever it is, the line must not stand still for it
                reason = str(error) if isinstance(error, HubError) else type(error).__name__
                self._log.warning("delivery.fallback_failed", notice_id=item.notice_id, error=reason)
                await asyncio.sleep(self._pause_seconds)
        self._tasks.pop(line, None)
        item.http_status = taken.http_status
        self._ended(line, item, taken)
