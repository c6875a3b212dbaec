"""Requests to outside systems: connections kept for a while, no redirects followed, answers bounded."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import aiohttp

from hub.bus.address_guard import AddressGuard, ForbiddenAddressError, split_url
from hub.bus.outlet import AttemptFailedError
from hub.domain.retry import is_permanent, is_success, retry_after_seconds

#: More than any receipt or problem document; an answer beyond it is cut, not read into memory.
MAX_ANSWER_BYTES = 65_536
#: Of an answer's head: one line of it, and how many. An honest one has a dozen of some 100 bytes.
MAX_HEADER_BYTES = 8_190
MAX_HEADERS = 64
TIMEOUT_SECONDS = 15.0
#: So long connections are used again, counted from the first of them and not from the last request:
#: a name that moves, or a certificate that ends, is noticed within it however busy the connection is.
KEEP_SECONDS = 60.0

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
    """A 2xx or a refusal for good; ``body`` holds at most MAX_ANSWER_BYTES.

    ``headers`` are looked up without regard to case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


class HttpClient:
    """Sessions of the stage's own loop, made with the first request, kept until ``close``.

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
        self._sessions: dict[str, _Session] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float = TIMEOUT_SECONDS,
        needs_body: bool = True,
    ) -> Answer:
        """Send ``body`` and read the answer; its body only as far as it comes unless ``needs_body``.

        Raises RequestFailedError, an AttemptFailedError, for everything that may pass: no answer
        in time (all of it, down to the last byte of the body), connection refused or cut, an
        address that is forbidden or whose certificate is not trusted, 3xx, 408, 425, 429, 5xx. Its
        text names the status or the kind of error, never the body, nor the address, which may
        carry a token.
        """
        try:
            scheme, _ = split_url(url)
            async with (
                self._session(scheme) as session,
                session.request(
                    method, url, data=body, headers={"Accept-Encoding": "identity", **headers}, allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=timeout_seconds),
                ) as response,
            ):
                status = response.status
                if is_success(status) or is_permanent(status):
                    content = await _read_bounded(response, needs_all=needs_body)
                    return Answer(status, content, response.headers)
                wish = retry_after_seconds(response.headers, self._now())
        except TimeoutError:
            raise RequestFailedError(f"no answer within {timeout_seconds:g} s", "timeout") from None
        except (aiohttp.ClientError, OSError) as error:
            kind, text = _describe(error)
            raise RequestFailedError(text, kind) from None
        raise RequestFailedError(f"HTTP status {status}", "status", status=status, retry_after_seconds=wish)

    async def close(self) -> None:
        for kept in self._sessions.values():
            await kept.session.close()
        self._sessions.clear()

    @asynccontextmanager
    async def _session(self, scheme: str) -> AsyncIterator[aiohttp.ClientSession]:
        before = kept = self._sessions.get(scheme)
        if kept is None or self._monotonic() - kept.made_at > self._keep_seconds:
            kept = self._sessions[scheme] = _Session(self._open(scheme), self._monotonic())
        kept.in_use += 1
        try:
            if before is not None and before is not kept:
                await self._retire(before)
            yield kept.session
        finally:
            kept.in_use -= 1
            if kept.is_retired:
                await self._retire(kept)

    @staticmethod
    async def _retire(kept: _Session) -> None:
        """What is still under way in it ends first; new requests go elsewhere."""
        kept.is_retired = True
        if not kept.in_use:
            await kept.session.close()

    def _open(self, scheme: str) -> aiohttp.ClientSession:
        if self._guard is None:
            connector = aiohttp.TCPConnector(limit=self._max_connections, ssl=self._tls or True)
        else:
            connector = self._guard.connector(
                is_encrypted=scheme == "https", limit=self._max_connections, tls=self._tls
            )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )


@dataclass(slots=True)
class _Session:
    session: aiohttp.ClientSession
    made_at: float
    in_use: int = 0
    is_retired: bool = False


def _describe(error: Exception) -> tuple[FailureKind, str]:
    """The kind of ``error`` and a sentence that quotes nothing of the address."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ForbiddenAddressError):
        return "forbidden-address", f"not connected: {cause}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found = error.certificate_error
        reason = getattr(found, "verify_message", "") or type(found).__name__
        return "certificate", f"the certificate is not trusted: {reason}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "tls", f"no encrypted connection: {getattr(error.os_error, 'reason', None) or type(error).__name__}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "unresolved", "the name has no address"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused", f"no answer: {type(cause).__name__}"
    if isinstance(error, aiohttp.InvalidURL):
        return "forbidden-address", "not connected: the address is not a URL"
    if isinstance(error, aiohttp.ClientResponseError):
        return "malformed", f"no HTTP answer: {type(error).__name__}"
    return "cut", f"no answer: {type(error).__name__}"


async def _read_bounded(response: aiohttp.ClientResponse, *, needs_all: bool) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(16_384):
            body += chunk
            if len(body) >= MAX_ANSWER_BYTES:
                response.close()  # the rest would arrive on a connection that is used again
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        # The status has said all when the body is not needed: asking again would only repeat it.
        if needs_all:
            raise
    return bytes(body[:MAX_ANSWER_BYTES])
