"""``hub bench delivery``: signed notices a second to one endpoint and to many, and how soon one arrives.

The endpoints are one server process on this machine. The reference is the plain loop that a careful programmer
writes with aiohttp: so many connections, bodies at hand, one signature each; it reads nothing, keeps no order and
records nothing.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from hub.bench.routing import sample_notice
from hub.bench.usage import cpu_seconds
from hub.bus.clients import new_producer, produce
from hub.bus.flow import Flow
from hub.bus.table_loader import TableLoader
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.delivery.engine import DeliveryEngine
from hub.delivery.waits import WAITS_TOPIC
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.events import Envelope, event_id, new_traceparent, output_id
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.state.notice_index import Notice

CONNECTIONS = 32
ENDPOINTS = 20
RATE = 100
#: Of these endpoints one is down, while the rate of the others is measured.
ISOLATED = 5
#: The one whose latency is measured.
QUIET = 9
#: Made for the bench: ed25519 is what the hub signs with where nobody asks for another.
SECRET = new_secret("ed25519")
SICK = "/sick"
_PATIENCE_SECONDS = 300


class DeliveryMeasured(NamedTuple):
    """Rates are notices a second, CPU microseconds each of the sending process, latencies milliseconds."""

    notices: int
    one_per_second: float
    one_cpu_micros: float
    many_per_second: float
    many_cpu_micros: float
    healthy_per_second: float
    beside_dead_per_second: float
    floor_per_second: float
    floor_cpu_micros: float
    latency_p50: float
    latency_p99: float

    @property
    def isolation(self) -> float:
        """Rate of the healthy endpoints while one is down, against their rate while all are up."""
        return self.beside_dead_per_second / self.healthy_per_second

    @property
    def ratio(self) -> float:
        return self.one_per_second / self.floor_per_second


class Endpoints(AbstractContextManager["Endpoints"]):
    """All endpoints of the bench, as one process: notes when each notice came, and says 204."""

    def __enter__(self) -> Endpoints:
        context = get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        self.url = f"http://127.0.0.1:{self._here.recv()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._here.send("stop")
        self._process.join(10)
        self._here.close()

    def seen(self) -> dict[str, Any]:
        """``count``, ``first`` and ``last`` (seconds of the epoch), ``latencies`` (ms, sorted) since the last reset.

        What the endpoint that may be down took does not count.
        """
        self._here.send("seen")
        found: dict[str, Any] = self._here.recv()
        return found

    def reset(self) -> None:
        self._tell("reset")

    def set_down(self, is_down: bool) -> None:
        """Whether the endpoint ``/sick`` answers 503."""
        self._tell("down" if is_down else "up")

    def _tell(self, what: str) -> None:
        self._here.send(what)
        self._here.recv()

    def wait(self, count: int) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_SECONDS
        while (found := self.seen())["count"] < count:
            if time.monotonic() > until:
                raise RuntimeError(f"{found['count']} of {count} notices came")
            time.sleep(0.05)
        return found


def _serve(pipe: Connection) -> None:
    came: list[tuple[float, float]] = []
    is_down = False

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == SICK:
            return web.Response(status=503 if is_down else 204)
        at = body.find(b'"timestamp":"') + 13
        issued = datetime.fromisoformat(body[at : at + 24].decode()).timestamp() if at > 12 else 0.0
        came.append((time.time(), issued))
        return web.Response(status=204)

    async def main() -> None:
        nonlocal is_down
        app = web.Application()
        app.router.add_post("/{path:.*}", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        loop = asyncio.get_running_loop()
        while (asked := await loop.run_in_executor(None, pipe.recv)) != "stop":
            if asked != "seen":
                is_down = asked == "down" or (is_down and asked != "up")
                if asked == "reset":
                    came.clear()
                pipe.send(None)
                continue
            latencies = sorted((at - issued) * 1000 for at, issued in came)
            first, last = (came[0][0], came[-1][0]) if came else (0.0, 0.0)
            pipe.send({"count": len(came), "first": first, "last": last, "latencies": latencies})
        await runner.cleanup()

    asyncio.run(main())


class _NoIndex:
    def put(self, notices: Sequence[Notice]) -> None:
        """Redis is measured elsewhere."""


class DeliveryBench:
    """Measures on a broker whose inboxes ``inbox.bench-0`` to ``inbox.bench-19`` and own topics are there."""

    def __init__(self, bootstrap: str, catalog: Catalog) -> None:
        self._bootstrap, self._catalog = bootstrap, catalog
        self._inbox = catalog.schema("hub/inbox-record")
        self._data = catalog.schema("blacklist/notice").encode(sample_notice(1))
        self._written = 0
        # Ready before the first notice whose way is timed.
        self._paced = new_producer(bootstrap, client_id="bench-notices", linger_ms=0)

    def run(self, count: int) -> DeliveryMeasured:
        with Endpoints() as endpoints:
            floor, floor_cpu = self._floor(endpoints, count)
            one, one_cpu = self._deliver(endpoints, count, 1)
            many, many_cpu = self._deliver(endpoints, count, ENDPOINTS)
            healthy = self._beside(endpoints, count, is_down=False)
            beside = self._beside(endpoints, count, is_down=True)
            latencies = self._latencies(endpoints)
        middle, high = len(latencies) // 2, int(len(latencies) * 0.99)
        return DeliveryMeasured(
            count, one, one_cpu, many, many_cpu, healthy, beside, floor, floor_cpu, latencies[middle], latencies[high]
        )

    def _floor(self, endpoints: Endpoints, count: int) -> tuple[float, float]:
        body = json.dumps(
            {"type": "blacklist.notice.listed", "timestamp": "2026-07-01T00:00:00.000Z", "data": {"x": "x" * 1500}}
        ).encode()
        keys, numbers = [parse_secret(SECRET)], iter(range(count))

        async def work(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                headers = sign(keys, f"notice-{number}", datetime.now(UTC), body)
                async with session.post(f"{endpoints.url}/0", data=body, headers=headers) as response:
                    await response.read()

        async def main() -> None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS)
            async with aiohttp.ClientSession(connector=connector) as session:
                await asyncio.gather(*(work(session) for _ in range(CONNECTIONS)))

        endpoints.reset()
        cpu = cpu_seconds()
        asyncio.run(main())
        return _rate(endpoints.wait(count)), (cpu_seconds() - cpu) / count * 1e6

    def _deliver(self, endpoints: Endpoints, count: int, subscriptions: int) -> tuple[float, float]:
        """What is in the inboxes, from the first notice that arrives to the last."""
        self._write(count, subscriptions)
        endpoints.reset()
        flows = [self._flow(endpoints, number) for number in range(subscriptions)]
        cpu = cpu_seconds()
        with _Running(flows):
            found = endpoints.wait(count)
            used = cpu_seconds() - cpu
        return _rate(found), used / count * 1e6

    def _beside(self, endpoints: Endpoints, count: int, *, is_down: bool) -> float:
        """Rate of the healthy ones of ISOLATED endpoints, of which the first is down or not."""
        endpoints.set_down(is_down)
        self._write(count, ISOLATED)
        endpoints.reset()
        flows = [self._flow(endpoints, number, SICK if number == 0 else "") for number in range(ISOLATED)]
        with _Running(flows):
            return _rate(endpoints.wait(sum(number % ISOLATED != 0 for number in range(count))))

    def _latencies(self, endpoints: Endpoints) -> list[float]:
        """At RATE notices a second, from ``produce`` to the endpoint; the first second is for the connections."""
        # Not the first one: the notices that nobody took still wait there.
        with _Running([self._flow(endpoints, QUIET)]):
            self._write(1, 1, pause=1 / RATE, first=QUIET)
            endpoints.wait(1)
            for seconds in (1, 10):
                time.sleep(0.5)
                endpoints.reset()
                self._write(RATE * seconds, 1, pause=1 / RATE, first=QUIET)
                found = endpoints.wait(RATE * seconds)
        return list(found["latencies"])

    def _flow(self, endpoints: Endpoints, number: int, path: str = "") -> Flow:
        name = f"bench-{number}"

        def now() -> datetime:
            return datetime.now(UTC)

        transport = WebhookTransport(
            WebhookEndpoint(endpoints.url + (path or f"/{number}"), SECRET), now, max_concurrent=CONNECTIONS
        )
        engine = DeliveryEngine(
            name, transport, self._catalog, now, _NoIndex(), TableLoader(self._bootstrap, topic=WAITS_TOPIC)
        )
        # The group stays, so that what was delivered is not read again; a bench has a broker of its own.
        return Flow(engine, name=name, topics=[f"inbox.{name}"], group=name, bootstrap=self._bootstrap)

    def _write(self, count: int, subscriptions: int, pause: float = 0.0, first: int = 0) -> None:
        producer = self._paced if pause else new_producer(self._bootstrap, client_id="bench-notices", linger_ms=20)
        began = time.monotonic()
        for number in range(count):
            if pause:
                time.sleep(max(0.0, began + number * pause - time.monotonic()))
            self._written += 1
            name, subject = f"bench-{first + number % subscriptions}", f"9162300{self._written % 5000:011d}"
            event, issued_at = event_id("/sources/bench", str(self._written), 1), datetime.now(UTC)
            id = output_id(event, name)
            value = self._inbox.encode({
                "notice_id": id, "event_id": event, "event_type": "blacklist.notice.listed", "correlation_id": event,
                "source": "/sources/bench", "subject": subject, "subscription": name,
                "department_code": "116230009900000171", "view": "full", "rule": name, "map_version": "bench",
                "sequence": 1, "expected_measures": ["依法限制参加政府采购活动"], "legal_basis": "政府采购法第二十二条",
                "action": "apply", "deliver_by": None, "issued_at": issued_at, "data": self._data,
            })
            envelope = Envelope(
                id=id, source="/stages/routing", type="blacklist.notice.listed", subject=subject, time=issued_at,
                correlation_id=event, causation_id=event, traceparent=new_traceparent(event), sequence=1,
            )
            produce(producer, f"inbox.{name}", value, subject.encode(), headers=to_headers(envelope))
            producer.poll(0)
        if producer.flush(_PATIENCE_SECONDS):
            raise RuntimeError("the broker did not take the notices of the bench")


class _Running(AbstractContextManager[None]):
    """Flows, each in its thread as in the hub, until the end of the block."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = flows
        self._threads = [threading.Thread(target=flow.run) for flow in flows]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flow in self._flows:
            flow.stop()
        for thread in self._threads:
            thread.join(60)


def _rate(found: dict[str, Any]) -> float:
    return float((found["count"] - 1) / max(found["last"] - found["first"], 0.001))
