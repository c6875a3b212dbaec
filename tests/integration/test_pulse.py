"""The pulse of a lane and of a flow on a real Kafka: a handler that never returns is found, and a lost place too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from hub.bus.clients import new_producer
from hub.bus.flow import Flow
from hub.bus.lane import Lane
from hub.bus.pulse import Pulse
from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from tests.support_served import wait_until

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike


class Held:
    """What stands still when a record comes, until it is let go."""

    def __init__(self) -> None:
        self.came, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.came.set()
        assert self.go_on.wait(60)


class StuckStage(Stage):
    def __init__(self, held: Held) -> None:
        self._held = held

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        self._held()
        return [[] for _ in records]


class StuckHandler:
    """It blocks the event loop itself: the reading thread goes round all the same."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def attach(self, flow: Flow) -> None:
        self._flow = flow

    async def assigned(self, places: Any) -> None: ...

    async def revoked(self, places: Any) -> None: ...

    def take(self, records: Sequence[Record]) -> None:
        self._held()
        for record in records:
            self._flow.finish(record, [])

    def wants_more(self) -> bool:
        return True

    async def close(self) -> None: ...


def lane_of(kafka: KafkaLike, topic: str, held: Held) -> Lane:
    return Lane(StuckStage(held), name="stuck", topics=[topic], group=topic, bootstrap=kafka.bootstrap)


def flow_of(kafka: KafkaLike, topic: str, held: Held) -> Flow:
    return Flow(StuckHandler(held), name="stuck", topics=[topic], group=topic, bootstrap=kafka.bootstrap)


@pytest.mark.parametrize("make", [lane_of, flow_of], ids=["lane", "flow"])
def test_a_loop_that_stands_still_is_found(
    make: Callable[..., Any], kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic, held, now = topic_name(), Held(), [0.0]
    create_topics(topic, partitions=1)
    service = make(kafka, topic, held)
    pulse = service.pulse = Pulse("stuck", monotonic=lambda: now[0])
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_until(lambda: pulse.why_not_started() is None, "the assignment")
        assert pulse.why_not_ready() is pulse.why_dead() is None
        producer = new_producer(kafka.bootstrap, client_id="test")
        producer.produce(topic, b"x")
        assert producer.flush(30) == 0
        assert held.came.wait(30)
        now[0] += 601.0
        assert pulse.why_dead() == "stuck: the loop has stood still for 601 s"
        held.go_on.set()
        wait_until(lambda: pulse.why_dead() is None, "a loop that goes round again")
    finally:
        held.go_on.set()
        service.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert pulse.why_not_ready() == "stuck: no partitions are assigned"
