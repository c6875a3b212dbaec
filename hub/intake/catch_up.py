"""Brings the index of rows seen up to the end of the event topics, from headers alone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hub.errors import BrokerError, IndexUnavailableError
from hub.intake.tentative import FACT_HEADER, PRIOR_STATE, ROW_STATE, behind
from hub.state.seen_index import SeenIndex, SeenRow

#: Requests that a killed intake still had in its sockets are in the log after this, or never.
SETTLE_SECONDS = 1.0
#: No answer from any partition for so long: the broker is away.
_SILENCE_SECONDS = 30.0
_BATCH = 2000
#: A few batches and their rejections are under way at a time; more is a rebuild, not a rest.
_MOST_RECOVERED = 50_000
_REQUEST_SECONDS = 15.0
_MOVING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._WAIT_COORD,
    }
)


_T = TypeVar("_T")
ReadHeaders = Callable[[list[tuple[str, Any]] | None], _T | None]
Take = Callable[[list[_T], dict[tuple[str, int], int]], None]


class Recovered(NamedTuple):
    """Events of one row that a killed intake had published and not yet stored: the version before
    them, and what each of them made of it, with the last word of its type."""

    before: SeenRow | None
    events: list[tuple[SeenRow, str]]


class Window(NamedTuple):
    """What a killed intake had under way. The index has neither these events nor these offsets: they
    are stored by whoever reads the rows again, or gives up waiting for them."""

    recovered: dict[bytes, Recovered]
    offsets: dict[tuple[str, int], int]


class _Event(NamedTuple):
    key: bytes
    version: int
    digest: bytes
    type: str
    prior_state: str | None
    row_state: str | None

    def behind(self, before: SeenRow | None) -> SeenRow | None:
        return behind(before, self.version, self.digest, self.type, self.prior_state, self.row_state)


def catch_up(
    index: SeenIndex, bootstrap: str, source_uri: str, topics: Sequence[str], *, was_killed: bool
) -> Window:
    """Reads what the topics have beyond the index and applies what is of this source.

    If the last intake was killed, and the rest is small enough to be what it had under way, the rest
    is returned instead: the rows concerned are about to be read again.

    The index must have been taken over (``begin``). An index that knows more than a topic has (the
    topic was made anew) is rebuilt from nothing.

    :raises BrokerError: when Kafka does not answer or a topic is missing.
    """
    if was_killed:
        time.sleep(SETTLE_SECONDS)
    found = _Found(index, is_kept=was_killed)
    read_on(index, bootstrap, topics, lambda headers: _event(headers, source_uri), found.take)
    return found.window()


def is_as_left(index: SeenIndex, word: str) -> bool:
    """Takes the turn at an index that this very object left last; whether nobody has written to it since."""
    try:
        index.enter(word)
    except IndexUnavailableError:
        return False
    return True


def take_over(index: SeenIndex, word: str, read: Callable[[], object]) -> None:
    """Takes the turn at an index that somebody else may have left: ``read`` brings it up to the end of the log.
    ``word`` is what the index says of who has it. Raises IndexUnavailableError, and what ``read`` raises."""
    if index.begin(uuid.uuid4().hex) is not None:
        # Its last owner was killed: what it had in its sockets is on the log after this, or never.
        time.sleep(SETTLE_SECONDS)
    read()
    index.enter(word)


def read_on(
    index: SeenIndex, bootstrap: str, topics: Sequence[str], read: ReadHeaders[_T], take: Take[_T]
) -> None:
    """Gives what the topics have beyond the offsets of the index: ``read`` makes something of a record's headers,
    or ``None``, ``take`` gets it in the order of its partition, with the offsets behind it. An index that knows more
    than a topic has is cleared first.

    :raises BrokerError: when Kafka does not answer or a topic is missing.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"intake-catch-up-{index.source}",
            "client.id": f"intake-{index.source}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 8 * 1024,
            "log_level": 3,
        }
    )
    try:
        _read(consumer, index, topics, read, take)
    except KafkaException as error:
        raise BrokerError(f"Kafka did not answer: {error.args[0]}") from error
    finally:
        consumer.close()


def _read(
    consumer: Consumer, index: SeenIndex, topics: Sequence[str], read: ReadHeaders[_T], take: Take[_T]
) -> None:
    ends: dict[tuple[str, int], int] = {}
    starts: dict[tuple[str, int], int] = {}
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
        if metadata.error is not None or not metadata.partitions:
            raise BrokerError(f"topic {topic} is missing; the topics are made by: hub topics apply")
        for partition in metadata.partitions:
            low, high = _watermarks(consumer, topic, partition)
            ends[topic, partition], starts[topic, partition] = high, low
    known = index.offsets(list(ends))
    if any(offset > ends[place] for place, offset in known.items()):
        index.clear()
        known = {}
    wanted = {place: max(known.get(place, 0), starts[place]) for place in ends}
    open_places = {place for place in ends if wanted[place] < ends[place]}
    if not open_places:
        return
    consumer.assign(
        [TopicPartition(topic, partition, wanted[topic, partition]) for topic, partition in open_places]
    )
    heard_at = time.monotonic()
    while open_places:
        # Waits for so many or so long: a short rest at the end costs little, a long one every start.
        messages = consumer.consume(_BATCH, timeout=0.1)
        if not messages and time.monotonic() - heard_at > _SILENCE_SECONDS:
            raise BrokerError("Kafka has been silent while the index of rows seen was caught up.")
        if not messages:
            continue
        heard_at = time.monotonic()
        events: list[_T] = []
        offsets: dict[tuple[str, int], int] = {}
        for message in messages:
            place = (cast(str, message.topic()), cast(int, message.partition()))
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise BrokerError(f"Kafka did not give a record: {error.str()}")
            # At the end of a partition the message carries the offset that comes next.
            offsets[place] = cast(int, message.offset()) + (error is None)
            if offsets[place] >= ends[place]:
                open_places.discard(place)
            if error is None:
                event = read(cast("list[tuple[str, Any]] | None", message.headers()))
                if event is not None:
                    events.append(event)
        take(events, offsets)


def _watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """First offset and end; asks again while the partition moves to another leader or is being made."""
    deadline = time.monotonic() + _REQUEST_SECONDS
    while True:
        try:
            place = TopicPartition(topic, partition)
            return consumer.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _event(headers: list[tuple[str, Any]] | None, source_uri: str) -> _Event | None:
    """Key, version, digest and type of one of our own events."""
    found = dict(headers or ())
    if found.get("ce_source") != source_uri.encode():
        return None
    try:
        return _Event(
            bytes.fromhex(found["ce_naturalkey"].decode()),
            int(found["ce_sequence"]),
            bytes.fromhex(found["ce_digest"].decode()),
            found["ce_type"].decode(),
            None if (prior := found.get(PRIOR_STATE)) is None else prior.decode(),
            _row_state(found),
        )
    except (KeyError, ValueError, AttributeError, IndexError):
        return None  # written under this source's name by another way in, without a row behind it


def _row_state(headers: dict[str, Any]) -> str | None:
    """The state of the row itself, where its record says it."""
    if (fact := headers.get(FACT_HEADER)) is not None:
        return cast(str, fact.decode().split(";")[1])
    own = headers.get(ROW_STATE)
    return None if own is None else cast(str, own.decode())


class _Found:
    """Puts events into the index, or keeps the few of a killed intake back for those who read on."""

    def __init__(self, index: SeenIndex, *, is_kept: bool) -> None:
        self._index = index
        self._is_kept = is_kept
        self._events: list[_Event] = []
        self._offsets: dict[tuple[str, int], int] = {}

    def take(self, events: list[_Event], offsets: dict[tuple[str, int], int]) -> None:
        if not self._is_kept:
            self._apply(events, offsets)
            return
        self._events += events
        self._offsets.update(offsets)
        if len(self._events) > _MOST_RECOVERED:
            self._is_kept = False
            self._apply(self._events, self._offsets)
            self._events, self._offsets = [], {}

    def _apply(self, events: list[_Event], offsets: dict[tuple[str, int], int]) -> None:
        rows = self._known(events)
        changed: dict[bytes, SeenRow] = {}
        for event in events:
            after = event.behind(rows.get(event.key))
            if after is not None:
                rows[event.key] = changed[event.key] = after
        self._index.write(changed, offsets)

    def _known(self, events: list[_Event]) -> dict[bytes, SeenRow]:
        keys = list(dict.fromkeys(event.key for event in events))
        return {key: row for key, row in zip(keys, self._index.lookup(keys), strict=True) if row is not None}

    def window(self) -> Window:
        """What was kept back: only what the index does not know, by version."""
        latest = self._known(self._events)
        recovered: dict[bytes, Recovered] = {}
        for event in sorted(self._events, key=lambda event: (event.version, event.prior_state is None)):
            before = latest.get(event.key)
            after = event.behind(before)
            if after is not None:
                entry = recovered.setdefault(event.key, Recovered(before, []))
                entry.events.append((after, event.type.rpartition(".")[2]))
                latest[event.key] = after
        return Window(recovered, self._offsets)
