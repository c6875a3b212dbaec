"""The engine of intake on a log and an index that are lists: every line of production between source and Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from hub.bus.publisher import Publisher
from hub.bus.records import Output
from hub.intake.catch_up import Window
from hub.intake.engine import Intake, Outcome
from hub.intake.ledger import Ledger
from hub.intake.rows import Source
from hub.intake.versions import REJECTIONS_TOPIC, EventWriter
from hub.state.seen_index import SeenIndex, SeenRow
from tests.support_intake import catalog


class Taken(NamedTuple):
    """What came of everything that waited: an outcome a portion, the events and the rejections."""

    outcomes: list[Outcome]
    events: list[dict[str, Any]]
    rejections: list[dict[str, Any]]


class _Index:
    def __init__(self) -> None:
        self._rows: dict[bytes, SeenRow] = {}
        self._positions: dict[str, bytes] = {}

    def enter(self, identity: str) -> None:
        identity.encode()  # as the index does it

    def lookup(self, keys: Sequence[bytes]) -> list[SeenRow | None]:
        return [self._rows.get(key) for key in keys]

    def position(self, identity: str) -> bytes | None:
        return self._positions.get(identity)

    def forget_position(self, identity: str) -> None:
        self._positions.pop(identity, None)

    def write(
        self, rows: Mapping[bytes, SeenRow], offsets: Mapping[tuple[str, int], int],
        position: tuple[str, bytes] | None = None,
    ) -> None:
        self._rows.update(rows)
        if position is not None:
            self._positions[position[0]] = position[1]


class _Ticket:
    def __init__(self) -> None:
        self.next_offsets: dict[tuple[str, int], int] = {}

    def wait(self) -> None:
        """All is written."""


class _Log:
    def __init__(self) -> None:
        self.outputs: list[Output] = []

    def publish(self, outputs: Sequence[Output]) -> None:
        self.outputs.extend(outputs)

    def publish_async(self, outputs: Sequence[Output]) -> _Ticket:
        self.publish(outputs)
        return _Ticket()

    def close(self) -> None:
        """Nothing is held."""


def take_all(source: Source, folder: Path) -> Taken:
    """Reads everything that waits now, as a session does; closes the source."""
    index = cast(SeenIndex, _Index())
    log = _Log()
    writer = EventWriter(source.name, source.target, catalog().schema, b"a-word-of-the-tests")
    ledger = Ledger(index, None, Window({}, {}))
    intake = Intake(source, writer, cast(Publisher, log), index, ledger, folder / "engine")
    try:
        outcomes = [intake.run_portion(portion) for portion in source.portions()]
    finally:
        source.close()
    values = [(output.topic, catalog().decode(output.value or b"")[1]) for output in log.outputs]
    return Taken(
        outcomes,
        [value for topic, value in values if topic != REJECTIONS_TOPIC],
        [value for topic, value in values if topic == REJECTIONS_TOPIC],
    )
