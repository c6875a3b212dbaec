"""The lane: the one loop that every stage runs in.

    fetch a batch -> stage.handle -> produce -> all acknowledged -> commit

Fetching and handling the next batches goes on while earlier ones wait for their acknowledgements
(at most ``max_in_flight``); commits follow in order, only up to the lowest finished batch. The lane owns
poison records, infrastructure errors, rebalances, back-pressure and the drain at shutdown.

A record that says that something was said is written behind it: outputs for ``behind`` topics go out when all others of
their batch are acknowledged, and the commit waits for them, too.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.bus.batch import Batch, LaneMetrics, Place
from hub.bus.clients import MAX_VALUE_BYTES, commit, new_consumer, new_producer, produce
from hub.bus.dead_letters import to_dead_letter
from hub.bus.pulse import Pulse
from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.domain.retry import doubled
from hub.errors import BrokerError, HubError, PoisonError

log = structlog.get_logger()


class _AbandonedError(Exception):
    """The batch is given up uncommitted: it will be read again."""


class Lane:
    """Runs one stage on the partitions that its group gives to this process.

    ``run`` blocks until ``stop`` is called (from any thread or a signal handler) and then drains for at
    most ``shutdown_seconds``; what did not finish by then is read again by the next owner.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        name: str,
        topics: Sequence[str],
        group: str,
        bootstrap: str,
        dead_letters: str | None = None,
        behind: Collection[str] = (),
        rule_version: str = "",
        max_batch: int = 2000,
        max_in_flight: int = 8,
        tick_seconds: float = 1.0,
        commit_seconds: float = 0.25,
        shutdown_seconds: float = 20.0,
        backoff_seconds: tuple[float, float] = (0.2, 30.0),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        stop_when: Callable[[LaneMetrics], bool] | None = None,
    ) -> None:
        self._stage, self._name, self._topics = stage, name, list(topics)
        self._group, self._bootstrap = group, bootstrap
        self._dead_letters, self._behind = dead_letters or name, frozenset(behind)
        self._rule_version = rule_version
        self._max_batch, self._max_in_flight = max_batch, max_in_flight
        self._tick_seconds = tick_seconds
        self._commit_seconds, self._shutdown_seconds = commit_seconds, shutdown_seconds
        self._first_backoff, self._longest_backoff = backoff_seconds
        self._now, self._stop_when = now, stop_when
        self._stopping = threading.Event()
        self._log = log.bind(lane=name)
        self.metrics = LaneMetrics()
        self.assigned = threading.Event()
        self.pulse = Pulse(name)
        self._in_flight: deque[Batch] = deque()
        self._finished: dict[Place, int] = {}
        self._uncommitted: dict[Place, int] = {}
        self._stash: list[Any] = []
        self._generation = 0
        self._last_commit = self._last_tick = 0.0
        self._producer = new_producer(bootstrap, client_id=name)

    # -- life ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Asks the lane to drain and end."""
        self._stopping.set()

    def run(self) -> None:
        """The loop. Raises only what no retry can mend, e.g. a fault of the stage's own set-up."""
        consumer = new_consumer(self._bootstrap, group=self._group, client_id=self._name)
        consumer.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        self._log.info("lane started", topics=len(self._topics), group=self._group)
        try:
            while not self._stopping.is_set():
                self._step(consumer)
                if self._stop_when and self._stop_when(self.metrics):
                    break
            self._drain(consumer, self._shutdown_seconds)
        finally:
            try:
                consumer.close()
            finally:
                self._stage.close()
                self._producer.purge()
                self._producer.flush(1)
        self._log.info("lane stopped", **vars(self.metrics))

    def _step(self, consumer: Consumer) -> None:
        self.pulse.beat()
        messages = self._fetch(consumer)
        try:
            if messages:
                self._process(consumer, messages)
            self._tick(consumer)
            self._settle(consumer)
            while len(self._in_flight) >= self._max_in_flight:
                self._producer.poll(0.05)
                self._settle(consumer)
        except _AbandonedError:
            self._log.info("batch given up, will be read again")
        except BrokerError as error:
            self._log.warning("outputs not acknowledged, going back to the last commit", error=str(error))
            self._rewind(consumer)

    def _fetch(self, consumer: Consumer) -> list[Any]:
        waiting = 0.01 if self._in_flight else 0.1
        if self._stash:
            messages, self._stash = self._stash, []
        else:
            messages = consumer.consume(self._max_batch, waiting)
        return [message for message in messages if self._is_record(message)]

    def _is_record(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return True
        self._log.warning("broker said", error=error.str(), topic=message.topic())
        return False

    # -- one batch ----------------------------------------------------------------------------

    def _process(self, consumer: Consumer, messages: list[Any]) -> None:
        records = [
            Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or [])
            for m in messages
        ]
        offsets = {(record.topic, record.partition): record.offset + 1 for record in records}
        outputs = self._handle(consumer, records)
        self._produce(offsets, outputs)
        self.metrics.records += len(records)
        self.metrics.batches += 1

    def _produce(self, offsets: dict[Place, int], outputs: Sequence[Sequence[Output]]) -> Batch:
        batch = Batch(offsets)
        self._in_flight.append(batch)
        behind = self._behind
        for of_record in outputs:
            for output in of_record:
                if output.topic in behind:
                    batch.behind[output.topic, output.key] = output
                else:
                    self._send(batch, output)
        self._producer.poll(0)
        return batch

    def _send(self, batch: Batch, output: Output) -> None:
        topic, key, value, headers, partition = output
        batch.pending += 1
        try:
            produce(
                self._producer, topic, value, key, headers=headers, partition=partition, on_delivery=batch.on_delivery
            )
        except KafkaException as error:
            raise BrokerError(f"{topic}: {error}") from error
        self.metrics.outputs += 1

    def _handle(self, consumer: Consumer, records: list[Record]) -> Sequence[Sequence[Output]]:
        try:
            outputs = self._try(consumer, records)
            self._check(records, outputs)
            return outputs
        except _AbandonedError:
            raise
        except Exception as error:
            if len(records) == 1:
                return [[self._bury(records[0], error)]]
            self._log.warning("batch failed, looking for the poison record by record", error=_reason(error))
        return [self._handle(consumer, [record])[0] for record in records]

    def _check(self, records: Sequence[Record], outputs: Sequence[Sequence[Output]]) -> None:
        try:
            if len(outputs) != len(records):
                # A short answer would commit a record whose outputs nobody wrote.
                raise PoisonError(f"{self._name} answered {len(records)} records with {len(outputs)} lists.")
            self._check_sizes(outputs)
        except PoisonError:
            self._stage.take_back()
            raise

    def _check_sizes(self, outputs: Sequence[Sequence[Output]]) -> None:
        for of_record in outputs:
            for output in of_record:
                if output.value is not None and len(output.value) > MAX_VALUE_BYTES:
                    raise PoisonError(
                        f"An output for {output.topic} has {len(output.value)} bytes; the bound is {MAX_VALUE_BYTES}."
                    )

    def _bury(self, record: Record, error: Exception) -> Output:
        self.metrics.dead_lettered += 1
        self._log.error(
            "dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=_reason(error),
        )
        return to_dead_letter(
            record,
            self._dead_letters,
            error,
            attempts=1,
            first_failed_at=self._now(),
            rule_version=self._rule_version,
        )

    def _try(self, consumer: Consumer, records: list[Record]) -> Sequence[Sequence[Output]]:
        """Calls the stage; on an infrastructure error waits in place and calls again."""
        generation, attempt = self._generation, 0
        while True:
            try:
                return self._stage.handle(records)
            except HubError as error:
                if not error.is_retryable:
                    raise
                attempt += 1
                self.metrics.retries += 1
                delay = doubled(attempt - 1, first=self._first_backoff, longest=self._longest_backoff)
                delay *= random.uniform(0.75, 1.25)
                self._log.warning(
                    "stage cannot go on, trying again",
                    error=_reason(error),
                    attempt=attempt,
                    delay_seconds=round(delay, 2),
                )
                self._wait(consumer, delay)
                if self._stopping.is_set() or self._generation != generation:
                    raise _AbandonedError from error

    def _wait(self, consumer: Consumer, seconds: float) -> None:
        """Sleeps without leaving the group: partitions are paused, callbacks served."""
        until = time.monotonic() + seconds
        paused = consumer.assignment()
        consumer.pause(paused)
        try:
            while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
                self.pulse.beat()
                message = consumer.poll(min(left, 0.2))
                if message is not None:  # of a partition that came while we waited
                    self._stash.append(message)
                self._producer.poll(0)
        finally:
            if current := set(map(_place, paused)) & set(map(_place, consumer.assignment())):
                consumer.resume([TopicPartition(topic, partition) for topic, partition in current])

    def _tick(self, consumer: Consumer) -> None:
        clock = time.monotonic()
        if clock - self._last_tick < self._tick_seconds or not self.assigned.is_set():
            return
        self._last_tick = clock
        try:
            waves = [wave for wave in self._stage.tick(self._now()) if wave]
        except HubError as error:
            if not error.is_retryable:
                raise
            self._log.warning("tick put off", error=_reason(error))
            return
        for number, wave in enumerate(waves, 1):
            batch = self._produce({}, [wave])
            while number < len(waves) and batch.pending and batch.error is None:
                self._producer.poll(0.05)
            if batch.error is not None:
                raise BrokerError(batch.error.str())

    # -- acknowledgement and commit -----------------------------------------------------------

    def _settle(self, consumer: Consumer) -> None:
        """Moves finished batches, oldest first, to what may be committed. Raises BrokerError."""
        self._producer.poll(0)
        while self._in_flight and (self._in_flight[0].pending == 0 or self._in_flight[0].error):
            batch = self._in_flight[0]
            if batch.error is not None:
                raise BrokerError(batch.error.str())
            if batch.behind:
                behind, batch.behind = batch.behind, {}
                for output in behind.values():
                    self._send(batch, output)
                self._producer.poll(0)
                continue
            self._in_flight.popleft()
            self._uncommitted.update(batch.offsets)
        if self._uncommitted and time.monotonic() - self._last_commit >= self._commit_seconds:
            self._commit(consumer, is_waiting=False)

    def _commit(self, consumer: Consumer, *, is_waiting: bool) -> None:
        if not self._uncommitted:
            return
        commit(consumer, self._uncommitted, is_waiting=is_waiting, log=self._log)
        self._finished.update(self._uncommitted)
        self._uncommitted.clear()
        self._last_commit = time.monotonic()
        self.metrics.commits += 1

    def _drain(self, consumer: Consumer, seconds: float) -> None:
        """Waits for what is on its way, then commits it."""
        until = time.monotonic() + seconds
        try:
            while self._in_flight and time.monotonic() < until:
                self._producer.poll(0.05)
                self._settle(consumer)
            self._settle(consumer)
        except BrokerError as error:
            self._log.warning("not acknowledged before the end", error=str(error))
        self._commit(consumer, is_waiting=True)

    def _rewind(self, consumer: Consumer) -> None:
        """After a failed write: a fresh producer, and back to the last finished record."""
        self._producer.purge()
        self._producer = new_producer(self._bootstrap, client_id=self._name)
        self._in_flight.clear()
        self._stash.clear()
        self._finished.update(self._uncommitted)
        time.sleep(self._first_backoff)
        try:
            assignment = consumer.assignment()
            # The stage's memory may be ahead of the log now: it takes its partitions up again.
            places = [_place(partition) for partition in assignment]
            self._stage.on_revoked(places)
            self._stage.on_assigned(places)
            committed = {_place(found): found.offset for found in consumer.committed(assignment, timeout=10)}
            for partition in assignment:
                place = _place(partition)
                offset = max(self._finished.get(place, -1), committed.get(place, -1))
                start = offset if offset >= 0 else consumer.get_watermark_offsets(partition, timeout=10)[0]
                consumer.seek(TopicPartition(*place, start))
        except KafkaException as error:
            # Without a position nothing may be skipped: leave, and join again from what is committed.
            self._log.warning("cannot go back in place, joining again", error=str(error))
            consumer.unsubscribe()
            consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    # -- rebalance ----------------------------------------------------------------------------

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self._stage.on_assigned([_place(partition) for partition in partitions])
        self._log.info("assigned", partitions=len(partitions))
        self.assigned.set()
        self.pulse.joined()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drain(consumer, self._shutdown_seconds)
        self._forget(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Another process has them already: committing would only be refused.
        self._log.warning("partitions lost", partitions=len(partitions))
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        self._generation += 1
        self.pulse.left()
        # Assignment is eager: all partitions go, and what is still on its way must not be committed later.
        self._in_flight.clear()
        self._uncommitted.clear()
        for partition in partitions:
            self._finished.pop(_place(partition), None)
        gone = set(map(_place, partitions))
        self._stash = [m for m in self._stash if (m.topic(), m.partition()) not in gone]
        self._stage.on_revoked(list(gone))


def _place(partition: TopicPartition) -> Place:
    return partition.topic, partition.partition


def _reason(error: BaseException) -> str:
    """What may stand in a log: our own errors name no content; others could, so only their class."""
    return str(error) if isinstance(error, HubError) else type(error).__name__
