"""How the hub's Kafka clients are configured and spoken to, in one place.

``partitioner=murmur2_random`` makes librdkafka put a key on the partition where Java clients and
kafka-python put it: one subject is one partition everywhere. ``acks=all`` with idempotence is the first
promise: "accepted" is said only after all in-sync replicas have the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from structlog.typing import FilteringBoundLogger

from hub.bus.batch import Place

#: Longer than a broker's failover on one machine, shorter than an operator's patience.
DELIVERY_TIMEOUT_MS = 60_000
#: The largest value that a record may have; the broker's own bound (1 MiB) covers headers too.
MAX_VALUE_BYTES = 900_000
#: What dead-letter topics take.
DEAD_LETTER_BYTES = 2 * 1024 * 1024


def new_producer(bootstrap: str, *, client_id: str, linger_ms: float = 5) -> Producer:
    """A producer that keeps order and acknowledges only what all in-sync replicas have."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": client_id,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            # Ordinary topics take 1 MiB; a dead letter carries a record of that size and its reason besides.
            "message.max.bytes": DEAD_LETTER_BYTES,
            "linger.ms": linger_ms,
            "batch.num.messages": 10_000,
            "batch.size": 512 * 1024,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
            "log_level": 3,
        }
    )


def new_consumer(bootstrap: str, *, group: str, client_id: str, **more: Any) -> Consumer:
    """A consumer of a group; offsets are committed by hand alone.

    ``range`` assignment gives partition n of every topic of one reader to the same process: the topics
    of one subject are co-partitioned, and so is the work.
    """
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "client.id": client_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            "max.poll.interval.ms": 600_000,
            "fetch.wait.max.ms": 50,
            "queued.min.messages": 20_000,
            "queued.max.messages.kbytes": 64 * 1024,
            "topic.metadata.refresh.interval.ms": 30_000,
            "log_level": 3,
            **more,
        }
    )


def produce(
    producer: Producer,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    *,
    headers: Sequence[tuple[str, bytes]],
    partition: int | None = None,
    on_delivery: Callable[[Any, Any], None] | None = None,
) -> None:
    """Hands one record to the client; waits while its queue is full, which is how a slow broker is felt.

    Without a partition murmur2 of the key decides it. Raises KafkaException for a record that the client
    does not take at all.
    """
    # Any: the client's stubs know no callback and no list of pairs with values that are all bytes.
    hand_over: Any = producer.produce
    place = -1 if partition is None else partition
    while True:
        try:
            hand_over(topic, value, key, place, on_delivery=on_delivery, headers=headers)
            return
        except BufferError:
            producer.poll(0.05)


def commit(
    consumer: Consumer, offsets: Mapping[Place, int], *, is_waiting: bool, log: FilteringBoundLogger
) -> None:
    """Commits where a next owner has to read on. A refusal is logged: a rebalance took the partitions, and the
    next owner reads again what was not committed."""
    partitions = [TopicPartition(*place, offset) for place, offset in offsets.items()]
    try:
        if is_waiting:
            consumer.commit(offsets=partitions, asynchronous=False)
        else:
            consumer.commit(offsets=partitions, asynchronous=True)
    except KafkaException as error:
        log.warning("commit refused", error=error.args[0].str())
