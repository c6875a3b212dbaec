"""Health of stages: what their loops say of themselves, on a port of its own; and recovery beside the web side."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import uvicorn

from hub.bus.pulse import Pulse
from hub.errors import UsageError
from hub.settings import Settings
from hub.web.app import create_app, health_router
from hub.web.startup import Startup
from hub.wiring.parts import Service, Together


def pulses_of(service: Service) -> Iterator[Pulse]:
    """The pulses of a service and of all that runs in it. What reads no topic in a group has none."""
    if isinstance(service, Together):
        for each in service.services:
            yield from pulses_of(each)
    elif isinstance(pulse := getattr(service, "pulse", None), Pulse):
        yield pulse


def first_fault(pulses: list[Pulse], ask: Callable[[Pulse], str | None]) -> str | None:
    return next((said for each in pulses if (said := ask(each)) is not None), None)


def with_health(settings: Settings, stage: str, service: Service) -> Service:
    """``service``, with its health on ``HUB_HEALTH_PORT`` where that is set; the web side has it on its own port.

    Raises UsageError if the port cannot be had.
    """
    if not settings.health_port or stage == "web":
        return service
    pulses = list(pulses_of(service))
    router = health_router(
        lambda: first_fault(pulses, Pulse.why_not_ready),
        is_started=lambda: first_fault(pulses, Pulse.why_not_started),
        is_alive=lambda: first_fault(pulses, Pulse.why_dead),
    )
    place = (settings.health_host, settings.health_port)
    try:
        listening = socket.create_server(place)
    except OSError as error:
        raise UsageError(f"HUB_HEALTH_PORT: {place[0]}:{place[1]} cannot be had: {error.strerror}") from error
    return Together({stage: service, "health": HealthServer(create_app([("", router)]), listening)})


class HealthServer:
    """Serves an application on a socket that is open already, until it is told to stop."""

    def __init__(self, app: object, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1,  # type: ignore[arg-type]
        )
        self._server, self._listening = uvicorn.Server(config), listening

    def run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        finally:
            self._listening.close()

    def stop(self) -> None:
        self._server.should_exit = True


class Recovery:
    """Reads what the web side needs, part by part, while it listens already. Ends with the error of a part."""

    def __init__(self, work: Mapping[str, Callable[[], object]], startup: Startup) -> None:
        self._work, self._startup, self._stopping = dict(work), startup, threading.Event()

    def run(self) -> None:
        for part, read in self._work.items():
            if self._stopping.is_set():
                return
            read()
            self._startup.done(part)
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()
