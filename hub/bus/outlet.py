"""A batch handed to outside systems: many requests at once, strictly in order where it matters.

The lane is synchronous and gives the same batch again after a retryable error. This runner makes
that bearable: it keeps order within each job's keys, retries in place by a policy, lets the rest
of the batch go on when one fails, and remembers what was finished until the whole batch is.

One runner belongs to one thread. Whoever makes it closes it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from hub.bus.records import Output, Record
from hub.domain.retry import GiveUp, RetryPolicy
from hub.errors import HubError, OutletError

T = TypeVar("T")
_Place = tuple[str, int, int]
_log = structlog.get_logger()

#: After this long no new attempt begins in a batch. With the longest request (15 s) it stays far
#: below max.poll.interval.ms (10 minutes), past which Kafka would hand our partitions to another.
BATCH_SECONDS = 60.0
#: So many failures in a row without one HTTP answer: the system is down, asking it for each of
#: the remaining records would only spend the batch's time.
UNREACHABLE_IN_A_ROW = 32


class AttemptFailedError(OutletError):
    """One attempt failed in a way that may pass.

    ``retry_after_seconds`` is the other side's wish; ``is_unreachable`` says that it gave no HTTP
    answer at all (refused, timed out, cut off).
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, is_unreachable: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_unreachable = is_unreachable


class HeldBackError(OutletError):
    """An earlier record of the same subject or entity has not gone out yet."""


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """What one record asks for. Jobs that share an ``order_keys`` member run in batch order."""

    record: Record
    outlet: str  # name of the outside system, for its Retry-After and for the log
    order_keys: tuple[Hashable, ...]
    item: T


Attempt = Callable[[Job[T]], Awaitable[list[Output]]]


def _is_retryable(error: BaseException | None) -> bool:
    """Whether a record that ended so comes again; one that never will holds nobody back."""
    return isinstance(error, HubError) and error.is_retryable


def _place(record: Record) -> _Place:
    return record.topic, record.partition, record.offset


class OutletRunner(Generic[T]):
    """Runs ``attempt`` for each job of a batch.

    ``attempt`` returns the outputs of the finished record, raises AttemptFailedError to be asked
    again, or any other error, which ends this record for the call. ``monotonic`` and ``chance``
    are replaced in tests.
    """

    def __init__(
        self,
        attempt: Attempt[T],
        *,
        policy: RetryPolicy,
        max_concurrent: int = 16,
        batch_seconds: float = BATCH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._attempt = attempt
        self._policy = policy
        self._max_concurrent = max_concurrent
        self._batch_seconds = batch_seconds
        self._monotonic = monotonic
        self._chance = chance
        self._runner = asyncio.Runner()
        self._finished: dict[_Place, list[Output]] = {}
        self._not_before: dict[str, float] = {}
        self._unreachable_in_a_row: dict[str, int] = {}

    def handle(
        self,
        records: Sequence[Record],
        prepare: Callable[[Record], Job[T]],
        on_prepared: Callable[[Sequence[Job[T]]], None] = lambda jobs: None,
    ) -> list[list[Output]]:
        """Outputs of each record, once all are finished; ``on_prepared`` sees what is about to go.

        Otherwise raises, after everything that could go out has gone out: the first retryable
        error, else the first other one (what ``prepare`` raises counts as the latter). The next
        call asks again only for what was not finished.
        """
        failures: list[Exception] = []
        jobs: list[Job[T]] = []
        for record in records:
            if _place(record) in self._finished:
                continue
            try:
                jobs.append(prepare(record))
            except Exception as error:  # whatever is wrong with it, the rest of the batch goes on
                failures.append(error)
        if jobs:
            on_prepared(jobs)
            failures.extend(self._runner.run(self._run(jobs)))
        if failures:
            raise next((error for error in failures if _is_retryable(error)), failures[0])
        return [self._finished.pop(_place(record)) for record in records]

    def forget(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Drop what is remembered of partitions that now belong to somebody else."""
        gone = set(partitions)
        self._finished = {p: out for p, out in self._finished.items() if (p[0], p[1]) not in gone}

    def run(self, work: Awaitable[None]) -> None:
        """Run something on the runner's loop, e.g. the closing of connections."""

        async def wrap() -> None:
            await work

        self._runner.run(wrap())

    def close(self) -> None:
        self._runner.close()

    async def _run(self, jobs: Sequence[Job[T]]) -> list[Exception]:
        # Connections that the other side closed between two batches are noticed only when the
        # loop turns; without these turns the first requests would go into closed connections.
        for _ in range(2):
            await asyncio.sleep(0)
        self._unreachable_in_a_row.clear()
        slots = asyncio.Semaphore(self._max_concurrent)
        deadline = self._monotonic() + self._batch_seconds
        last: dict[Hashable, asyncio.Task[None]] = {}
        tasks: list[asyncio.Task[None]] = []
        for job in jobs:
            before = {last[key] for key in job.order_keys if key in last}
            task = asyncio.create_task(self._run_job(job, before, slots, deadline))
            last.update(dict.fromkeys(job.order_keys, task))
            tasks.append(task)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, Exception):
                raise end
        # A record that was only held back says nothing about the cause: it comes last.
        failures = [end for end in ends if isinstance(end, Exception)]
        return sorted(failures, key=lambda error: isinstance(error, HeldBackError))

    async def _run_job(
        self, job: Job[T], before: set[asyncio.Task[None]], slots: asyncio.Semaphore, deadline: float
    ) -> None:
        if before:
            await asyncio.wait(before)
            if any(_is_retryable(task.exception()) for task in before):
                raise HeldBackError
        attempts = 0
        while True:
            # The slot is free again while this job waits: a failing one takes no one's place.
            async with slots:
                self._check_worth_asking(job, deadline)
                try:
                    outputs = await self._attempt(job)
                except AttemptFailedError as error:
                    attempts += 1
                    failure = error
                else:
                    self._unreachable_in_a_row[job.outlet] = 0
                    self._finished[_place(job.record)] = outputs
                    return
            self._note_failure(job, failure)
            decision = self._policy.decide(
                attempts, retry_after_seconds=failure.retry_after_seconds, chance=self._chance()
            )
            if isinstance(decision, GiveUp):
                _log.warning(
                    "outlet.gave_up", outlet=job.outlet, topic=job.record.topic,
                    partition=job.record.partition, offset=job.record.offset,
                    error=str(failure), reason=decision.reason,
                )
                raise OutletError(f"{job.outlet}: {failure}; {decision.reason}") from failure
            await asyncio.sleep(decision.delay_seconds)

    def _check_worth_asking(self, job: Job[T], deadline: float) -> None:
        now = self._monotonic()
        if now < (until := self._not_before.get(job.outlet, 0.0)):
            raise OutletError(f"{job.outlet} asks to be left alone for another {until - now:.1f} s")
        if now > deadline:
            raise OutletError(f"{job.outlet}: the time of this batch is over")
        if self._unreachable_in_a_row.get(job.outlet, 0) >= UNREACHABLE_IN_A_ROW:
            raise OutletError(f"{job.outlet} does not answer at all")

    def _note_failure(self, job: Job[T], failure: AttemptFailedError) -> None:
        if failure.is_unreachable:
            self._unreachable_in_a_row[job.outlet] = self._unreachable_in_a_row.get(job.outlet, 0) + 1
        else:
            self._unreachable_in_a_row[job.outlet] = 0
        wish = failure.retry_after_seconds or 0.0
        if wish > self._policy.max_delay_seconds:
            # Too long to wait here; the batch comes back sooner and must not ask before that.
            self._not_before[job.outlet] = self._monotonic() + wish
