"""A department's receiver on a real socket, for fault tests: it verifies, notes everything, and fails as told.

    with Receiver(keys=[parse_verifier(public)], script=[Status(503), Silent(), Redirect(trap.url)]) as receiver:
        ...                          # send to receiver.url
        receiver.wait_for(3)
        assert receiver.effects == [...]

Every POST takes the next act of the script; when the script is through, ``otherwise`` is the act. An
act that ``does_work`` books the message as a department's program would: once for each webhook-id,
whatever the caller hears of it. Acts that wait do so until the caller leaves or ``let_go`` is
called, so that no test depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import trustme
from aiohttp import web

from hub.domain.webhook import ID_HEADER, TIMESTAMP_HEADER, SignatureError, VerifyingKey, verify

CHALLENGE_TYPE = "hub.endpoint.verification"


@dataclass(frozen=True)
class Received:
    """One request. ``order`` counts from 0 over all requests; ``is_genuine`` is ``None`` without keys."""

    order: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    is_genuine: bool | None
    peer: object

    @property
    def webhook_id(self) -> str:
        return self.headers.get(ID_HEADER, "")

    @property
    def timestamp(self) -> int:
        return int(self.headers[TIMESTAMP_HEADER])


@dataclass(frozen=True)
class Status:
    """An answer with this status. A 2xx does the work unless said otherwise, anything else does not."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    works: bool | None = None

    @property
    def does_work(self) -> bool:
        return 200 <= self.status < 300 if self.works is None else self.works


def redirect(url: str, status: int = 307) -> Status:
    """Points to another server, which must never be asked."""
    return Status(status, {"Location": url})


def gone() -> Status:
    return Status(410)


def too_many(retry_after: str = "1") -> Status:
    return Status(429, {"Retry-After": retry_after})


@dataclass(frozen=True)
class Silent:
    """No answer at all: the caller's time runs out, the work being done or not."""

    does_work: bool = True


@dataclass(frozen=True)
class Late:
    """Does the work and answers 2xx, but only when ``let_go`` is called."""

    status: int = 200
    does_work: bool = True


@dataclass(frozen=True)
class Drip:
    """2xx at once and then a body that comes byte by byte and never ends."""

    status: int = 200
    every_seconds: float = 0.01
    does_work: bool = True


@dataclass(frozen=True)
class Cut:
    """Ends the connection: before anything is said, or in the middle of an answer."""

    is_in_the_middle: bool = False
    does_work: bool = True


@dataclass(frozen=True)
class Raw:
    """These bytes instead of an HTTP answer, and the end of the connection."""

    content: bytes
    does_work: bool = False


Act = Status | Silent | Late | Drip | Cut | Raw


class Receiver:
    """Use as a context manager. ``choose`` picks the act by the message and how often its id came before.

    ``consent`` is what OPTIONS is answered with, ``None`` for 405; challenges are echoed if ``echoes``.
    """

    def __init__(
        self,
        *,
        keys: Sequence[VerifyingKey] = (),
        script: Sequence[Act] = (),
        otherwise: Act = Status(),
        choose: Callable[[Received, int], Act] | None = None,
        consent: Mapping[str, str] | None = None,
        echoes: bool = True,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.url = ""
        self.received: list[Received] = []
        #: Ids in the order in which their work was done; each once.
        self.effects: list[str] = []
        self._keys, self._script, self._otherwise, self._choose = keys, list(script), otherwise, choose
        self._consent, self._echoes, self._tls, self._host = consent, echoes, tls, host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._changed = threading.Condition()
        self._released = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def let_go(self) -> None:
        """Acts that wait go on, now and from now on."""
        self._loop.call_soon_threadsafe(self._released.set)

    def posts(self, webhook_id: str | None = None) -> list[Received]:
        """The POSTs so far, of one id or of all."""
        found = list(self.received)
        return [item for item in found if item.method == "POST" and webhook_id in (None, item.webhook_id)]

    def wait_for(self, posts: int, seconds: float = 30.0) -> list[Received]:
        """Waits until so many POSTs have come; fails the test otherwise."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: len(self.posts()) >= posts, seconds)
        assert is_there, f"{len(self.posts())} of {posts} requests came"
        return self.posts()

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Whoever leaves ends what waits for him.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, ssl_context=self._tls).start()
        port = self._runner.addresses[0][1]
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{name}:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        received = self._note(request, body)
        if request.method == "OPTIONS":
            return web.Response(status=405) if self._consent is None else web.Response(headers=dict(self._consent))
        if received.is_genuine is False:
            return web.Response(status=401)
        act = self._next_act(received)
        if self._echoes and (challenge := _challenge(body)) is not None and act == self._otherwise:
            return web.json_response({"challenge": challenge})
        if act.does_work and received.webhook_id not in self.effects:
            self.effects.append(received.webhook_id)
        with self._changed:
            self._changed.notify_all()
        return await self._perform(act, request)

    def _note(self, request: web.Request, body: bytes) -> Received:
        headers = {name.lower(): value for name, value in request.headers.items()}
        is_genuine: bool | None = None
        if self._keys and request.method == "POST":
            try:
                verify(self._keys, headers, body, datetime.now(UTC))
            except SignatureError:
                is_genuine = False
            else:
                is_genuine = True
        peer = request.transport.get_extra_info("peername") if request.transport else None
        received = Received(len(self.received), request.method, request.path, headers, body, is_genuine, peer)
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        return received

    def _next_act(self, received: Received) -> Act:
        if self._choose is not None:
            return self._choose(received, len(self.posts(received.webhook_id)) - 1)
        return self._script.pop(0) if self._script else self._otherwise

    async def _perform(self, act: Act, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        match act:
            case Status():
                return web.Response(status=act.status, headers=dict(act.headers), body=act.body)
            case Late():
                await self._released.wait()
                return web.Response(status=act.status)
            case Silent():
                await self._released.wait()
                transport.close()
            case Drip():
                answer = web.StreamResponse(status=act.status)
                await answer.prepare(request)
                while not self._released.is_set():
                    await answer.write(b".")
                    await asyncio.sleep(act.every_seconds)
                return answer
            case Cut(is_in_the_middle=True):
                return await self._say(transport, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            case Cut():
                transport.close()
            case Raw():
                return await self._say(transport, act.content)
        return web.Response()

    @staticmethod
    async def _say(transport: asyncio.Transport, content: bytes) -> web.StreamResponse:
        transport.write(content)
        transport.close()  # what was written goes out before
        return web.Response()


def _challenge(body: bytes) -> str | None:
    try:
        document = json.loads(body)
        return str(document["data"]["challenge"]) if document["type"] == CHALLENGE_TYPE else None
    except (ValueError, KeyError, TypeError):
        return None


def server_tls(authority: trustme.CA, *names: str, ends_at: datetime | None = None) -> ssl.SSLContext:
    """What a server shows whose certificate ``authority`` signed for ``names``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    starts_at = datetime(2000, 1, 1, tzinfo=UTC) if ends_at is not None else None
    authority.issue_cert(*names, not_before=starts_at, not_after=ends_at).configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a client has that trusts ``authority`` alone."""
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    return context
