"""Requests to outside systems: connections kept for a while, no redirects followed, answers bounded."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal

from multidict import CIMultiDict, CIMultiDictProxy

from hub.bus.address_guard import AddressGuard, ForbiddenAddressError
from hub.bus.http_pool import ConnectError, ConnectionPool, Target, target_of
from hub.bus.http_wire import MAX_ANSWER_BYTES, Reply, WireError
from hub.bus.outlet import AttemptFailedError
from hub.domain.retry import is_permanent, is_success, retry_after_seconds

TIMEOUT_SECONDS = 15.0
#: So long a connection is used again, counted from its opening and not from the last request: a name that moves,
#: or a certificate that ends, is noticed within it however busy the connection is.
KEEP_SECONDS = 60.0
#: What may be sent twice without asking (RFC 9110, 9.2.2): if a kept connection turns out to have ended.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

#: ``refused``: nobody listens; ``unresolved``: the name has no address; ``cut``: the connection ended
#: in the middle; ``tls``: no encryption came about, but not for the certificate's sake; ``malformed``:
#: what came is no HTTP, or its head is too long; ``status``: an answer that may pass.
FailureKind = Literal[
    "timeout", "refused", "unresolved", "cut", "certificate", "tls", "forbidden-address", "malformed", "status"
]


class RequestFailedError(AttemptFailedError):
    """One request failed in a way that may pass. ``status`` is the answer's, if there was one."""

    def __init__(
        self,
        message: str,
        kind: FailureKind,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, is_unreachable=kind != "status")
        self.kind = kind
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx or a refusal for good; ``body`` holds what was asked for at most. ``fields``: the headers as they came."""

    status: int
    body: bytes
    fields: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """Looked up without regard to case. Made when it is asked for: nearly nobody asks."""
        return _headers(self.fields)

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


def _headers(fields: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    return CIMultiDictProxy(CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields))


class HttpClient:
    """Connections of the stage's own loop, made with the first request, kept until ``close``.

    ``guard`` judges every address that is connected to; without one any address is, which is for
    addresses that an operator alone can enter. ``tls`` replaces the system's trust.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        max_connections: int = 32,
        guard: AddressGuard | None = None,
        tls: ssl.SSLContext | None = None,
        keep_seconds: float = KEEP_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._max_connections = max_connections
        self._guard = guard
        self._tls = tls
        self._keep_seconds = keep_seconds
        self._monotonic = monotonic
        self._pools: dict[str, ConnectionPool] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float = TIMEOUT_SECONDS,
        needs_body: bool = True,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send ``body`` and read the answer; its body only as far as it comes unless ``needs_body``.

        Of a body so much is kept as ``max_bytes`` says, and the rest is cut off without a word: who asks for many
        things at once says how much their answers may be.

        Raises RequestFailedError, an AttemptFailedError, for everything that may pass: no answer
        in time (all of it, down to the last byte of the body), connection refused or cut, an
        address that is forbidden or whose certificate is not trusted, 3xx, 408, 425, 429, 5xx. Its
        text names the status or the kind of error, never the body, nor the address, which may
        carry a token. ValueError for a header that would be two.
        """
        try:
            target = target_of(url)
            reply = await self._exchange(method, target, _request(method, target, headers, body), timeout_seconds,
                                         needs_body=needs_body, max_bytes=max_bytes)
        except TimeoutError:
            raise RequestFailedError(f"no answer within {timeout_seconds:g} s", "timeout") from None
        except ForbiddenAddressError as error:
            raise RequestFailedError(f"not connected: {error}", "forbidden-address") from None
        except ConnectError as error:
            kind, text = _describe(error)
            raise RequestFailedError(text, kind) from None
        except WireError as error:
            what = "no HTTP answer" if error.kind == "malformed" else "no answer"
            raise RequestFailedError(f"{what}: {error}", error.kind) from None
        status = reply.status
        if is_success(status) or is_permanent(status):
            return Answer(status, reply.body, reply.headers)
        wish = retry_after_seconds(_headers(reply.headers), self._now())
        raise RequestFailedError(f"HTTP status {status}", "status", status=status, retry_after_seconds=wish)

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()

    async def _exchange(
        self, method: str, target: Target, request: bytes, timeout_seconds: float, *, needs_body: bool, max_bytes: int
    ) -> Reply:
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        pool = self._pools.get(target.scheme) or self._open(target.scheme)
        while True:
            connection = await pool.take(target, deadline)
            try:
                return await connection.exchange(
                    request, deadline=deadline, needs_body=needs_body, max_bytes=max_bytes
                )
            except WireError as error:
                # The server ended a kept connection while the request was on its way.
                if not (error.is_silent and connection.used > 1 and method in _IDEMPOTENT):
                    raise
            finally:
                pool.give_back(target, connection)

    def _open(self, scheme: str) -> ConnectionPool:
        pool = self._pools[scheme] = ConnectionPool(
            scheme, limit=self._max_connections, guard=self._guard, tls=self._tls, keep_seconds=self._keep_seconds,
            monotonic=self._monotonic,
        )
        return pool


def _request(method: str, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request. Raises ValueError for a header with a line break or another sign that no header has."""
    head = f"{_first_lines(method, target)}Content-Length: {len(body)}\r\n"
    for name, value in headers.items():
        line = f"{name}: {value}"
        if not line.isprintable():
            raise ValueError(f"header {name!r} holds a sign that no header has")
        head += line + "\r\n"
    return head.encode() + b"\r\n" + body


@lru_cache(maxsize=256)
def _first_lines(method: str, target: Target) -> str:
    """What every request to one place begins with."""
    lines = [
        f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}", "User-Agent: gannan-hub", "Accept: */*",
        "Accept-Encoding: identity",
    ]
    if target.user is not None:
        lines.append(f"Authorization: Basic {base64.b64encode(':'.join(target.user).encode()).decode()}")
    if not all(line.isprintable() for line in lines):
        raise ForbiddenAddressError("the address is not a URL")
    return "".join(line + "\r\n" for line in lines)


def _describe(error: ConnectError) -> tuple[FailureKind, str]:
    """The kind of ``error`` and a sentence that quotes nothing of the address."""
    cause = error.cause
    if isinstance(cause, ForbiddenAddressError):
        return "forbidden-address", f"not connected: {cause}"
    if error.step == "lookup":
        return "unresolved", "the name has no address"
    if isinstance(cause, ssl.CertificateError):
        return "certificate", f"the certificate is not trusted: {cause.verify_message or type(cause).__name__}"
    if isinstance(cause, ssl.SSLError):
        return "tls", f"no encrypted connection: {cause.reason or type(cause).__name__}"
    return "refused", f"no answer: {type(cause).__name__}"
