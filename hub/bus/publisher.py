"""Publishing outside of a lane: records go out in order and are waited for.

A ticket stands for some records under way. Several tickets may be under way at a time, so that the
caller prepares the next records while the broker writes the last.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from hub.bus.clients import DELIVERY_TIMEOUT_MS, new_producer, produce
from hub.bus.records import Output
from hub.errors import BrokerError, PoisonError

#: The client gives up a record after its own timeout; this is a little longer, so that when a wait
#: ends in an error nothing of it is on its way any more.
_WAIT_SECONDS = DELIVERY_TIMEOUT_MS / 1000 + 10


class Ticket(Protocol):
    """Records under way. ``wait`` returns once every one is acknowledged by all in-sync replicas,
    and raises BrokerError otherwise; it may be called again with the same result. ``next_offsets``
    is then (topic, partition) -> offset behind the last record written there."""

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]: ...

    def wait(self) -> None: ...


class Publisher(Protocol):
    """Writes records. Threads may share one.

    ``publish`` blocks until all are acknowledged. ``publish_async`` hands them over in order and
    returns at once. Both raise BrokerError, after which some of the records may have been written
    and others not: the caller finds out from the log, or writes them all again with the same ids.
    ``close`` waits for what is under way and lets go of the connection; what is published afterwards
    raises BrokerError. A second one does nothing.
    """

    def publish(self, outputs: Sequence[Output]) -> None: ...

    def publish_async(self, outputs: Sequence[Output]) -> Ticket: ...

    def close(self) -> None: ...


class _KafkaTicket:
    __slots__ = ("_count", "_error", "_left", "_producer", "next_offsets")

    def __init__(self, producer: Producer, count: int) -> None:
        self._producer = producer
        self._left = self._count = count
        self._error: KafkaError | None = None
        self.next_offsets: dict[tuple[str, int], int] = {}

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        """The client's report of one record; called from within ``poll`` of any thread."""
        if error is None:
            # Reports of a partition come in the order of its offsets.
            self.next_offsets[message.topic(), message.partition()] = message.offset() + 1
        elif self._error is None:
            self._error = error
        self._left -= 1

    def abandon(self, count: int) -> None:
        """``count`` records were never handed over."""
        self._left -= count

    def wait(self) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while self._left > 0:
            self._producer.poll(0.05)
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka acknowledged {self._count - self._left} of {self._count} records in time."
                )
        if self._error is not None:
            raise broker_error(self._error)


class KafkaPublisher:
    """The publisher on a real Kafka. See ``Publisher`` for the contract."""

    def __init__(self, bootstrap: str, *, client_id: str, linger_ms: float = 5) -> None:
        self._producer: Producer | None = new_producer(bootstrap, client_id=client_id, linger_ms=linger_ms)

    def publish(self, outputs: Sequence[Output]) -> None:
        self.publish_async(outputs).wait()

    def publish_async(self, outputs: Sequence[Output]) -> Ticket:
        if (producer := self._producer) is None:
            raise BrokerError("This publisher was closed.")
        ticket = _KafkaTicket(producer, len(outputs))
        delivered = ticket.delivered
        # Any: the client's stubs know no callback. By place, because words cost as much as the call.
        hand_over: Any = producer.produce
        for number, (topic, key, value, headers, partition) in enumerate(outputs):
            try:
                try:
                    hand_over(topic, value, key, -1 if partition is None else partition, delivered, None, 0, headers)
                except BufferError:
                    produce(producer, topic, value, key, headers=headers, partition=partition, on_delivery=delivered)
            except KafkaException as error:
                ticket.abandon(len(outputs) - number)
                producer.flush(_WAIT_SECONDS)
                raise broker_error(error.args[0]) from error
        producer.poll(0)
        return ticket

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # The client ends with the last who holds it. Its own ``close`` would take it from under another thread's
            # ``poll``, which is not made for that.
            producer.flush(_WAIT_SECONDS)


def broker_error(error: KafkaError) -> BrokerError | PoisonError:
    """The error of the hub's tree for one of the client's."""
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return PoisonError(f"a record is larger than the topic takes: {error.str()}")
    if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        return BrokerError(f"{error.str()}; the topics are made by: hub topics apply")
    return BrokerError(f"Kafka did not take a record: {error.str()}")
