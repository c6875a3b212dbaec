"""One attempt to hand a notice to a department's endpoint, as a signed webhook (Standard Webhooks 1.0)."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from hub.bus.address_guard import AddressGuard
from hub.bus.http_client import TIMEOUT_SECONDS, Answer, HttpClient
from hub.delivery.receipts import Sent
from hub.delivery.transport import Taken
from hub.domain.webhook import SIGNATURE_HEADER, parse_secret, sign


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
        self._client: Requester = client or HttpClient(now, max_connections=max_concurrent, guard=guard, tls=tls)

    @property
    def address(self) -> str:
        return self.endpoint.address

    def call_off(self) -> None:
        """A request ends by itself soon, and may have been taken already."""

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        """Posts the body once. Raises AttemptFailedError for what may pass."""
        at = self._now()
        headers: dict[str, str] = {**sign(self._keys, notice_id, at, body), "Content-Type": "application/json"}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        answer = await self._client.request(
            "POST", self.endpoint.url, body=body, headers=headers,
            timeout_seconds=self.endpoint.timeout_seconds, needs_body=False,
        )
        return Taken(answer.status, answer.is_success, _sent(body, at, headers))

    async def close(self) -> None:
        await self._client.close()


def _sent(body: bytes, at: datetime, headers: Mapping[str, str]) -> Sent:
    return Sent(hashlib.sha256(body).hexdigest(), at.replace(microsecond=0), headers[SIGNATURE_HEADER])
