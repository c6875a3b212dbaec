"""Where partitions begin and end, of many of them in one question."""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in the package's types

from hub.bus.batch import Place
from hub.errors import BrokerError

_RETRY_SECONDS = 0.1
_PASSING = frozenset((
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
))
_FIRST, _LAST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]  # as above


class Bounds:
    """Keeps one connection from the first question on. One object serves one thread.

    A consumer has to ask for each place by itself, and each answer is a way there and back; on a busy broker, or one
    that is about to end, that is many seconds. All questions raise BrokerError, also of a topic that is not there.
    """

    def __init__(self, bootstrap: str, *, client_id: str, patience_seconds: float = 15.0) -> None:
        self._bootstrap, self._client_id, self._patience_seconds = bootstrap, client_id, patience_seconds
        self._admin: AdminClient | None = None

    def starts(self, places: Collection[Place]) -> dict[Place, int]:
        """The first offset of each that is left."""
        return self._ask(places, _FIRST)

    def ends(self, places: Collection[Place]) -> dict[Place, int]:
        """The offset of each behind the last record that a reader gets: an open transaction is no part of it."""
        return self._ask(places, _LAST)

    def close(self) -> None:
        self._admin = None

    def _ask(self, places: Collection[Place], which: OffsetSpec) -> dict[Place, int]:
        if not places:
            return {}
        if self._admin is None:
            self._admin = AdminClient({
                "bootstrap.servers": self._bootstrap, "client.id": self._client_id, "log_level": 3,
            })
        until = time.monotonic() + self._patience_seconds
        while True:
            asked = self._admin.list_offsets(
                {TopicPartition(*place): which for place in places}, request_timeout=self._patience_seconds,
                isolation_level=IsolationLevel.READ_COMMITTED,
            )
            try:
                return {(place.topic, place.partition): answer.result().offset for place, answer in asked.items()}
            except KafkaException as error:
                # Of a topic that was just made, or while a broker changes, the client does not ask again by itself.
                if error.args[0].code() not in _PASSING or time.monotonic() > until:
                    raise BrokerError(f"{self._bootstrap}: {error}") from error
                time.sleep(_RETRY_SECONDS)
