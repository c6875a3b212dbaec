"""Live parts of pages: server-sent events (``/live/…``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from hub.errors import HubError
from hub.web.site.caller import Caller
from hub.web.site.guard import LIVE_PATH, caller_of, site_of

#: Browsers say by this header what they heard last when a connection broke; a page that opens another one says it in
#: the address.
_LAST = "last-event-id"


class Live(NamedTuple):
    """One event: ``id`` says which state it tells of, ``data`` is text of any number of lines, ``event`` names what of
    the page it is about."""

    id: str
    data: str
    event: str = "message"


class Pace(NamedTuple):
    """How often, in seconds: what there is now is looked at; something is said, since proxies commonly end a
    connection on which nothing was heard for a minute; it is asked whether who listens still may, one GET of Redis."""

    look: float = 1.0
    heartbeat: float = 20.0
    session: float = 2.0


USUAL = Pace()
#: What there is now; an event is sent where its id is another than the last.
Look = Callable[[], Live]
#: The same of several things, each an event of its own name.
Looks = Callable[[], Iterable[Live]]


def live(request: Request, caller: Caller, look: Look, pace: Pace = USUAL) -> StreamingResponse:
    """An answer that goes on until the browser leaves, the process is told to stop, or ``caller`` may no longer:
    because his session ended, or his right to what the route asked for.

    ``look`` runs in a thread. A browser that comes back with ``Last-Event-ID`` is not told the same again. ValueError
    at an address that is not under ``/live/``: there, opening it would be a use of the session.
    """
    return live_together(request, caller, lambda: (look(),), pace)


def live_together(request: Request, caller: Caller, looks: Looks, pace: Pace = USUAL) -> StreamingResponse:
    """As ``live``, several things by one connection."""
    if not request.url.path.startswith(LIVE_PATH):
        raise ValueError(f"{request.url.path} is not under {LIVE_PATH}")
    return StreamingResponse(
        _events(request, looks, _Watch(request, caller.action, pace.session), pace), media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


class _Watch:
    """Whether who listens still may. The route has just said so when it begins."""

    def __init__(self, request: Request, action: str, seconds: float) -> None:
        self._request, self._action, self._seconds = request, action, seconds
        self.due_at = time.monotonic() + seconds

    async def holds(self) -> bool:
        """By an answer that is not older than ``seconds``."""
        if time.monotonic() < self.due_at:
            return True
        self.due_at = time.monotonic() + self._seconds
        try:
            caller = await caller_of(self._request)
        except HubError:
            return False
        return caller is not None and caller.may(self._action)


async def _events(request: Request, looks: Looks, watch: _Watch, pace: Pace) -> AsyncIterator[bytes]:
    ending, told = site_of(request).ending, _told(request)
    look_at = said_at = time.monotonic()
    # Told at once, so that a browser does not come back at its own pace after a restart.
    yield format_sse_event(retry=3000)
    while not ending.is_set() and not await request.is_disconnected():
        found: list[Live] = []
        if time.monotonic() >= look_at:
            found = [each for each in await run_in_threadpool(_listed, looks) if each.id != told.get(each.event)]
            look_at = time.monotonic() + pace.look
        for each in found:
            # Asked here, because looking may take long, and so may sending the one before.
            if not await watch.holds():
                return
            told[each.event], said_at = each.id, time.monotonic()
            yield format_sse_event(data_str=each.data, event=each.event, id=urlencode(told))
        if not await watch.holds():
            return
        if time.monotonic() - said_at >= pace.heartbeat:
            said_at = time.monotonic()
            yield format_sse_event(comment="still here")
        await asyncio.sleep(max(min(look_at, watch.due_at) - time.monotonic(), 0.0))


def _listed(looks: Looks) -> list[Live]:
    """All of it in the thread: who looks may do so one by one."""
    return list(looks())


def _told(request: Request) -> dict[str, str]:
    """The ids that the browser was told last, by name of event. One id of the stream holds those of all."""
    last = request.headers.get(_LAST) or request.query_params.get(_LAST) or ""
    return dict(parse_qsl(last, keep_blank_values=True))
