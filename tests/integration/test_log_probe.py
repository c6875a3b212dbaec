"""The probe of the log: written and read back, and honest about one that does not come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import partitions_of, read_topics
from hub.bus.records import Output
from hub.contracts.cloudevents import from_headers
from hub.contracts.probes import OutletAnswer, answer_headers
from hub.errors import BrokerError
from hub.ops.probe import LogProbe
from hub.ops.tally import take_tally
from tests.conftest import CreateTopics, KafkaLike
from tests.support_contracts import catalog
from tests.support_served import wait_until


@pytest.fixture
def topic(kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]) -> str:
    name = topic_name("probes")
    create_topics(name, partitions=1)
    # The controller has it; the broker tells of it a moment later.
    wait_until(lambda: partitions_of(kafka.bootstrap, name) == 1, "the topic")
    return name


def test_a_probe_is_read_after_it_was_acknowledged_and_says_that_it_is_synthetic(kafka: KafkaLike, topic: str) -> None:
    publisher = KafkaPublisher(kafka.bootstrap, client_id="probe")
    probe = LogProbe(kafka.bootstrap, publisher, seconds=5, topic=topic)
    assert probe.latest() == {"log": {"published": None, "read": None}}
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        wait_until(lambda: probe.latest()["log"]["read"] is not None, "the first probe")
    finally:
        probe.stop()
        thread.join(30)
    assert not thread.is_alive()
    records = list(read_topics(kafka.bootstrap, [topic]))
    for record in records:
        assert record.value is None and dict(record.headers)["ce_issynthetic"] == b"true"
        assert from_headers(record.headers).type == "ops.probe.sent"
    # It is nobody's event: nothing is counted, nothing waits for an end.
    tally = take_tally(records, catalog(), ("inspection.results.v1",))
    assert (tally.accepted, tally.undecided, tally.is_settled) == (0, 0, True)


def test_steps_are_measured_from_the_writing_and_an_old_probe_is_none(kafka: KafkaLike, topic: str) -> None:
    time = [100.0]

    def tick() -> float:
        time[0] += 0.25
        return time[0]

    publisher = KafkaPublisher(kafka.bootstrap, client_id="probe")
    probe = LogProbe(kafka.bootstrap, publisher, seconds=10, topic=topic, patience_seconds=1000, monotonic=tick)
    try:
        found = probe.probe()
    finally:
        publisher.close()
    assert found["published"] == 0.25 and found["read"] > found["published"]
    probe._latest = time[0], found
    assert probe.latest() == {"log": found}
    time[0] += 31
    assert probe.latest() == {"log": {"published": None, "read": None}}


def test_a_log_that_does_not_take_or_give_is_an_error_and_no_figure(kafka: KafkaLike, topic: str) -> None:
    class Swallowing:
        """Acknowledges what it never wrote."""

        def publish(self, outputs: object) -> None: ...

        def publish_async(self, outputs: object) -> object: ...

        def close(self) -> None: ...

    class Refusing(Swallowing):
        def publish(self, outputs: object) -> None:
            raise BrokerError("not enough replicas")

    for publisher, reason in ((Swallowing(), "not read within 0 s"), (Refusing(), "not enough replicas")):
        probe = LogProbe(kafka.bootstrap, publisher, seconds=1, topic=topic, patience_seconds=0.3)  # type: ignore[arg-type]
        with pytest.raises(BrokerError, match=reason):
            probe.probe()
        assert probe.latest() == {"log": {"published": None, "read": None}}


def test_what_outlets_said_is_taken_from_the_same_topic(kafka: KafkaLike, topic: str) -> None:
    publisher = KafkaPublisher(kafka.bootstrap, client_id="probe")
    probe = LogProbe(kafka.bootstrap, publisher, seconds=0.2, topic=topic)
    answers = [OutletAnswer("works-bidding", True, 0.12, 300), OutletAnswer("leads-gannan", False, 10.0, 300)]
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        wait_until(lambda: probe.latest()["log"]["read"] is not None, "the first probe")
        publisher.publish([
            Output(topic, each.outlet.encode(), None, answer_headers(each, "/stages/delivery", datetime.now(UTC)), 0)
            for each in answers
        ])
        wait_until(lambda: len(probe.latest()) == 3, "the answers")
    finally:
        probe.stop()
        thread.join(30)
    found = probe.latest()
    assert found["works-bidding"] == {"answered": 0.12} and found["leads-gannan"] == {"answered": None}
    assert found["log"]["read"] is not None
