"""Spans out of a real log to a receiver: one trace from the fact to its ends, and nothing lost while nobody listens."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from confluent_kafka import TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.http_client import HttpClient
from hub.bus.records import Output
from hub.contracts.cloudevents import from_headers
from hub.ops.spans.figures import SpanFigures
from hub.ops.spans.otlp import OtlpReceiver
from hub.ops.spans.service import SpanService
from hub.ops.spans.span import GROUP
from hub.wiring.spans import span_topics
from tests.conftest import KafkaLike
from tests.support_groups import delete_groups
from tests.support_ledger import write
from tests.support_receivers import Receiver, Status
from tests.support_routing import hub_map
from tests.support_served import wait_until
from tests.support_spans import Seen, as_output, fact, outputs_of, seen
from tests.support_topics import having

TOOK = Status(200)
#: Those of the map that a listing goes through.
TOPICS = sorted({"blacklist.notices.v1", *(each.topic for each in outputs_of(fact()))} & set(span_topics(hub_map())))


@pytest.fixture
def log(kafka: KafkaLike) -> Iterator[str]:
    """A Kafka with the topics that an event goes through, and a group that has read nothing."""
    with having(kafka.bootstrap, TOPICS) as bootstrap:
        yield bootstrap
        with contextlib.suppress(Exception):  # no test of it has joined
            delete_groups(bootstrap, [GROUP])


@contextlib.contextmanager
def running(bootstrap: str, endpoint: str) -> Iterator[SpanFigures]:
    """The service, with short pauses between its attempts."""
    figures = SpanFigures()
    receiver = OtlpReceiver(endpoint, HttpClient(lambda: datetime.now(UTC), max_connections=1))
    service = SpanService(bootstrap, TOPICS, receiver, figures, backoff_seconds=(0.02, 0.1))
    thread = threading.Thread(target=service.run, name="spans")
    thread.start()
    try:
        yield figures
    finally:
        service.stop()
        thread.join(60)
        assert not thread.is_alive()


def everything(row: str) -> list[Output]:
    """What is written for one fact, itself first."""
    event = fact(row=row)
    return [as_output(event), *outputs_of(event)]


def ids(outputs: Iterable[Output]) -> set[str]:
    return {from_headers(each.headers).id for each in outputs}


def spans_in(receiver: Receiver) -> list[Seen]:
    return [span for post in receiver.posts() for span in seen(post.body)]


def ids_in(receiver: Receiver) -> set[str]:
    return {span["cloudevents.event_id"] for span in spans_in(receiver)}


def committed(bootstrap: str) -> int:
    """How many records the group has behind it."""
    consumer = new_consumer(bootstrap, group=GROUP, client_id="test")
    try:
        places = [TopicPartition(topic, number) for topic in TOPICS for number in range(12)]
        return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=30))
    finally:
        consumer.close()


def test_a_fact_and_what_became_of_it_are_one_trace_with_the_right_parents(log: str) -> None:
    outputs = everything("one")
    with Receiver(otherwise=TOOK) as receiver, running(log, receiver.url) as figures:
        write(log, outputs)
        wait_until(lambda: ids_in(receiver) >= ids(outputs), "all spans")
        wait_until(lambda: figures.unsent == 0, "the answer")
        assert (figures.exported, figures.refused) == (len(outputs), 0)
        found = {span["cloudevents.event_id"]: span for span in spans_in(receiver)}
        (post, *_) = receiver.posts()
        assert (post.path, post.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    assert len({span["trace"] for span in found.values()}) == 1
    by_topic: dict[str, list[Seen]] = {}
    for output in outputs:
        envelope = from_headers(output.headers)
        span, cause = found[envelope.id], envelope.causation_id
        assert span["parent"] == (found[cause]["span"] if cause is not None else ""), output.topic
        assert span["start"] <= span["end"] and span["messaging.destination.name"] == output.topic
        by_topic.setdefault(output.topic, []).append(span)
    (event,), (decision,) = by_topic["blacklist.notices.v1"], by_topic["routing.decisions.v1"]
    assert decision["parent"] == event["span"] and event["parent"] == ""
    orders = {span["span"] for span in by_topic["disclosure.orders.v1"]}
    assert {span["parent"] for span in by_topic["disclosure.receipts.v1"]} <= orders
    assert any(topic.startswith("inbox.") for topic in by_topic)
    assert {event["service"], decision["service"]} == {"intake", "routing"}


def test_a_receiver_that_is_away_and_comes_back_gets_everything(log: str, said_of_it: list[dict[str, Any]]) -> None:
    first, second = everything("first"), everything("second")
    is_back = threading.Event()
    with (
        Receiver(choose=lambda *_: TOOK if is_back.is_set() else Status(503)) as receiver,
        running(log, receiver.url) as figures,
    ):
        write(log, first)
        receiver.wait_for(4)
        write(log, second)
        assert figures.unsent > 0 and figures.exported == 0 and committed(log) == 0
        before = len(receiver.posts())
        is_back.set()
        wanted = ids(first) | ids(second)

        def taken() -> set[str]:
            return {each["cloudevents.event_id"] for post in receiver.posts()[before:] for each in seen(post.body)}

        wait_until(lambda: taken() >= wanted, "all spans")
        wait_until(lambda: committed(log) == len(first) + len(second), "the position")
        assert (figures.unsent, figures.exported) == (0, len(first) + len(second))
    said = [each["event"] for each in said_of_it if "receiver" in each["event"]]
    assert [each.split(",")[0] for each in said] == [
        "the receiver of spans does not take them", "the receiver of spans takes them again"
    ]


def test_one_that_stops_while_nobody_listens_leaves_the_position_and_the_next_goes_on_behind_what_was_taken(
    log: str, free_port: Callable[[], int]
) -> None:
    first, second = everything("first"), everything("second")
    with Receiver(otherwise=TOOK) as receiver, running(log, receiver.url) as figures:
        write(log, first)
        wait_until(lambda: figures.exported == len(first), "the first spans")
    assert committed(log) == len(first)
    with running(log, f"http://127.0.0.1:{free_port()}") as figures:
        write(log, second)
        wait_until(lambda: figures.unsent > 0, "spans in hand")
    assert figures.exported == 0 and committed(log) == len(first)
    # The first that this receiver is given it cannot read: counted, and no reason to stand still.
    with Receiver(script=[Status(400)], otherwise=TOOK) as receiver, running(log, receiver.url) as figures:
        wait_until(lambda: figures.exported + figures.refused >= len(second), "the second spans")
        assert ids_in(receiver) == ids(second) and figures.exported + figures.refused == len(second)
        assert figures.refused == len(seen(receiver.posts()[0].body))
    assert committed(log) == len(first) + len(second)


@pytest.fixture
def said_of_it() -> Iterator[list[dict[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc]


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
