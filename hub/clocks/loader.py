"""Reads the states of clocks back from ``clock.states.v1``."""

from __future__ import annotations

from hub.bus.table_loader import Loader, TableLoader
from hub.clocks.wire import STATES

#: (partition, clock id, state or tombstone) of all states of some partitions, of each the oldest first.
StateLoader = Loader


class KafkaStateLoader(TableLoader):
    """See ``TableLoader``."""

    def __init__(self, bootstrap: str, *, topic: str = STATES, patience_seconds: float = 30.0) -> None:
        super().__init__(bootstrap, topic=topic, patience_seconds=patience_seconds)
