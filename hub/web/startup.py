"""What has to be read before the web side answers, and the gate that is shut until it has been."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from hub.web.problem import respond, unavailable
from hub.web.quota import HEALTH_PATHS


class Startup:
    """Named parts, each done once. Any thread may ask and tell."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._open, self._lock = dict.fromkeys(parts), threading.Lock()

    def done(self, part: str) -> None:
        with self._lock:
            self._open.pop(part, None)

    def missing(self) -> str | None:
        """What is still being read; ``None`` once all is there."""
        with self._lock:
            return f"being read: {', '.join(self._open)}" if self._open else None


class StartupGate:
    """Answers 503 for everything but health until ``startup`` is complete: half of an index would say "unknown" of what
    there is."""

    def __init__(self, app: ASGIApp, startup: Startup) -> None:
        self._app, self._startup = app, startup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        missing = self._startup.missing() if scope["type"] == "http" else None
        if missing is None or scope["path"] in HEALTH_PATHS:
            await self._app(scope, receive, send)
        else:
            problem = unavailable(f"the hub is starting; {missing}")
            await respond(problem, scope["path"])(scope, receive, send)
