"""Health of stages: what their loops say of themselves, on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from hub.bus.pulse import Pulse
from hub.errors import UsageError
from hub.settings import Settings
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
    # The web framework is a second of work and forty megabytes: of those that serve health alone.
    from hub.web.app import create_app, health_router
    from hub.wiring.served import HealthServer

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
