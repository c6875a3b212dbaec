"""Whose turn it is: lines whose first notice can go now, and those that sleep until it can."""

from __future__ import annotations

import asyncio

from hub.delivery.lines import Line, Lines, LineState


class Agenda:
    """In one event loop. A line that went elsewhere meanwhile keeps its entry here: whoever takes it looks at its
    state."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ready: asyncio.Queue[Line] = asyncio.Queue()

    async def next(self) -> Line:
        return await self._ready.get()

    def make_ready(self, line: Line) -> None:
        line.state = LineState.READY
        self._ready.put_nowait(line)

    def sleep(self, line: Line, state: LineState, seconds: float) -> None:
        """Until the time is up, unless something else became of its first notice before."""
        line.state = state
        first = line.items[0]

        def wake() -> None:
            if line.state is state and not line.is_gone and line.items and line.items[0] is first:
                self.make_ready(line)

        asyncio.get_running_loop().call_later(max(0.0, seconds), wake)

    def go_on(self, line: Line) -> None:
        """Its first notice has ended: the next one's turn, if there is one."""
        if line.is_gone:
            return
        if line.items:
            self.make_ready(line)
        else:
            line.state = LineState.IDLE
            self._lines.drop_empty(line)
