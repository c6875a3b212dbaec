"""The flow: reads topics like a lane, but its records finish one by one, in any order.

A lane hands a batch on and waits until all of it is done; that suits work which takes microseconds. A request
to a department takes as long as the department likes. Here a thread reads, acknowledges and commits, while
an event loop works on the records:

    thread:  poll ──▶ handler.take (in the loop)      acknowledged ──▶ finish ──▶ commit up to the lowest open one
    loop:    …work… ──▶ ``finish(record, outputs)`` ──▶ produce

A record is finished when its outputs are acknowledged by all in-sync replicas. After a write that failed the
flow begins anew from the last commit: what was open is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from hub.bus.batch import LaneMetrics, Place
from hub.bus.clients import commit, new_consumer, new_producer, produce
from hub.bus.offsets import OffsetTracker
from hub.bus.pulse import Pulse
from hub.bus.records import Output, Record
from hub.domain.retry import doubled
from hub.errors import BrokerError, HubError

T = TypeVar("T")
log = structlog.get_logger()
_BATCH = 500
#: One in so many of the open records has to finish before a full flow reads on: what is read one by one costs a hop
#: between threads and a write to the index each.
_REFILL = 16
#: Who is full for less than this is not paused: see ``_is_held``.
_HOLD_SECONDS = 1.0
_BEAT_SECONDS = 1.0


class _Ticket:
    """The outputs of one record, or of none, on their way."""

    __slots__ = ("left", "record", "session")

    def __init__(self, record: Record | None, left: int, session: int) -> None:
        self.record, self.left, self.session = record, left, session


class FlowHandler(Protocol):
    """What a flow works with. All methods are called in the flow's event loop, ``assigned`` before all else.

    ``take`` must not raise; for each record ``finish`` of the flow is called once, sooner or later.
    ``wants_more`` is asked often and from the reading thread: while it is false nothing more is read.
    After ``revoked`` nothing of those partitions is under way any more; it may wait for it, not for long.
    """

    def attach(self, flow: Flow) -> None: ...

    async def assigned(self, places: Sequence[Place]) -> None: ...

    async def revoked(self, places: Sequence[Place]) -> None: ...

    def take(self, records: Sequence[Record]) -> None: ...

    def wants_more(self) -> bool: ...

    async def close(self) -> None: ...


class Flow:
    """One group's reading of some topics. ``run`` blocks until ``stop``, which any thread may call.

    ``max_open`` bounds the records that are taken and not finished.
    """

    def __init__(
        self,
        handler: FlowHandler,
        *,
        name: str,
        topics: Sequence[str],
        group: str,
        bootstrap: str,
        max_open: int = 2000,
        commit_seconds: float = 0.25,
        shutdown_seconds: float = 20.0,
        backoff_seconds: tuple[float, float] = (0.2, 30.0),
        stop_when: Callable[[LaneMetrics], bool] | None = None,
    ) -> None:
        self._handler, self._name, self._topics = handler, name, list(topics)
        self._group, self._bootstrap = group, bootstrap
        self._max_open, self._commit_seconds = max_open, commit_seconds
        self._shutdown_seconds = shutdown_seconds
        self._first_backoff, self._longest_backoff = backoff_seconds
        self._stop_when = stop_when
        self._stopping = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._log = log.bind(lane=name)
        self.metrics = LaneMetrics()
        self.pulse = Pulse(name)
        self._beat_wanted_at = 0.0
        self._trackers: dict[Place, OffsetTracker] = {}
        self._open = 0
        self._committed: dict[Place, int] = {}
        self._last_commit = 0.0
        self._is_paused = False
        self._full_since: float | None = None
        self._failure: BaseException | None = None
        self._session = 0
        #: The last session in which a write was not acknowledged.
        self._broken = 0
        self._producer: Producer | None = None
        #: What was acknowledged, for the reading thread; any thread may have polled.
        self._acknowledged: deque[tuple[_Ticket, KafkaError | None]] = deque()

    # -- life -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Asks the flow to end: nothing more is read, what is under way is waited for."""
        self._stopping.set()

    def run(self) -> None:
        """The flow. Raises only what no retry can mend."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    def call_soon(self, work: Callable[[], object]) -> None:
        """Has ``work`` done in the flow's loop; from any thread, also before ``run``. After its end it is not."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work)

    def ask(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs a coroutine in the flow's loop, from any thread; cancelled if the flow ends before it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call_later(self, seconds: float, work: Callable[[], object]) -> None:
        """The same, in so many seconds; in the loop alone."""
        self._loop.call_later(max(0.0, seconds), work)

    def fail(self, error: BaseException) -> None:
        """Ends the flow with ``error``: its handler cannot go on. From any thread."""
        self._failure = self._failure or error

    async def _main(self) -> None:
        self._handler.attach(self)
        try:
            await asyncio.to_thread(self._read)
        finally:
            await self._handler.close()
        self._log.info("flow stopped", **vars(self.metrics))

    def _read(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._read_on()
            except HubError as error:
                if not error.is_retryable:
                    raise
                attempt = 1 if time.monotonic() - began > self._longest_backoff else attempt + 1
                self.metrics.retries += 1
                delay = doubled(attempt - 1, first=self._first_backoff, longest=self._longest_backoff)
                self._log.warning("flow begins anew", error=str(error), delay_seconds=round(delay, 2))
                self._stopping.wait(delay)

    def _read_on(self) -> None:
        """One session: a consumer and a producer, from the last commit on."""
        self._session += 1
        self._trackers, self._open, self._committed, self._failure = {}, 0, {}, None
        self._is_paused, self._full_since = False, None
        self._producer = new_producer(self._bootstrap, client_id=self._name, linger_ms=20)
        consumer = new_consumer(self._bootstrap, group=self._group, client_id=self._name)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        self._log.info("flow started", topics=len(self._topics), group=self._group)
        try:
            while not self._stopping.is_set():
                self._step(consumer)
                if self._failure is not None:
                    raise self._failure
                if self._stop_when is not None and self._stop_when(self.metrics):
                    self._stopping.set()
        except KafkaException as error:
            raise BrokerError(f"{self._name}: {error}") from error
        finally:
            consumer.close()  # calls _on_revoke: waits for what is under way, and commits
            producer, self._producer = self._producer, None
            producer.purge()
            producer.flush(1)

    # -- reading --------------------------------------------------------------------------------

    def _step(self, consumer: Consumer) -> None:
        self._beat()
        if self._is_held(consumer):
            # Callbacks are served here; a longer hold ends in a pause, in which the consumer is polled too.
            if self._producer is not None:
                self._producer.poll(0.005)
        else:
            message = consumer.poll(0.02 if self._open else 0.1)
            if message is not None:
                # A room for so many; what more the client has fetched waits within it.
                room = max(1, min(_BATCH, self._max_open - self._open)) - 1
                self._take([message, *(consumer.consume(room, 0) if room else ())])
        if self._producer is not None:
            self._producer.poll(0)
        self._settle()
        if time.monotonic() - self._last_commit >= self._commit_seconds:
            self._commit(consumer, is_waiting=False)

    def _beat(self) -> None:
        """From the reading thread by way of the loop: the pulse goes only while both go round."""
        now = time.monotonic()
        if now - self._beat_wanted_at >= _BEAT_SECONDS:
            self._beat_wanted_at = now
            self._loop.call_soon_threadsafe(self.pulse.beat)

    def _is_held(self, consumer: Consumer) -> bool:
        """Whether nothing is to be read now and the consumer can be left alone for that moment.

        A pause throws away what the client has fetched, and fetching it again costs more than it saves: it is
        for those who are full or shut for longer.
        """
        most = self._max_open if self._full_since is None else self._max_open - self._max_open // _REFILL
        is_full = self._open >= most or not self._handler.wants_more()
        now = time.monotonic()
        if not is_full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        is_short = self._full_since is not None and now - self._full_since < _HOLD_SECONDS
        self._set_paused(consumer, is_full and not is_short)
        return is_short and not self._is_paused

    def _set_paused(self, consumer: Consumer, is_full: bool) -> None:
        if is_full == self._is_paused or (self._is_paused and self._open > self._max_open // 2):
            return
        self._is_paused = is_full
        assignment = consumer.assignment()
        if is_full:
            consumer.pause(assignment)
        else:
            consumer.resume(assignment)

    def _take(self, messages: Sequence[Any]) -> None:
        records = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._log.warning("broker said", error=error.str(), topic=message.topic())
                continue
            place = (message.topic(), message.partition())
            tracker = self._trackers.get(place)
            if tracker is None or not tracker.take(message.offset()):
                continue
            self._open += 1
            records.append(
                Record(*place, message.offset(), message.timestamp()[1], message.key(), message.value(),
                       message.headers() or [])
            )
        if records:
            self.metrics.records += len(records)
            self.metrics.batches += 1
            self._loop.call_soon_threadsafe(self._handler.take, records)

    # -- finishing ------------------------------------------------------------------------------

    def finish(self, record: Record | None, outputs: Sequence[Output]) -> None:
        """Writes the outputs; then the record is finished. Without a record it only writes. From any thread."""
        ticket = _Ticket(record, len(outputs), self._session)
        if not outputs:
            self._acknowledged.append((ticket, None))
        for output in outputs:
            self._produce(output, ticket)
        self.metrics.outputs += len(outputs)

    async def write(self, outputs: Sequence[Output]) -> bool:
        """Writes outputs that are of no record; whether they and all written before are acknowledged. In the loop.

        After ``False`` nobody knows: the caller does it again, under the same ids.
        """
        session, producer = self._session, self._producer
        if producer is None or self._broken == session:
            return False
        self.finish(None, outputs)
        left = await asyncio.to_thread(producer.flush, self._shutdown_seconds)
        return left == 0 and self._broken != session and self._session == session

    def _settle(self) -> None:
        """Takes what was acknowledged; in the reading thread alone, as all that touches the trackers."""
        while self._acknowledged:
            ticket, error = self._acknowledged.popleft()
            if ticket.session != self._session:
                continue
            if error is not None:
                self._failure = self._failure or BrokerError(f"{self._name}: {error.str()}")
            ticket.left -= 1
            record = ticket.record
            if ticket.left > 0 or record is None or self._failure is not None:
                continue
            tracker = self._trackers.get((record.topic, record.partition))
            if tracker is not None:
                before = len(tracker)
                tracker.finish(record.offset)
                self._open -= before - len(tracker)

    def _produce(self, output: Output, ticket: _Ticket) -> None:
        def on_delivery(error: KafkaError | None, _message: Any) -> None:
            if error is not None:
                self._broken = ticket.session
            self._acknowledged.append((ticket, error))

        producer = self._producer
        if producer is None:
            return  # between two sessions: its record is read again
        try:
            produce(
                producer, output.topic, output.value, output.key, headers=output.headers,
                partition=output.partition, on_delivery=on_delivery,
            )
        except KafkaException as error:
            self._broken = ticket.session
            self._failure = self._failure or BrokerError(f"{output.topic}: {error}")

    def _commit(self, consumer: Consumer, *, is_waiting: bool) -> None:
        self._last_commit = time.monotonic()
        offsets = {
            place: offset for place, tracker in self._trackers.items() if (offset := tracker.committable()) is not None
        }
        news = {place: offset for place, offset in offsets.items() if self._committed.get(place) != offset}
        if not news:
            return
        commit(consumer, news, is_waiting=is_waiting, log=self._log)
        self._committed.update(news)
        self.metrics.commits += 1

    # -- rebalance ------------------------------------------------------------------------------

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self._trackers.update((place, OffsetTracker()) for place in places)
        self._is_paused = False
        try:
            self._call(self._handler.assigned(places))
        except HubError as error:
            self._failure = self._failure or error
        else:
            self.pulse.joined()
        self._log.info("assigned", partitions=len(places))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self._call(self._handler.revoked(places))
        if self._failure is None and self._producer is not None:
            self._producer.flush(self._shutdown_seconds)
            self._settle()
            self._commit(consumer, is_waiting=True)
        self._forget(places)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        self._log.warning("partitions lost", partitions=len(places))
        self._call(self._handler.revoked(places))
        self._forget(places)

    def _forget(self, places: Sequence[Place]) -> None:
        self.pulse.left()
        for place in places:
            tracker = self._trackers.pop(place, None)
            self._open -= len(tracker) if tracker is not None else 0
            self._committed.pop(place, None)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the loop and waits for it, from the reading thread."""
        return self.ask(work).result()
