"""A publisher that was closed has written everything, takes nothing more and leaves no thread behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.errors import BrokerError

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

#: A process of its own, in which all threads of the Kafka client are those of one publisher. It says how many there
#: are while that is open, and ends well once there are none.
CLOSED = """
import sys, time
from pathlib import Path
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output

def threads():
    return sum(file.read_text("utf-8", "replace").startswith("rdk:") for file in Path("/proc/self/task").glob("*/comm"))

bootstrap, topic = sys.argv[1:]
publisher = KafkaPublisher(bootstrap, client_id="test", linger_ms=50)
ticket = publisher.publish_async([Output(topic, b"key", b"%d" % number, []) for number in range(500)])
print(threads(), flush=True)
publisher.close()
ticket.wait()
assert ticket.next_offsets == {(topic, 0): 500}, ticket.next_offsets
assert threads(), "who waits for records still holds the client"
del ticket
until = time.monotonic() + 30
while threads():
    assert time.monotonic() < until, f"{threads()} are left"
    time.sleep(0.02)
"""


@pytest.fixture
def topic(create_topics: CreateTopics, topic_name: Callable[..., str]) -> str:
    name = topic_name()
    create_topics(name, partitions=1)
    return name


def test_a_closed_publisher_has_written_all_and_ends_its_threads(kafka: KafkaLike, topic: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, kafka.bootstrap, topic], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert len(list(read_topics(kafka.bootstrap, [topic]))) == 500


def test_a_closed_publisher_takes_nothing_more(kafka: KafkaLike, topic: str) -> None:
    publisher = KafkaPublisher(kafka.bootstrap, client_id="test")
    publisher.publish([Output(topic, b"key", b"in time", [])])
    publisher.close()
    with pytest.raises(BrokerError, match="closed"):
        publisher.publish([Output(topic, b"key", b"late", [])])
    publisher.close()
    assert [record.value for record in read_topics(kafka.bootstrap, [topic])] == [b"in time"]
