"""What guards of sources publish to in tests."""

from __future__ import annotations

from collections.abc import Iterable

from hub.bus.records import Output


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
