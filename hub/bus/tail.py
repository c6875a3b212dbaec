"""Reads small topics to their end, again and again: each look gives what came since the last, all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.records import Headers, Record
from hub.errors import BrokerError

_PATIENCE_SECONDS = 30.0
_REQUEST_SECONDS = 15.0


class Tail:
    """Partition 0 of each topic, from its beginning. One object serves one thread; after an error it begins anew,
    so whoever reads has to begin anew as well (``is_new``)."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._bootstrap, self._topics = bootstrap, list(topics)
        self._consumer: Consumer | None = None
        self._next: dict[str, int] = {}

    @property
    def is_new(self) -> bool:
        """Whether the next look gives everything from the beginning."""
        return self._consumer is None

    def look(self) -> list[Record]:
        """What came since the last look, up to the ends of now. Raises BrokerError."""
        try:
            return self._read()
        except KafkaException as error:
            self.close()
            raise BrokerError(f"{self._bootstrap}: {error}") from error
        except BrokerError:
            self.close()
            raise

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _read(self) -> list[Record]:
        if self._consumer is None:
            self._consumer = new_consumer(
                self._bootstrap, group="tail", client_id="tail", **{"enable.partition.eof": True}
            )
            self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in self._topics])
            self._next = dict.fromkeys(self._topics, 0)
        ends = {
            topic: self._consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_REQUEST_SECONDS)[1]
            for topic in self._topics
        }
        found: list[Record] = []
        heard_at = time.monotonic()
        while any(self._next[topic] < end for topic, end in ends.items()):
            messages = self._consumer.consume(5000, 0.1)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _PATIENCE_SECONDS:
                raise BrokerError(f"{self._bootstrap}: nothing heard for {_PATIENCE_SECONDS:.0f} s")
            for message in messages:
                topic, offset, error = message.topic() or "", message.offset() or 0, message.error()
                if error is None:
                    found.append(Record(
                        topic, 0, offset, message.timestamp()[1], message.key(), message.value(),
                        cast(Headers, message.headers() or []),
                    ))
                    self._next[topic] = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    # What compaction or age removed at the end is passed over.
                    self._next[topic] = max(self._next[topic], offset)
                elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                    raise BrokerError(f"{topic}: {error.str()}")
        return found
