"""Tasks of a flow's handler: none of them ends unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

Work = Coroutine[Any, Any, None]


class Tasks:
    """Tasks in one event loop. ``on_fault`` gets what one of them raised: the flow has to end, or it would stand still
    for ever with nobody to notice."""

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        self._on_fault = on_fault
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        await end_tasks(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)


async def end_tasks(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels them and waits until they have ended, however they did."""
    known = list(tasks)
    for task in known:
        task.cancel()
    await asyncio.gather(*known, return_exceptions=True)
