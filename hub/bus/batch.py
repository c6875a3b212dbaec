"""What a lane has on its way, and what it counts."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError

from hub.bus.records import Output

#: Objects between two looks of the garbage collector. A batch of 2,000 records is some 100,000 objects that die
#: together by their counts; looking for cycles among them every 700 took a tenth of a lane's time.
_YOUNG, _MIDDLE, _OLD = 50_000, 20, 20

Place = tuple[str, int]


@dataclass
class LaneMetrics:
    """Counts since the lane began."""

    records: int = 0
    outputs: int = 0
    batches: int = 0
    dead_lettered: int = 0
    retries: int = 0
    commits: int = 0


class Batch:
    """Outputs on their way, and the offsets that they stand for."""

    __slots__ = ("behind", "error", "offsets", "pending")

    def __init__(self, offsets: dict[Place, int]) -> None:
        self.offsets = offsets
        self.pending = 0
        #: What is written when all of it is acknowledged: of one key the latest alone.
        self.behind: dict[tuple[str, bytes | None], Output] = {}
        self.error: KafkaError | None = None

    def on_delivery(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self.error = error
        self.pending -= 1


def tune_collector() -> None:
    """Sets the garbage collector for a process that runs a lane; once, at its start."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
