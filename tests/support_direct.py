"""A department with a Kafka client of its own, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient

from hub.domain.direct import SCRAM, answers_of, group_of, inbox_of, problems_of, user_of

#: Codes by which Kafka refuses; the client adds some of its own while it tries again.
DENIED = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}


def departments_of(kafka: Any) -> str:
    """Where departments come in. Only the embedded broker has such a listener."""
    address = getattr(kafka, "departments", None)
    if address is None:
        pytest.skip("this Kafka has no listener for departments")
    return str(address)


class DirectDepartment:
    """One user with its password. What it may do is the broker's to say."""

    def __init__(self, bootstrap: str, subscription: str, password: str, user: str | None = None) -> None:
        self.subscription = subscription
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": SCRAM,
            "sasl.username": user or user_of(subscription), "sasl.password": password, "log_level": 0,
            "socket.connection.setup.timeout.ms": 5000,
        }

    def admin(self) -> AdminClient:
        return AdminClient(self._config)

    def other_admin(self) -> KafkaAdminClient:
        """The other client's: librdkafka aborts the process where it is refused some questions of users."""
        return KafkaAdminClient(
            bootstrap_servers=self._config["bootstrap.servers"], security_protocol="SASL_PLAINTEXT",
            sasl_mechanism=SCRAM, sasl_plain_username=self._config["sasl.username"],
            sasl_plain_password=self._config["sasl.password"],
        )

    def consumer(self, *, group: str | None = None, topic: str | None = None) -> Consumer:
        """A consumer of the inbox; nothing is committed by itself."""
        consumer = Consumer({
            **self._config, "group.id": group or group_of(self.subscription), "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "session.timeout.ms": 6000, "topic.metadata.refresh.interval.ms": 1000,
        })
        consumer.subscribe([topic or inbox_of(self.subscription)])
        return consumer

    def read(self, count: int, *, commit: bool = True, **more: Any) -> list[Message]:
        """So many messages of the inbox, from where the group stands."""
        with closing(self.consumer(**more)) as consumer:
            found = poll(consumer, count)
            if commit and found:
                consumer.commit(asynchronous=False)
            return found

    def problems(self, count: int) -> list[Message]:
        return self.read(count, topic=problems_of(self.subscription))

    def answer(self, *values: bytes, topic: str | None = None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Writes answers and waits for them. Raises KafkaException with what the broker said."""
        faults: list[Any] = []
        producer = Producer({**self._config, "acks": "all", "enable.idempotence": True, "message.timeout.ms": 15_000})
        for value in values:
            producer.produce(
                topic or answers_of(self.subscription), value, headers=list(headers),
                on_delivery=lambda error, _: faults.append(error) if error is not None else None,
            )
        assert producer.flush(30) == 0
        if faults:
            raise KafkaException(faults[0])


def poll(consumer: Consumer, count: int, seconds: float = 30.0) -> list[Message]:
    """Up to so many messages; an error ends the wait as KafkaException."""
    found: list[Message] = []
    until = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if (error := message.error()) is not None:
            raise KafkaException(error)
        found.append(message)
    return found


def refusal(work: Callable[[], object]) -> str:
    """The name of the error that ``work`` is refused with."""
    with pytest.raises(KafkaException) as caught:
        work()
    return str(caught.value.args[0].name())
