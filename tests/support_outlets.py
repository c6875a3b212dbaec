"""An outside system on a real socket, for tests: it notes every request and answers as told."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any

from aiohttp import web

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, event_id, new_traceparent, output_id
from hub.domain.retry import RetryPolicy
from tests.support_contracts import catalog, sample

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
#: No waiting to speak of, and no chance in it.
QUICK = RetryPolicy(max_attempts=3, first_delay_seconds=0.001, factor=1.0, max_delay_seconds=0.05, jitter=0.0)


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: object


@dataclass
class Reply:
    """What the server answers. ``is_dropped`` cuts the connection instead, the work being done."""

    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    is_dropped: bool = False


class OutletServer:
    """Use as a context manager. ``respond`` gets the request and how often its id came before."""

    def __init__(self, respond: Callable[[Seen, int], Reply]) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self._respond = respond
        self._counts: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> OutletServer:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        assert request.transport is not None
        headers = {name.lower(): value for name, value in request.headers.items()}
        peer = request.transport.get_extra_info("peername")
        seen = Seen(request.method, request.path, headers, body, peer)
        self.seen.append(seen)
        identity = headers.get("idempotency-key") or headers.get("webhook-id", "")
        reply = self._respond(seen, self._counts[identity])
        self._counts[identity] += 1
        await asyncio.sleep(reply.delay_seconds)
        if reply.is_dropped:
            request.transport.close()
        return web.Response(
            status=reply.status, text=reply.body, headers=reply.headers, content_type="application/json"
        )


def record_of(topic: str, subject: str, number: int, value: bytes, id: str, type: str) -> Record:
    """A record as it stands on ``topic``, at offset ``number``."""
    envelope = Envelope(
        id=id, source="/stages/routing", type=type, subject=subject, time=NOW,
        correlation_id=f"entity-{subject}", causation_id=event_id("test", subject, number),
        traceparent=new_traceparent(subject), sequence=number,
    )
    return Record(topic, 0, number, 0, subject.encode(), value, to_headers(envelope))


def penalty(view: str, **content: Any) -> bytes:
    """A penalty in the wire format of a view."""
    schema = catalog().schema("enforcement/penalty")
    return catalog().projection(schema, view).encode(
        sample(schema, fine_amount=Decimal("0.000000"), **content)
    )


def order_id(subject: str, number: int) -> str:
    return output_id(event_id("test", subject, number), "publish-penalties")


def order(
    subject: str, number: int, *, action: str = "publish", channel: str = "website", view: str = "public",
    data: bytes | None = None, topic: str = "disclosure.orders.v1", ends_on: date | None = None,
) -> Record:
    """An order for version ``number`` of one record of ``subject``."""
    id = order_id(subject, number)
    value = catalog().schema("hub/disclosure-order").encode({
        "order_id": id, "event_id": event_id("test", subject, number),
        "event_type": "enforcement.penalty.recorded", "correlation_id": f"entity-{subject}",
        "source": "/sources/test", "subject": subject, "channel": channel, "action": action, "view": view,
        "rule": "publish-penalties", "map_version": "v1", "sequence": number, "ordered_at": NOW,
        "reason": None, "data": penalty(view) if data is None else data, "ends_on": ends_on,
    })
    return record_of(topic, subject, number, value, id, "disclosure.order.issued")


def notice_id(subject: str, number: int) -> str:
    return output_id(event_id("test", subject, number), "procurement")


def notice(
    subject: str, number: int, *, subscription: str = "procurement", view: str = "partner",
    data: bytes | None = None, type: str = "blacklist.notice.listed", action: str = "apply",
    deliver_by: datetime | None = None, fact: str | None = None,
) -> Record:
    """A notice of version ``number`` of one record of ``subject``."""
    id = notice_id(subject, number)
    value = catalog().schema("hub/inbox-record").encode({
        "notice_id": id, "event_id": event_id("test", subject, number),
        "event_type": type, "correlation_id": fact or f"entity-{subject}", "action": action,
        "deliver_by": deliver_by,
        "source": "/sources/test", "subject": subject, "subscription": subscription,
        "department_code": "116230009900000171", "view": view, "rule": "procurement", "map_version": "v1",
        "sequence": number, "expected_measures": ["restrict-government-procurement"],
        "legal_basis": "政府采购法第二十二条", "issued_at": NOW,
        "data": penalty(view) if data is None else data,
    })
    return record_of(f"inbox.{subscription}", subject, number, value, id, type)
