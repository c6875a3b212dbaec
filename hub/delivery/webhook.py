"""One attempt to hand a notice to a department's endpoint, as a signed webhook (Standard Webhooks 1.0)."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from hub.bus.address_guard import AddressGuard
from hub.bus.http_client import TIMEOUT_SECONDS, Answer, HttpClient
from hub.delivery.receipts import Sent
from hub.delivery.transport import Taken
from hub.domain.webhook import SIGNATURE_HEADER, parse_secret, sign

#: A signature made ahead is used within this: its time is that of the attempt, as the specification has it, give or
#: take what no receiver can tell from the way.
AHEAD = timedelta(seconds=5)
#: For fewer notices a hop to another thread costs more than their signatures.
_FEW = 8
#: Signatures made ahead that wait for their attempts, about 0.5 KB each.
_MAX_AHEAD = 8192


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where a department listens. ``secret`` signs; ``previous_secrets`` too while it is rotated."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    previous_secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS

    @property
    def address(self) -> str:
        """The address without user, password and query, which may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:500]


class Requester(Protocol):
    """The part of HttpClient that a transport needs."""

    async def request(
        self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], timeout_seconds: float,
        needs_body: bool,
    ) -> Answer: ...

    async def close(self) -> None: ...


class _Signed(NamedTuple):
    """The headers of one attempt, and what is on record of it."""

    body: bytes
    at: datetime
    headers: dict[str, str]
    sent: Sent


class WebhookTransport:
    """Attempts to one endpoint, over connections that are kept. One event loop.

    ``now`` gives aware UTC, also to the signatures: the department compares it with its clock. ``guard``
    judges what is connected to (without one, anything is); ``tls`` replaces the system's trust, ``client`` the whole
    of it. Raises InputError at once for a secret that is none.
    """

    def __init__(
        self,
        endpoint: WebhookEndpoint,
        now: Callable[[], datetime],
        *,
        max_concurrent: int = 16,
        guard: AddressGuard | None = None,
        tls: ssl.SSLContext | None = None,
        client: Requester | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.max_concurrent = max_concurrent
        self._keys = [parse_secret(text) for text in (endpoint.secret, *endpoint.previous_secrets)]
        self._now = now
        self._ahead: dict[str, _Signed] = {}
        self._client: Requester = client or HttpClient(now, max_connections=max_concurrent, guard=guard, tls=tls)

    @property
    def address(self) -> str:
        return self.endpoint.address

    def call_off(self) -> None:
        """A request ends by itself soon, and may have been taken already."""

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Signs in another thread, without the interpreter's lock: it is a quarter of an attempt's work."""
        if len(messages) < _FEW:
            return
        if len(self._ahead) + len(messages) > _MAX_AHEAD:
            now = self._now()
            self._ahead = {id: signed for id, signed in self._ahead.items() if now - signed.at <= AHEAD}
        if len(self._ahead) + len(messages) <= _MAX_AHEAD:
            self._ahead.update(await asyncio.to_thread(self._sign_all, messages))

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        """Posts the body once. Raises AttemptFailedError for what may pass."""
        signed = self._ahead.pop(notice_id, None)
        if signed is None or signed.body is not body or self._now() - signed.at > AHEAD:
            signed = self._sign(notice_id, body)
        if traceparent is not None:
            signed.headers["traceparent"] = traceparent
        answer = await self._client.request(
            "POST", self.endpoint.url, body=body, headers=signed.headers,
            timeout_seconds=self.endpoint.timeout_seconds, needs_body=False,
        )
        return Taken(answer.status, answer.is_success, signed.sent)

    async def close(self) -> None:
        await self._client.close()

    def _sign_all(self, messages: Sequence[tuple[str, bytes]]) -> dict[str, _Signed]:
        return {notice_id: self._sign(notice_id, body) for notice_id, body in messages}

    def _sign(self, notice_id: str, body: bytes) -> _Signed:
        at = self._now()
        headers = sign(self._keys, notice_id, at, body)
        digest = hashlib.sha256(body).hexdigest()
        sent = Sent(digest, at.replace(microsecond=0), headers[SIGNATURE_HEADER])
        return _Signed(body, at, {**headers, "Content-Type": "application/json"}, sent)
