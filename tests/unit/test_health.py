"""Health: what a loop says of itself, what the three paths say of that, and the gate of a start."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from hub.bus.pulse import STUCK_SECONDS, Pulse
from hub.errors import BrokerError, UsageError
from hub.settings import Settings, load
from hub.web.app import create_app, health_router
from hub.web.startup import Startup, StartupGate
from hub.wiring import with_health
from hub.wiring.health import pulses_of
from hub.wiring.parts import Together
from hub.wiring.recovery import Recovery
from tests.support_served import wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """A service that waits until it is told to stop."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.pulse = Pulse(name, monotonic=clock)
        self._stopping = threading.Event()

    def run(self) -> None:
        self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


class Nothing(Loop):
    """A service that reads no topic."""

    def __init__(self) -> None:
        self._stopping = threading.Event()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return load(health_port=probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# -- one loop --------------------------------------------------------------------------------------


def test_a_loop_that_stands_still_is_dead_and_one_that_goes_round_is_not(clock: Clock) -> None:
    pulse = Pulse("routing", monotonic=clock)
    clock.now += 10 * STUCK_SECONDS
    assert pulse.why_dead() is None, "what has not begun has not got stuck"
    pulse.beat()
    clock.now += STUCK_SECONDS
    assert pulse.why_dead() is None
    clock.now += 1
    assert pulse.why_dead() == "routing: the loop has stood still for 601 s"
    pulse.beat()
    assert pulse.why_dead() is None


def test_lost_partitions_make_it_not_ready_but_not_new(clock: Clock) -> None:
    pulse = Pulse("routing", monotonic=clock)
    assert pulse.why_not_started() and pulse.why_not_ready()
    pulse.joined()
    assert pulse.why_not_started() is pulse.why_not_ready() is None
    pulse.left()
    assert pulse.why_not_ready() == "routing: no partitions are assigned"
    assert pulse.why_not_started() is None


# -- a stage ---------------------------------------------------------------------------------------


@pytest.fixture
def stage(settings: Settings, clock: Clock) -> Iterator[tuple[int, list[Loop]]]:
    loops = [Loop("delivery-a", clock), Loop("delivery-b", clock)]
    inner = Together({"a": loops[0], "more": Together({"b": loops[1], "settings": Nothing()})})
    service = with_health(settings, "delivery", inner)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield settings.health_port, loops
    finally:
        service.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_the_three_paths_of_a_stage(stage: tuple[int, list[Loop]], clock: Clock) -> None:
    port, loops = stage
    assert get(port, "/healthz") == (200, '{"status":"ok"}')
    status, said = get(port, "/startupz")
    assert status == 503 and "delivery-a" in said
    loops[0].pulse.joined()
    status, said = get(port, "/readyz")
    assert status == 503 and "delivery-b" in said
    loops[1].pulse.joined()
    assert [get(port, path)[0] for path in ("/healthz", "/startupz", "/readyz")] == [200, 200, 200]
    loops[1].pulse.left()
    assert [get(port, path)[0] for path in ("/healthz", "/startupz", "/readyz")] == [200, 200, 503]
    for loop in loops:
        loop.pulse.beat()
    clock.now += STUCK_SECONDS + 5
    loops[0].pulse.beat()
    status, said = get(port, "/healthz")
    assert status == 503 and "delivery-b: the loop has stood still for 605 s" in said
    assert get(port, "/v1/notices")[0] == 404


def test_a_port_that_is_taken_is_said_at_the_start(settings: Settings, clock: Clock) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.health_port)),
        pytest.raises(UsageError, match=r"HUB_HEALTH_PORT: 127\.0\.0\.1:.* cannot be had"),
    ):
        with_health(settings, "routing", Loop("routing", clock))


def test_without_a_port_nothing_listens_and_the_web_side_has_its_own(settings: Settings, clock: Clock) -> None:
    loop = Loop("routing", clock)
    assert with_health(load(), "routing", loop) is loop
    assert with_health(settings, "web", loop) is loop


def test_every_loop_of_a_service_is_looked_at(clock: Clock) -> None:
    inner = Together({"a": Loop("a", clock), "none": Nothing(), "more": Together({"b": Loop("b", clock)})})
    assert [pulse.name for pulse in pulses_of(inner)] == ["a", "b"]


# -- the web side ----------------------------------------------------------------------------------


def app_of(startup: Startup, missing: str | None = None) -> Any:
    router = APIRouter()

    @router.get("/v1/thing")
    async def thing() -> dict[str, str]:
        return {"status": "ok"}

    app = create_app([("", router), ("", health_router(lambda: missing, is_started=startup.missing))])
    app.add_middleware(StartupGate, startup=startup)
    return app


def test_until_all_is_read_only_health_answers() -> None:
    startup = Startup(["notices", "settings"])
    client = TestClient(app_of(startup))
    startup.done("settings")
    refused = client.get("/v1/thing")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    assert refused.json()["type"] == "/problems/unavailable" and "notices" in refused.json()["detail"]
    assert client.get("/healthz").status_code == 200
    for path in ("/startupz", "/readyz"):
        assert client.get(path).status_code == 503 and client.get(path).json()["missing"] == "being read: notices"
    startup.done("notices")
    assert {client.get(path).status_code for path in ("/v1/thing", "/healthz", "/startupz", "/readyz")} == {200}


def test_a_broker_that_is_away_makes_it_not_ready_alone() -> None:
    client = TestClient(app_of(Startup([]), "Kafka does not answer"))
    assert [client.get(path).status_code for path in ("/healthz", "/startupz", "/readyz")] == [200, 200, 503]


def test_recovery_reads_part_by_part_and_its_error_ends_the_service() -> None:
    startup, told = Startup(["a", "b"]), list[str]()

    def away() -> None:
        raise BrokerError("away")

    recovery = Recovery({"a": lambda: told.append("a"), "b": lambda: told.append("b")}, startup)
    thread = threading.Thread(target=recovery.run)
    thread.start()
    wait_until(lambda: startup.missing() is None, "both")
    assert told == ["a", "b"] and thread.is_alive()
    recovery.stop()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(BrokerError):
        Together({"recovery": Recovery({"a": away}, Startup(["a"])), "other": Nothing()}).run()
