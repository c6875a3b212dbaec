"""Reads single records by their positions, within milliseconds: for whoever answers a question about a few of them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.kept_records import KeptRecords, Position
from hub.bus.records import Headers, Record
from hub.errors import BrokerError

__all__ = ["LogReader", "Position"]

#: A client of its own for each further record of one partition, up to so many: a client that is sent to another
#: place of a partition first ends the request that it has on its way.
_CLIENTS = 3
#: Records of one partition that lie nearer to each other than this are read on the way from one to the next.
_NEAR = 64
_PATIENCE_SECONDS = 10.0
#: A client that has given nothing for so long is asked to look again.
_NUDGE_SECONDS = 0.015
#: What one partition gives at a time; a batch that is larger comes whole all the same. Most of the time of a question
#: goes into records that come along and nobody asked for: with 16 KiB it takes half as long again.
_PART_BYTES = 4 * 1024


class LogReader:
    """Keeps its clients between questions: connecting takes longer than reading; and the records that it gave last.

    One question at a time: it may be used from several threads, which then wait for each other. Whoever made it
    closes it. Joins no group, commits nothing.
    """

    def __init__(
        self, bootstrap: str, *, patience_seconds: float = _PATIENCE_SECONDS, kept: KeptRecords | None = None
    ) -> None:
        self._bootstrap, self._patience_seconds = bootstrap, patience_seconds
        self._kept = kept or KeptRecords(time.monotonic)
        self._clients: list[Consumer] = []
        self._lock = threading.Lock()

    def fetch(self, positions: Iterable[Position]) -> dict[Position, Record]:
        """The records at these positions. What compaction or age has removed is missing from the answer.

        Raises BrokerError if Kafka does not give the rest within the patience.
        """
        wanted = set(positions)
        found = self._kept.get(wanted)
        if left := wanted - found.keys():
            read: dict[Position, Record] = {}
            with self._lock:
                try:
                    until = time.monotonic() + self._patience_seconds
                    while left:
                        read |= self._round(left, until)
                except BaseException:
                    self._drop_clients()
                    raise
            self._kept.put(read)
            found |= read
        return found

    def close(self) -> None:
        """Lets go of the connections."""
        with self._lock:
            self._drop_clients()

    def _round(self, left: set[Position], until: float) -> dict[Position, Record]:
        """One run of each client, a partition at a time each; takes out of ``left`` what is found or gone."""
        runs = _share_out(left)
        clients = [self._client(number) for number in range(len(runs))]
        found: dict[Position, Record] = {}
        try:
            for client, run in zip(clients, runs, strict=True):
                client.assign([TopicPartition(topic, part, wanted[0]) for (topic, part), wanted in run.items()])
            heard_at = [time.monotonic()] * len(runs)
            while any(runs):
                for number, (client, run) in enumerate(zip(clients, runs, strict=True)):
                    before = len(left)
                    if run:
                        found |= _take(client, run, left)
                    if len(left) < before:
                        heard_at[number] = time.monotonic()
                    elif run and time.monotonic() - heard_at[number] > _NUDGE_SECONDS:
                        _nudge(client, run)
                        heard_at[number] = time.monotonic()
                if any(runs) and time.monotonic() > until:
                    raise BrokerError(f"{self._bootstrap}: no record came for {self._patience_seconds:.0f} s")
        except KafkaException as error:
            raise BrokerError(f"{self._bootstrap}: {error}") from error
        finally:
            # Else a client goes on and fetches all that follows.
            for client in clients:
                with suppress(KafkaException):
                    client.unassign()
        return found

    def _client(self, number: int) -> Consumer:
        while len(self._clients) <= number:
            self._clients.append(new_consumer(
                self._bootstrap, group="log-reader", client_id="log-reader",
                **{
                    "enable.partition.eof": True, "fetch.wait.max.ms": 2, "max.partition.fetch.bytes": _PART_BYTES,
                    # What is asked again is asked at once: librdkafka would wait half a second, or a whole one.
                    "fetch.error.backoff.ms": 2, "fetch.queue.backoff.ms": 2,
                    # Of what was deleted by age the next that is there shows that it is gone.
                    "auto.offset.reset": "earliest",
                },
            ))
        return self._clients[number]

    def _drop_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()


def _nudge(client: Consumer, run: _Run) -> None:
    """Wakes the client's thread for the broker: one that had nothing to do may look for new work only each second.

    Any request to that broker does; the answer is not needed.
    """
    with suppress(KafkaException):
        client.get_watermark_offsets(TopicPartition(*next(iter(run))), timeout=1)


#: (topic, partition) -> offsets that are wanted of it, in order.
_Run = dict[tuple[str, int], list[int]]


def _share_out(positions: Iterable[Position]) -> list[_Run]:
    """For each client at most one stretch of each partition; what does not find room waits for the next round."""
    stretches: dict[tuple[str, int], list[list[int]]] = defaultdict(list)
    for topic, partition, offset in sorted(positions):
        of_place = stretches[topic, partition]
        if of_place and offset - of_place[-1][-1] <= _NEAR:
            of_place[-1].append(offset)
        else:
            of_place.append([offset])
    deepest = min(max(map(len, stretches.values()), default=0), _CLIENTS)
    return [
        {place: of_place[number] for place, of_place in stretches.items() if len(of_place) > number}
        for number in range(deepest)
    ]


def _take(client: Consumer, run: _Run, left: set[Position]) -> dict[Position, Record]:
    found: dict[Position, Record] = {}
    for message in client.consume(50, 0.002):
        place = (message.topic() or "", message.partition() or 0)
        wanted = run.get(place)
        if wanted is None:
            continue
        offset, error = message.offset() or 0, message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
                offset = wanted[-1] + 1  # the topic is gone, and all that stood on it
            elif error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                continue
            else:
                raise BrokerError(f"{place[0]}: {error.str()}")
        while wanted and wanted[0] < offset:
            left.discard(Position(*place, wanted.pop(0)))
        if error is not None:
            # The end of the partition: what is wanted behind it is not there.
            while wanted:
                left.discard(Position(*place, wanted.pop(0)))
        elif wanted and wanted[0] == offset:
            position = Position(*place, wanted.pop(0))
            left.discard(position)
            found[position] = Record(
                *place, offset, message.timestamp()[1], message.key(), message.value(),
                cast(Headers, message.headers() or []),
            )
        if not wanted:
            del run[place]
    return found
