"""Notices for a department that fetches them itself: offered, handed out in batches, acknowledged.

Requests and answers have the shape of RFC 8936 (poll-based delivery). What stands there for a token is the
message that a webhook would carry, with the same three headers: who verifies one way verifies the other.

Each notice is one attempt of the engine, which lasts until the department acknowledges or refuses it. So order,
receipts, parking and release are those of every other way: of a subject the next notice is offered when the one
before is acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from hub.delivery.receipts import Sent
from hub.delivery.transport import Taken, WithdrawnError
from hub.domain.webhook import SIGNATURE_HEADER, SigningKey, sign

#: Notices that are offered at a time, each of another subject.
MAX_OFFERED = 4000
#: What was handed out and not acknowledged is handed out again after this long: the answer may have been lost.
RESEND_SECONDS = 30.0
#: Of one answer; what is beyond it comes with the next one.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_REASON = 300


class HandedOut(NamedTuple):
    """One notice as it is given to the department: the headers of Standard Webhooks and the body."""

    headers: Mapping[str, str]
    body: str


class Batch(NamedTuple):
    """What one poll gives: by notice id, the oldest first; and whether more is there at once."""

    notices: Mapping[str, HandedOut]
    has_more: bool


class _Offer:
    __slots__ = ("body", "end", "not_before", "sent")

    def __init__(self, body: bytes, end: asyncio.Future[Taken]) -> None:
        self.body, self.end = body, end
        self.not_before = 0.0
        self.sent: Sent | None = None


class PullBox:
    """The transport of one subscription that is pulled. One event loop. ``now`` gives aware UTC."""

    max_concurrent = MAX_OFFERED
    address = ""

    def __init__(
        self, now: Callable[[], datetime], *, resend_seconds: float = RESEND_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._monotonic, self._resend_seconds = now, monotonic, resend_seconds
        self.keys: Sequence[SigningKey] = ()
        self._offers: dict[str, _Offer] = {}
        self._news = asyncio.Event()

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        """Offers a notice until it is acknowledged, refused or called off (WithdrawnError)."""
        offer = self._offers[notice_id] = _Offer(body, asyncio.get_running_loop().create_future())
        self._news.set()
        try:
            return await offer.end
        finally:
            del self._offers[notice_id]

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """What is offered is made when it is asked for."""

    def call_off(self) -> None:
        """Ends all offers: their partitions go to somebody else, who offers them again."""
        for offer in self._offers.values():
            if not offer.end.done():
                offer.end.set_exception(WithdrawnError("no longer offered here"))

    async def close(self) -> None:
        self.call_off()

    def acknowledge(self, notice_ids: Sequence[str]) -> None:
        """They were received. An id that is not offered is passed over: it was acknowledged before."""
        for notice_id in notice_ids:
            self._finish(notice_id, None)

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """They cannot be taken, each for its reason: they are parked for a person, with those behind them."""
        for notice_id, reason in reasons.items():
            self._finish(notice_id, f"refused by the department: {reason}"[:_MAX_REASON])

    def _finish(self, notice_id: str, refusal: str | None) -> None:
        offer = self._offers.get(notice_id)
        # What was never handed out cannot have been received: somebody guesses ids.
        if offer is not None and offer.sent is not None and not offer.end.done():
            offer.end.set_result(Taken(None, refusal is None, offer.sent, refusal))

    async def poll(self, most: int, wait_seconds: float) -> Batch:
        """Up to ``most`` notices; waits for the first of them at most so long."""
        until = self._monotonic() + wait_seconds
        # What was just acknowledged lets the next notice of its subject come before the box is looked into.
        await asyncio.sleep(0)
        while True:
            self._news.clear()
            batch = self._hand_out(most)
            left = until - self._monotonic()
            if batch.notices or most == 0 or left <= 0:
                return batch
            # In between, what was handed out may have to be handed out again.
            timeout = min([left, *(max(0.01, each.not_before - self._monotonic()) for each in self._offers.values())])
            try:
                await asyncio.wait_for(self._news.wait(), timeout)
            except TimeoutError:
                continue

    def _hand_out(self, most: int) -> Batch:
        clock, at, size = self._monotonic(), self._now(), 0
        found: dict[str, HandedOut] = {}
        for notice_id, offer in self._offers.items():
            if offer.not_before > clock or offer.end.done():
                continue
            if len(found) >= most or size + len(offer.body) > MAX_ANSWER_BYTES:
                return Batch(found, True)
            headers = sign(self.keys, notice_id, at, offer.body)
            digest = hashlib.sha256(offer.body).hexdigest()
            offer.sent = Sent(digest, at.replace(microsecond=0), headers[SIGNATURE_HEADER])
            offer.not_before = clock + self._resend_seconds
            size += len(offer.body)
            found[notice_id] = HandedOut(headers, offer.body.decode())
        return Batch(found, False)
