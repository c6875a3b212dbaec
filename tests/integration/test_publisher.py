"""A publisher that was closed has written everything, takes nothing more and leaves no thread behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.errors import BrokerError
from tests.support_served import wait_until

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike


def client_threads() -> int:
    """Threads of this process that the Kafka client runs."""
    names = (file.read_text("utf-8", "replace") for file in Path("/proc/self/task").glob("*/comm"))
    return sum(name.startswith("rdk:") for name in names)


def test_a_closed_publisher_has_written_all_and_is_gone(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name()
    create_topics(topic, partitions=1)
    before = client_threads()
    publisher = KafkaPublisher(kafka.bootstrap, client_id="test", linger_ms=50)
    ticket = publisher.publish_async([Output(topic, b"key", b"%d" % number, []) for number in range(500)])
    assert client_threads() > before
    publisher.close()
    ticket.wait()
    assert ticket.next_offsets == {(topic, 0): 500}
    del ticket  # who waits for records still holds the client
    wait_until(lambda: client_threads() <= before, "the end of the client's threads")
    with pytest.raises(BrokerError, match="closed"):
        publisher.publish([Output(topic, b"key", b"late", [])])
    publisher.close()
    assert len(list(read_topics(kafka.bootstrap, [topic]))) == 500
