"""Follows the log and hands a span of each record to the receiver; the position moves behind what it took.

At least once: what was taken and not committed is taken again as the same spans. A receiver that is away is waited for,
with the batch in hand and the position where it is; nothing else in the process notices.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Protocol

import structlog
from confluent_kafka import Consumer

from hub.bus.clients import commit, new_consumer
from hub.bus.outlet import AttemptFailedError
from hub.domain.retry import doubled
from hub.errors import OutletError
from hub.ops.ledger.service import to_records
from hub.ops.spans.figures import SpanFigures
from hub.ops.spans.reading import SpanReader
from hub.ops.spans.span import GROUP, Span

log = structlog.get_logger()
#: Spans of one request, some 200 KB, and how long they are gathered.
_BATCH, _GATHER_SECONDS = 500, 1.0
_BACKOFF_SECONDS = (0.2, 30.0)
#: A receiver may be away for as long as the client allows its owner to be silent: a day. After that the group gives the
#: partitions up, and the session begins anew at the position.
_SILENT_MS = 86_400_000


class Receiver(Protocol):
    """Who takes spans; as ``hub.ops.spans.otlp.OtlpReceiver``."""

    async def take(self, spans: Sequence[Span]) -> int: ...

    async def close(self) -> None: ...


class SpanService:
    """A service: ``run`` blocks until ``stop``, from any thread, and no fault ends it."""

    def __init__(
        self, bootstrap: str, topics: Sequence[str], receiver: Receiver, figures: SpanFigures, *,
        backoff_seconds: tuple[float, float] = _BACKOFF_SECONDS,
    ) -> None:
        self._bootstrap, self._topics = bootstrap, list(topics)
        self._receiver, self._figures, self._backoff = receiver, figures, backoff_seconds
        self._reader = SpanReader()
        self._stopping = threading.Event()
        self._has_said_refused = False

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        failed = 0
        with asyncio.Runner() as runner:
            while not self._stopping.is_set():
                before = self._figures.exported
                try:
                    self._session(runner)
                except Exception as error:  # whatever it is, the rest of ops goes on without spans
                    failed = 0 if self._figures.exported > before else failed + 1
                    if failed <= 1:
                        log.warning("spans cannot be read off the log, trying again", error=str(error))
                    self._stopping.wait(doubled(failed, first=self._backoff[0], longest=self._backoff[1]))
            runner.run(self._receiver.close())

    def _session(self, runner: asyncio.Runner) -> None:
        consumer = new_consumer(
            self._bootstrap, group=GROUP, client_id="spans",
            **{
                "max.poll.interval.ms": _SILENT_MS,
                # Values come along and are not looked at: little is fetched ahead.
                "queued.min.messages": 2 * _BATCH, "queued.max.messages.kbytes": 8 * 1024,
            },
        )
        try:
            consumer.subscribe(self._topics)
            self._follow(consumer, runner)
        finally:
            consumer.close()

    def _follow(self, consumer: Consumer, runner: asyncio.Runner) -> None:
        latest: dict[tuple[str, int], int] = {}
        while not self._stopping.is_set():
            records, offsets = to_records(consumer.consume(_BATCH, _GATHER_SECONDS))
            spans = self._reader.read(records)
            if spans and not self._hand_over(spans, runner):
                break
            if offsets:
                latest |= offsets
                commit(consumer, offsets, is_waiting=False, log=log)
        if latest:
            commit(consumer, latest, is_waiting=True, log=log)

    def _hand_over(self, spans: Sequence[Span], runner: asyncio.Runner) -> bool:
        """Until they are taken; ``False`` if the service was stopped before."""
        failed = 0
        self._figures.hold(len(spans))
        while not self._stopping.is_set():
            try:
                refused = runner.run(self._receiver.take(spans))
            except OutletError as error:
                failed += 1
                # The first may be a kept connection that had ended.
                if failed == 2:
                    log.warning("the receiver of spans does not take them, trying until it does", error=str(error))
                wish = error.retry_after_seconds if isinstance(error, AttemptFailedError) else None
                delay = doubled(failed - 1, first=self._backoff[0], longest=self._backoff[1])
                self._stopping.wait(max(delay, wish or 0.0))
                continue
            self._figures.taken(len(spans), refused)
            if failed > 1:
                log.info("the receiver of spans takes them again", attempts=failed + 1)
            if refused and not self._has_said_refused:
                log.warning("the receiver refused spans for good; hub_spans_refused_total counts them", count=refused)
            self._has_said_refused = self._has_said_refused or refused > 0
            return True
        return False
