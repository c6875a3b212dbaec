"""The engine of the uplink: answers go up, each until the platform has taken or refused it.

In: ``complaint.leads.v1``, ``intake.rejections.v1``. Out: ``uplink.receipts.v1``, one receipt an answer. Whatever
happens in between, an answer goes up again under the same id until its receipt is on the log, and the platform knows
it by that id. Answers of one task go up in the order of the log; a failing one holds back its own task alone.

A platform that is away is asked by one answer at a time, ever more seldom, whatever waits behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from hub.bus.batch import Place
from hub.bus.dead_letters import to_dead_letter
from hub.bus.flow import Flow
from hub.bus.http_client import HttpClient
from hub.bus.records import Record
from hub.bus.tasks import Tasks, end_tasks
from hub.contracts.catalog import Catalog
from hub.domain.events import Envelope
from hub.domain.retry import doubled
from hub.errors import HubError
from hub.uplink.answer import LeadAnswer, Receipt, Uplink
from hub.uplink.receipts import Receipts
from hub.uplink.rules import Rules

STAGE = "uplink"
#: So many failures in a row, of whatever answers: it is the platform, not an answer.
_AWAY_AFTER = 8
_log = structlog.get_logger()


class UplinkEngine:
    """See ``FlowHandler`` for when each method is called. ``now`` gives aware UTC; ``delays`` are the shortest and
    the longest wait, in seconds, before an answer is tried again."""

    def __init__(
        self,
        uplink: Uplink,
        catalog: Catalog,
        now: Callable[[], datetime],
        *,
        max_concurrent: int = 16,
        delays: tuple[float, float] = (0.5, 60.0),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._uplink, self._now, self._chance = uplink, now, chance
        self._rules = Rules(uplink, catalog)
        self._receipts = Receipts(catalog, uplink.source)
        self._client = HttpClient(now, max_connections=max_concurrent)
        self._slots = asyncio.Semaphore(max_concurrent)
        self._away = asyncio.Lock()
        self._first, self._longest = delays
        self._failures = 0
        self._flow: Flow | None = None
        self._tasks = Tasks(self._broken)
        self._places: dict[asyncio.Task[None], Place] = {}
        self._last: dict[str, asyncio.Task[None]] = {}

    def attach(self, flow: Flow) -> None:
        self._flow = flow

    async def assigned(self, places: Sequence[Place]) -> None:
        """Nothing is remembered between two assignments."""

    async def revoked(self, places: Sequence[Place]) -> None:
        """What is under way of these partitions is given up; it is read again by whoever has them next."""
        await end_tasks(task for task, place in self._places.items() if place in places)

    def wants_more(self) -> bool:
        return True

    async def close(self) -> None:
        await self._tasks.end()
        await self._client.close()

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                found = self._rules.answer(record)
            except Exception as error:  # whatever a record holds, it must not end the flow
                self._bury(record, error)
                continue
            if found is None:
                self._finish(record, [])
                continue
            envelope, answer = found
            task = self._tasks.begin(self._bring(record, envelope, answer, self._last.get(answer.task_no)))
            self._places[task] = (record.topic, record.partition)
            self._last[answer.task_no] = task
            task.add_done_callback(partial(self._forget, answer.task_no))

    def _forget(self, task_no: str, task: asyncio.Task[None]) -> None:
        self._places.pop(task, None)
        if self._last.get(task_no) is task:
            del self._last[task_no]

    def _broken(self, error: BaseException) -> None:
        _log.error("uplink.broken", error=type(error).__name__)
        if self._flow is not None:
            self._flow.fail(error)

    async def _bring(
        self, record: Record, envelope: Envelope, answer: LeadAnswer, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        attempts = 0
        while True:
            try:
                receipt = await self._attempt(answer, attempts)
            except Exception as error:
                if not (isinstance(error, HubError) and error.is_retryable):
                    # A missing secret, say: nothing of it is the record's fault, and an operator mends it.
                    _log.error("uplink.cannot_send", task_no=answer.task_no, error=f"{type(error).__name__}: {error}")
                attempts += 1
                if attempts == _AWAY_AFTER:
                    # Where the platform takes others it is this answer, whose task waits behind it for a person.
                    _log.warning(
                        "uplink.held_back", source=self._uplink.source, task_no=answer.task_no, action=answer.action,
                        error=f"{type(error).__name__}: {error}",
                    )  # fmt: skip
                continue
            say = _log.info if receipt.status == "delivered" else _log.warning
            say(
                "uplink.answered", task_no=answer.task_no, action=answer.action, answer_id=answer.answer_id,
                status=receipt.status,
            )  # fmt: skip
            self._finish(record, [self._receipts.output(envelope, answer, receipt, self._now())])
            return

    async def _attempt(self, answer: LeadAnswer, attempts: int) -> Receipt:
        """One try, after the wait that its failures before call for. Raises what ``_bring`` tries again on."""
        if attempts:
            await asyncio.sleep(self._delay(attempts - 1))
        if self._failures < _AWAY_AFTER:
            async with self._slots:
                return await self._ask(answer)
        async with self._away:
            # The wait is within the lock: all that wait behind it ask nobody meanwhile.
            if self._failures >= _AWAY_AFTER:
                await asyncio.sleep(self._delay(self._failures - _AWAY_AFTER))
            return await self._ask(answer)

    async def _ask(self, answer: LeadAnswer) -> Receipt:
        try:
            exchange = self._uplink.exchange(answer)
            found = await self._client.request(
                exchange.method, exchange.url, body=exchange.body, headers=exchange.headers
            )
            receipt = self._uplink.receipt(found.status, found.body, answer)
        except Exception as error:
            self._failures += 1
            if self._failures == _AWAY_AFTER:
                _log.warning("uplink.away", source=self._uplink.source, error=str(error))
            raise
        self._failures = 0
        return receipt

    def _delay(self, number: int) -> float:
        return doubled(number, first=self._first, longest=self._longest) * (0.8 + 0.4 * self._chance())

    def _bury(self, record: Record, error: Exception) -> None:
        _log.warning("uplink.dead_letter", topic=record.topic, partition=record.partition, offset=record.offset)
        letter = to_dead_letter(record, STAGE, error, attempts=1, first_failed_at=self._now())
        self._finish(record, [letter])

    def _finish(self, record: Record, outputs: Sequence[Any]) -> None:
        assert self._flow is not None, "a flow attaches itself before all else"
        self._flow.finish(record, outputs)
