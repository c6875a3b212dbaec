"""Live parts of pages: server-sent events (``/live/…``)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from hub.errors import HubError
from hub.web.site.guard import caller_of, site_of

#: Proxies commonly end a connection on which nothing was heard for a minute.
HEARTBEAT_SECONDS = 20.0
LOOK_SECONDS = 1.0


class Live(NamedTuple):
    """One event: ``id`` is what a browser says that it saw last, ``data`` text of any number of lines."""

    id: str
    data: str
    event: str = "message"

    def wire(self) -> bytes:
        return format_sse_event(data_str=self.data, event=self.event, id=self.id)


#: What there is now; an event is sent where its id is another than the last.
Look = Callable[[], Live]


def live(
    request: Request, look: Look, *, look_seconds: float = LOOK_SECONDS, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> StreamingResponse:
    """An answer that goes on until the browser leaves, the session ends or the process is told to stop.

    ``look`` runs in a thread. A browser that comes back with ``Last-Event-ID`` is not told the same again.
    """
    return StreamingResponse(
        _events(request, look, look_seconds, heartbeat_seconds), media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(
    request: Request, look: Look, look_seconds: float, heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    ending, last = site_of(request).ending, request.headers.get("last-event-id")
    clock = asyncio.get_running_loop().time
    said_at = clock()
    # Told at once, so that a browser does not come back at its own pace after a restart.
    yield format_sse_event(retry=3000)
    while not ending.is_set() and not await request.is_disconnected():
        found = await run_in_threadpool(look)
        if found.id != last:
            last, said_at = found.id, clock()
            yield found.wire()
        elif clock() - said_at >= heartbeat_seconds:
            said_at = clock()
            if not await _is_still_in(request):
                return
            yield format_sse_event(comment="still here")
        await asyncio.sleep(look_seconds)


async def _is_still_in(request: Request) -> bool:
    try:
        return await caller_of(request) is not None
    except HubError:
        return False
