"""The engine: batches of a source become events on the log, each once, in order.

For each batch: look up what is known of its rows, decide (new, changed, repeat), publish, and only
when the broker has acknowledged everything store versions and position in one write. A kill in
between leaves events on the log that the index does not know; the next start reads them from there
(``catch_up``), so that nothing is lost and nothing is there twice.

Some batches are under way at a time: the next is read while the broker writes the last. What they
will store is held in the ledger, where lookups see it before the index.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from hub.bus.publisher import Publisher, Ticket
from hub.errors import InputError
from hub.intake.beside.columns import PreparedElsewhere
from hub.intake.beside.readers import Beside, ReaderLostError
from hub.intake.facts.spell import Spell
from hub.intake.facts.turn import FactDesk
from hub.intake.identity.gate import IdentityGate
from hub.intake.ledger import Ledger
from hub.intake.prepared import Prepared, PreparedHere, Reached
from hub.intake.problem_log import ProblemLog
from hub.intake.rows import Counts, Place, Portion, Problem, Refusal, RowFault, Source
from hub.intake.taking import Made, Taker
from hub.intake.versions import EventWriter, utc_now
from hub.state.seen_index import SeenIndex, SeenRow

#: Batches under way. Two keep the broker busy while the next is read; each holds about 3 MB.
MAX_FLIGHTS = 3
_log = structlog.get_logger()

Progress = Callable[[Portion, Reached], None]
OnEnd = Callable[[Portion, Counts, Literal["finished", "refused"]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a portion. ``stopped`` was asked to stop between two batches and goes on later;
    ``changed`` was written to while it was read and will be read anew."""

    name: str
    status: Literal["finished", "refused", "changed", "stopped"]
    counts: Counts
    reason: str | None = None


class _Flight(NamedTuple):
    """A batch under way; ``owners`` are the facts that are its events."""

    ticket: Ticket
    rows: dict[bytes, SeenRow]
    owners: dict[bytes, SeenRow]
    identity: str
    position: bytes
    is_settled: bool


class Intake:
    """One source's intake. Used by one thread; the caller holds the source's lock, has taken over the
    index and caught it up. Errors of infrastructure are raised: the caller then drops this object,
    begins and catches up anew, and the portion goes on from its last safe batch."""

    def __init__(
        self,
        source: Source,
        writer: EventWriter,
        publisher: Publisher,
        index: SeenIndex,
        ledger: Ledger,
        folder: Path,
        *,
        gate: IdentityGate | None = None,
        on_end: OnEnd | None = None,
        facts: FactDesk | None = None,
        beside: Beside | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._writer = writer
        self._publisher = publisher
        self._index = index
        self._folder = folder
        self._should_stop = should_stop
        self._flights: deque[_Flight] = deque()
        self.ledger = ledger
        self.gate = gate
        self._on_end = on_end
        self.beside = beside
        self.spell = Spell(facts, self.land_all) if facts is not None else None

    def run_portion(self, portion: Portion, progress: Progress | None = None) -> Outcome:
        """Reads a portion to its end, from where it was left, and finishes or refuses it."""
        try:
            return _Reading(self, portion).run(progress)
        finally:
            portion.close()

    def launch(self, made: Made, identity: str, position: bytes) -> None:
        """Publishes; waits for the oldest flight when too many are under way."""
        ticket = self._publisher.publish_async(made.outputs)
        owners = made.turn.made if made.turn is not None else {}
        self._flights.append(_Flight(ticket, made.rows, owners, identity, position, self.ledger.is_settled))
        self.ledger.put_ahead(made.rows)
        if self.spell is not None:
            self.spell.launched(owners)
        if len(self._flights) > MAX_FLIGHTS:
            self._land()

    def say_end(self, portion: Portion, counts: Counts, status: Literal["finished", "refused"]) -> None:
        """Puts on record that a portion is read, before it is finished: a kill between the two repeats both."""
        if self._on_end is not None:
            self._on_end(portion, counts, status)

    def land_all(self) -> None:
        """Waits for everything under way and stores it."""
        while self._flights:
            self._land()

    def _land(self) -> None:
        flight = self._flights[0]
        flight.ticket.wait()
        offsets = flight.ticket.next_offsets
        self.ledger.store(flight.rows, offsets, (flight.identity, flight.position), is_settled=flight.is_settled)
        if self.spell is not None:
            self.spell.landed(flight.owners, offsets)
        self._flights.popleft()


class _Reading:
    """One portion while it is read."""

    def __init__(self, intake: Intake, portion: Portion) -> None:
        self._intake = intake
        self._writer = intake._writer
        self._index = intake._index
        self._portion = portion
        self._identity = portion.identity
        self._log = ProblemLog(intake._folder, portion.identity)
        self._spell = intake.spell
        self.counts = Counts()

    def run(self, progress: Progress | None) -> Outcome:
        self._intake.ledger.enter(self._identity)
        self._resume()
        self._taker = Taker(
            self._writer, self._intake.ledger, self._intake.gate, self._identity, self.counts
        )
        try:
            return self._read(progress)
        finally:
            self._log.close()
            if self._spell is not None:
                self._spell.drop()

    def _resume(self) -> None:
        stored = self._index.position(self._identity)
        position: dict[str, Any] = json.loads(stored) if stored else {"counts": Counts().as_dict(), "log": 0}
        # Without its log the list of problems would be short: then every row is read again.
        if self._log.resume(position["log"]):
            self.counts = Counts.from_dict(position["counts"])

    def _read(self, progress: Progress | None) -> Outcome:
        portion, name = self._portion, self._portion.name
        try:
            with closing(self._prepared()) as batches:
                began = time.monotonic()
                for prepared in batches:
                    read_seconds = time.monotonic() - began
                    self._take(prepared)
                    if progress:
                        progress(portion, prepared.reached)
                    if self._intake._should_stop():
                        self._settle()
                        return Outcome(name, "stopped", self.counts)
                    if self._spell is not None:
                        self._spell.rest(read_seconds)
                    began = time.monotonic()
        except Refusal as refusal:
            return self._refuse(refusal)
        except InputError as error:
            self._settle()
            self._forget()
            _log.warning("portion changed while it was read", source=self._intake._source.name, portion=name)
            return Outcome(name, "changed", self.counts, str(error))
        self._settle()
        self._intake.ledger.absorb()
        self._intake.say_end(portion, self.counts, "finished")
        portion.finish(self.counts, self._log.read())
        self._forget()
        return Outcome(name, "finished", self.counts)

    def _prepared(self) -> Generator[Prepared]:
        """The batches behind what was read, by a process beside this one where there is one."""
        maker = self._spell.maker if self._spell is not None else None
        beside = self._intake.beside
        reading = beside.begin(self._portion, self.counts.read) if beside is not None else None
        if reading is not None:
            with closing(reading):
                try:
                    for columns in reading:
                        yield PreparedElsewhere(self._writer, maker, columns)
                    return
                except ReaderLostError as error:
                    _log.warning(
                        "the process that read has ended; going on here", source=self._intake._source.name,
                        portion=self._portion.name, reason=str(error),
                    )  # fmt: skip
        for batch in self._portion.batches(self.counts.read):
            yield PreparedHere(self._writer, maker, batch)

    def _forget(self) -> None:
        self._index.forget_position(self._identity)
        self._log.remove()

    def _settle(self) -> None:
        """Waits for everything under way, and gives the turn at the facts back."""
        self._intake.land_all()
        if self._spell is not None:
            self._spell.end()

    def _take(self, prepared: Prepared) -> None:
        made = Made(self._intake.ledger.known(prepared.keys))
        if self._spell is not None and prepared.early is not None:
            made.turn = self._spell.batch(prepared.early, made.known)
        self._taker.take(prepared, made, utc_now())
        self.counts.read, self.counts.skipped = prepared.reached.rows_read, prepared.reached.skipped
        if made.turn is not None:
            made.turn.keep()
        self._launch(made)

    def _launch(self, made: Made) -> None:
        length = self._log.append(made.logged)
        position = json.dumps({"counts": self.counts.as_dict(), "log": length}).encode()
        self._intake.launch(made, self._identity, position)

    def _refuse(self, refusal: Refusal) -> Outcome:
        """The whole portion cannot be taken; what was accepted of it before stays accepted."""
        place = Place(self._portion.name, None, 0)
        problem = Problem(refusal.code, None, None, None, refusal.chinese, "请按说明改正后重新提交")
        made = Made({})
        self._taker.add_rejections([RowFault(place, (problem,), "0" * 16)], made.rows, made.outputs)
        self._launch(made)
        self._settle()
        if self.counts.read:
            refusal = Refusal(
                refusal.code,
                f"{refusal.chinese}此前的 {self.counts.read} 行已处理。",
                f"{refusal.english} The {self.counts.read} rows before were processed.",
            )
        self._intake.say_end(self._portion, self.counts, "refused")
        self._portion.refuse(refusal)
        self._forget()
        return Outcome(self._portion.name, "refused", self.counts, str(refusal))
