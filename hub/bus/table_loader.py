"""Reads a compacted topic back: the table that a stage keeps on the partitions that it owns."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.errors import BrokerError

#: (partition, key, value or tombstone) of all records of some partitions, of each the oldest first.
Loader = Callable[[Collection[int]], Iterator[tuple[int, bytes, bytes | None]]]

_BATCH = 5000
#: ``consume`` waits this long for a full batch, also when the end has been reached.
_WAIT_SECONDS = 0.05
#: The client goes on by itself after these; patience has an end all the same.
_PASSING = frozenset((KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE))


class TableLoader:
    """Reads partitions of ``topic`` from their beginning to their end at the time of the call.

    All of them at once: a client takes half a second to begin, however many it reads. Joins no group and
    commits nothing. Raises BrokerError if the broker gives nothing for ``patience_seconds``; a lane
    then waits and calls again.
    """

    def __init__(self, bootstrap: str, *, topic: str, patience_seconds: float = 30.0) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._patience_seconds = patience_seconds

    def __call__(self, partitions: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
        reading = set(partitions)
        consumer = new_consumer(
            self._bootstrap, group="table-loader", client_id="table-loader",
            # The end is where the broker says so: compaction may have removed the last offsets.
            **{"enable.partition.eof": True},
        )
        try:
            consumer.assign([TopicPartition(self._topic, each, OFFSET_BEGINNING) for each in reading])
            heard_at = time.monotonic()
            while reading:
                messages = consumer.consume(_BATCH, _WAIT_SECONDS)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > self._patience_seconds:
                    raise BrokerError(f"{self._topic}: no answer")
                for message in messages:
                    partition = message.partition()
                    error = message.error()
                    if error is None and partition in reading:
                        yield partition, message.key() or b"", message.value()
                    elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                        reading.discard(partition)
                    elif error is not None and not (error.retriable() or error.code() in _PASSING):
                        raise BrokerError(f"{self._topic}: {error.str()}")
        except KafkaException as error:
            raise BrokerError(f"{self._topic}: {error}") from error
        finally:
            consumer.close()

    def partitions(self) -> range:
        """The partitions of the topic. Raises BrokerError if the broker does not answer or lacks it."""
        consumer = new_consumer(self._bootstrap, group="table-loader", client_id="table-loader")
        until = time.monotonic() + min(2.0, self._patience_seconds)
        try:
            while True:
                found = consumer.list_topics(self._topic, timeout=self._patience_seconds).topics[self._topic]
                # A topic that was just made is not known to every broker at once.
                if found.error is None or time.monotonic() > until:
                    break
                time.sleep(0.1)
        except KafkaException as error:
            raise BrokerError(f"{self._topic}: {error}") from error
        finally:
            consumer.close()
        if found.error is not None:
            raise BrokerError(f"{self._topic}: {found.error.str()}")
        return range(len(found.partitions))
