"""What guards of sources publish to in tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from confluent_kafka.cimpl import NewTopic

from hub.bus.records import Output
from hub.intake.guards.log import GUARD_TOPICS
from tests.support_topics import having


@contextmanager
def guarded(bootstrap: str, topics: Iterable[str]) -> Iterator[str]:
    """The address of a Kafka that has these topics and those of the guards; gone afterwards."""
    with having(bootstrap, topics, *(NewTopic(name, 1, -1) for name in GUARD_TOPICS)) as address:
        yield address


class Memory:
    """A publisher that keeps what it was given."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.next_offsets: dict[tuple[str, int], int] = {}

    def publish(self, outputs: Iterable[Output]) -> None:
        self.outputs += outputs

    def publish_async(self, outputs: Iterable[Output]) -> Memory:
        self.outputs += outputs
        return self

    def wait(self) -> None:
        """All is there."""

    def close(self) -> None:
        """Nothing is held."""
