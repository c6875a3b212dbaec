"""What the hub writes is read by other tools: where keys are, what stands in the headers."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaProducer

from hub.bus.clients import new_producer
from hub.bus.reader import partitions_of, read_topics
from hub.bus.records import Output
from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent
from hub.domain.murmur2 import partition_of
from tests.support_contracts import catalog, sample

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

ENVELOPE = Envelope(
    id=event_id("market", "合市监检〔2026〕1号", 1),
    source="/sources/market",
    type="inspection.result.recorded",
    subject="91623000739699913A",
    time=datetime(2026, 3, 2, 1, 0, 0, 250_000, tzinfo=UTC),
    correlation_id=entity_id("market", "合市监检〔2026〕1号"),
    traceparent=new_traceparent("1"),
    sequence=1,
    natural_key="合市监检〔2026〕1号",
    digest="0f" * 8,
)


def test_both_clients_put_a_key_where_the_hub_says(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name()
    create_topics(topic, partitions=12)
    chance = random.Random(623000)
    keys = [chance.randbytes(length) for length in range(1, 60)]
    keys += [b"91623000739699913A", "扎西".encode(), b"id-" + b"0f" * 16]
    ours = new_producer(kafka.bootstrap, client_id="test")
    for key in keys:
        ours.produce(topic, b"confluent", key)
    assert ours.flush(30) == 0
    theirs = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for key in keys:
        theirs.send(topic, key=key, value=b"kafka-python")
    theirs.flush(30)
    theirs.close()
    places = {(record.value, record.key, record.partition) for record in read_topics(kafka.bootstrap, [topic])}
    assert places == {
        (client, key, partition_of(key, partitions_of(kafka.bootstrap, topic)))
        for client in (b"confluent", b"kafka-python")
        for key in keys
    }


def test_kcat_reads_keys_headers_and_values(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("kcat is not installed: that it reads the hub's topics was not tried")
    topic = topic_name()
    create_topics(topic, partitions=3)
    schema = catalog().schema("inspection/result")
    value = schema.encode(sample(schema))
    output = Output(topic, ENVELOPE.subject.encode(), value, to_headers(ENVELOPE))
    producer = new_producer(kafka.bootstrap, client_id="test")
    producer.produce(output.topic, output.value, output.key, headers=list(output.headers))
    assert producer.flush(30) == 0

    def read(*form: str) -> bytes:
        command = [kcat, "-C", "-q", "-e", "-b", kafka.bootstrap, "-t", topic, "-o", "beginning", *form]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    key, partition, headers = read("-f", "%k\n%p\n%h").decode().split("\n")
    assert (key, int(partition)) == (ENVELOPE.subject, partition_of(output.key or b"", 3))
    pairs = [pair.split("=", 1) for pair in headers.split(",")]
    assert [name for name, _ in pairs] == [name for name, _ in output.headers]
    assert from_headers([(name, text.encode()) for name, text in pairs]) == ENVELOPE
    assert read("-D", "", "-f", "%s") == value
