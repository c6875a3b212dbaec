"""Brings a department's answers to the hub, from the book of notices, until each is taken or refused."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import aiohttp
import structlog
from standardwebhooks import Webhook

from hub.domain.retry import is_permanent, is_success
from hub.sandbox.notice_book import NoticeBook, Pending

#: More at once only queue up at the hub, which waits for Kafka at each.
MAX_CONCURRENT = 16
BATCH = 256
TIMEOUT_SECONDS = 15.0
FIRST_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 5.0
#: The hub may not know the notice or our secret *yet*: its index can come after the notice itself.
PASSING_STATUSES = frozenset({401, 403, 404})
#: With the delays above about two and a half minutes; then such an answer counts as refused.
MAX_PASSING_ATTEMPTS = 32
_log = structlog.get_logger()


class FeedbackSender:
    """Runs from ``start`` to ``stop`` in one event loop. ``wake`` says that the book has a new answer."""

    def __init__(self, book: NoticeBook, subscription: str, secret: str, feedback_url: str) -> None:
        self._book = book
        self._subscription = subscription
        self._webhook = Webhook(secret)
        self._url = feedback_url
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        self._news.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"feedback {self._subscription}")
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sandbox.sender_died", subscription=self._subscription, error=repr(error))

    async def stop(self) -> None:
        """Breaks off what is under way: it is still in the book and goes out after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failed_in_a_row = 0
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=MAX_CONCURRENT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                self._news.clear()
                batch = self._book.due(time.time(), BATCH)
                if not batch:
                    await self._sleep()
                    continue
                is_reachable = await self._send_all(session, batch)
                failed_in_a_row = 0 if is_reachable else failed_in_a_row + 1
                if not is_reachable:
                    # The hub is away as a whole: asking for each of thousands would only cost its start.
                    await asyncio.sleep(_delay(failed_in_a_row))

    async def _sleep(self) -> None:
        next_due_at = self._book.next_due_at()
        timeout = None if next_due_at is None else max(next_due_at - time.time(), 0.01)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout)

    async def _send_all(self, session: aiohttp.ClientSession, batch: list[Pending]) -> bool:
        """Sends a batch; whether the hub gave any HTTP answer at all."""
        places = asyncio.Semaphore(MAX_CONCURRENT)

        async def send(item: Pending) -> int | None:
            async with places:
                return await self._send(session, item)

        statuses = await asyncio.gather(*map(send, batch))
        finished: list[tuple[Pending, str, int]] = []
        postponed: list[tuple[Pending, float, int | None]] = []
        for item, status in zip(batch, statuses, strict=True):
            if status is not None and is_success(status):
                finished.append((item, "answered", status))
            elif status is not None and _is_refusal(status, item.attempts + 1):
                finished.append((item, "refused", status))
                _log.warning("sandbox.feedback_refused", subscription=self._subscription, status=status)
            else:
                postponed.append((item, time.time() + _delay(item.attempts + 1), status))
        self._book.finish(finished)
        self._book.postpone(postponed)
        return any(status is not None for status in statuses)

    async def _send(self, session: aiohttp.ClientSession, item: Pending) -> int | None:
        """The hub's HTTP status; ``None`` if it gave no answer."""
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": item.feedback_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(item.feedback_id, now, item.feedback),
        }
        try:
            async with session.post(
                self._url, data=item.feedback.encode(), headers=headers, allow_redirects=False
            ) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _is_refusal(status: int, attempts: int) -> bool:
    return is_permanent(status) and (status not in PASSING_STATUSES or attempts >= MAX_PASSING_ATTEMPTS)


def _delay(attempts: int) -> float:
    """Seconds before the next attempt. The exponent is bounded: 2.0 ** 2000 is an error."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** min(attempts - 1, 10), MAX_DELAY_SECONDS)
