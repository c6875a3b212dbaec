"""A batch with all that can be told of its rows before anybody is asked: identities, facts, and what each becomes if
nobody has heard of it. That is two thirds of the work on a row, and can be done anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from hub.intake.facts.early import EarlyFacts, FactMaker
from hub.intake.facts.turn import Turn
from hub.intake.rows import Batch, RowFault
from hub.intake.usual import Usual, made_of, usual_rows
from hub.intake.versions import EventWriter, Identified
from hub.state.seen_index import SeenRow

Known = Mapping[bytes, SeenRow]


class Reached(NamedTuple):
    """How far a portion is read with a batch: ``Batch`` without its rows."""

    rows_read: int
    done: int
    skipped: int


class Prepared(Protocol):
    """``keys`` are those of its rows, in their order; ``early`` its facts, ``None`` where its topics declare none.
    Used by one thread."""

    @property
    def reached(self) -> Reached: ...

    @property
    def keys(self) -> list[bytes]: ...

    @property
    def early(self) -> EarlyFacts | None: ...

    def __len__(self) -> int:
        """How many rows and faults."""
        ...

    def item(self, number: int) -> Identified | RowFault:
        """One of them, from 0."""
        ...

    def usual(self, known: Known, turn: Turn | None, now: datetime) -> Mapping[int, Usual]:
        """The usual rows by their number; ``known`` is the last version of each row that has one."""
        ...

    def body(self, number: int) -> bytes | None:
        """The encoded value of a row, where it is worked out by now."""
        ...


class PreparedHere:
    """A batch that is prepared by whoever asks for it."""

    def __init__(self, writer: EventWriter, maker: FactMaker | None, batch: Batch) -> None:
        self._writer, self._maker = writer, maker
        self.reached = Reached(batch.rows_read, batch.done, batch.skipped)
        self._items = writer.identify_all(batch.items)
        self.keys = [item.key for item in self._items if type(item) is Identified]
        self.early = maker.early(self._items) if maker is not None else None
        self._bodies: Mapping[int, bytes | None] = {}

    def __len__(self) -> int:
        return len(self._items)

    def item(self, number: int) -> Identified | RowFault:
        return self._items[number]

    def usual(self, known: Known, turn: Turn | None, now: datetime) -> Mapping[int, Usual]:
        news = {
            number: item for number, item in enumerate(self._items)
            if type(item) is Identified and ((before := known.get(item.key)) is None or before.digest != item.digest)
        }  # fmt: skip
        # Those of changed rows too: all of a batch cost little more than some.
        self._bodies = dict(zip(news, self._writer.bodies(list(news.values())), strict=True))
        firsts = {number: item for number, item in news.items() if item.key not in known} if known else news
        is_free = turn.is_free if turn is not None else None
        found = usual_rows(self._writer, firsts, self._bodies, self._maker, self.early, is_free=is_free)
        return made_of(found, self._writer, self._maker, now)

    def body(self, number: int) -> bytes | None:
        return self._bodies.get(number)
