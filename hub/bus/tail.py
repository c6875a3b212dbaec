"""Reads small topics to their end, again and again: each look gives what came since the last, all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.batch import Place
from hub.bus.bounds import Bounds
from hub.bus.clients import new_consumer
from hub.bus.records import Headers, Record
from hub.errors import BrokerError

_PATIENCE_SECONDS = 30.0
_REQUEST_SECONDS = 15.0
#: ``consume`` waits so long for a full batch, also when the end has been reached.
_WAIT_SECONDS = 0.02
#: From so many places on their ends are asked for together, by a client that is made for it.
_MANY = 8


class Tail:
    """Partition 0 of each topic, from its beginning; with ``is_whole`` all partitions of those topics that are there.

    One object serves one thread; after an error it begins anew, so whoever reads has to begin anew as well
    (``is_new``).
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], *, is_whole: bool = False) -> None:
        self._bootstrap, self._topics, self._is_whole = bootstrap, list(topics), is_whole
        self._consumer: Consumer | None = None
        self._many = Bounds(bootstrap, client_id="tail")
        self._next: dict[Place, int] = {}
        self._starts: Mapping[Place, int] = {}

    @property
    def is_new(self) -> bool:
        """Whether the next look gives everything from the beginning."""
        return self._consumer is None

    def look(self) -> list[Record]:
        """What came since the last look, up to the ends of now. Raises BrokerError."""
        return [record for part in self.parts() for record in part]

    def parts(self) -> Iterator[list[Record]]:
        """The same a part at a time, for what is too much to be held at once; it has to be read to its end."""
        try:
            yield from self._read()
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
        self._many.close()

    @property
    def starts(self) -> Mapping[Place, int]:
        """Where each partition began at the last look: what stood before was removed by age."""
        return self._starts

    def _read(self) -> Iterator[list[Record]]:
        consumer = self._consumer or self._open()
        self._starts, ends = self._bounds(consumer)
        heard_at = time.monotonic()
        while any(self._next[place] < end for place, end in ends.items()):
            messages = consumer.consume(5000, _WAIT_SECONDS)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _PATIENCE_SECONDS:
                raise BrokerError(f"{self._bootstrap}: nothing heard for {_PATIENCE_SECONDS:.0f} s")
            found: list[Record] = []
            for message in messages:
                place = (message.topic() or "", message.partition() or 0)
                offset, error = message.offset() or 0, message.error()
                if error is None:
                    found.append(Record(
                        *place, offset, message.timestamp()[1], message.key(), message.value(),
                        cast(Headers, message.headers() or []),
                    ))
                    self._next[place] = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    # What compaction or age removed at the end is passed over.
                    self._next[place] = max(self._next[place], offset)
                elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                    raise BrokerError(f"{place[0]}: {error.str()}")
            yield found
        if not self._next:
            # None of the topics is there yet: they are looked for again.
            self.close()

    def _open(self) -> Consumer:
        self._consumer = consumer = new_consumer(
            self._bootstrap, group="tail", client_id="tail", **{"enable.partition.eof": True}
        )
        places = [(topic, 0) for topic in self._topics]
        if self._is_whole:
            known = consumer.list_topics(timeout=_REQUEST_SECONDS).topics
            places = [(topic, number) for topic in self._topics if topic in known for number in known[topic].partitions]
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        self._next = dict.fromkeys(places, 0)
        return consumer

    def _bounds(self, consumer: Consumer) -> tuple[dict[Place, int], dict[Place, int]]:
        """The first offset of each place, and that behind its last."""
        if len(self._next) >= _MANY:
            return self._many.starts(self._next), self._many.ends(self._next)
        marks = {
            place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=_REQUEST_SECONDS)
            for place in self._next
        }
        return {place: mark[0] for place, mark in marks.items()}, {place: mark[1] for place, mark in marks.items()}
