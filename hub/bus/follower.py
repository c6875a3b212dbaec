"""Follows a small topic: what came since the last look, without a group and without waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer

log = structlog.get_logger()
#: The topic is looked at this often, however often news is asked for.
LOOK_SECONDS = 1.0
#: A topic that is not there yet is looked for again after this long, with a new client.
_REOPEN_SECONDS = 10.0


class News(NamedTuple):
    """One record of the topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Follower:
    """Partition 0 of one topic, from its beginning. One object serves one thread.

    A broker that does not answer is no news: that is logged once, and those who follow go on with what they know.
    """

    def __init__(
        self, bootstrap: str, topic: str, *, monotonic: Callable[[], float] = time.monotonic,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self._monotonic, self._look_seconds = monotonic, look_seconds
        self._consumer: Consumer | None = None
        self._next_look = float("-inf")
        self._is_away = False

    def news(self) -> list[News]:
        """What came since it was asked last; looks once in ``look_seconds`` at most and never waits."""
        now = self._monotonic()
        if now < self._next_look:
            return []
        self._next_look = now + self._look_seconds
        try:
            return self._look(now)
        except KafkaException as error:
            self._say_away(str(error))
            return []

    def close(self) -> None:
        """Lets go of the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _look(self, now: float) -> list[News]:
        if self._consumer is None:
            self._consumer = new_consumer(
                self._bootstrap, group="follower", client_id="follower",
                **{"fetch.wait.max.ms": 500, "error_cb": lambda error: self._say_away(error.str())},
            )
            self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        found = []
        for message in self._consumer.consume(1000, 0):
            error = message.error()
            if error is None:
                self._is_away = False
                found.append(News(message.offset() or 0, message.key(), message.value()))
            elif error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
                self._say_away(error.str())
                self.close()
                self._next_look = now + _REOPEN_SECONDS
                break
        return found

    def _say_away(self, reason: str) -> None:
        if not self._is_away:
            log.warning("topic cannot be read, going on with what is known", topic=self._topic, reason=reason)
            self._is_away = True
