"""Dead letters at hand, for a process that shows them again and again."""

from __future__ import annotations

from collections.abc import Collection

from hub.bus.kept_topics import KeptTopics
from hub.bus.log_reader import LogReader, Position
from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.domain.offset_ranges import Spot
from hub.ops.letters import ENDING, Letter, read_letter


class LetterShelf:
    """What the letters of ``topics`` say of themselves is kept in memory, about a kilobyte each; a whole one is read by
    its place. Threads may share it. Methods raise BrokerError."""

    def __init__(self, bootstrap: str, topics: Collection[str]) -> None:
        mine = [topic for topic in topics if topic.endswith(ENDING)]
        self._kept = KeptTopics(Tail(bootstrap, mine, is_whole=True), read_letter)
        self._reader = LogReader(bootstrap)

    def all(self) -> list[Letter]:
        """All that stand there now, without what became of them."""
        return self._kept.all()

    def record(self, spot: Spot) -> Record | None:
        """One letter as it stands there; ``None`` if there is none, or no more."""
        place = Position(spot.topic, spot.partition, spot.offset)
        return self._reader.fetch([place]).get(place)
