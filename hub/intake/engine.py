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
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from hub.bus.publisher import Publisher, Ticket
from hub.bus.records import Output
from hub.errors import ContractError, InputError
from hub.intake.facts.turn import WITNESS_EVENT, FactDesk, Turn
from hub.intake.identity.gate import IdentityGate, Uncertain
from hub.intake.ledger import Ledger
from hub.intake.problem_log import ProblemLog
from hub.intake.rows import (
    Batch,
    Counts,
    LoggedProblem,
    Place,
    Portion,
    Problem,
    Refusal,
    Row,
    RowFault,
    Source,
)
from hub.intake.tentative import is_tentative, published, tentative
from hub.intake.versions import EventWriter, Identified, Identity, unfit_row, utc_now
from hub.state.seen_index import SeenIndex, SeenRow

#: Batches under way. Two keep the broker busy while the next is read; each holds about 3 MB.
MAX_FLIGHTS = 3
#: Last word of the type of a record that a witness is.
WITNESS_WORD = WITNESS_EVENT.rpartition(".")[2]
_log = structlog.get_logger()

Progress = Callable[[Portion, Batch], None]
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
    ticket: Ticket
    rows: dict[bytes, SeenRow]
    position: bytes
    is_settled: bool


@dataclass(slots=True)
class _Made:
    """What a batch becomes: ``known`` is the last version of each row, seen from the row that is read."""

    known: dict[bytes, SeenRow]
    rows: dict[bytes, SeenRow] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    logged: list[LoggedProblem] = field(default_factory=list)
    turn: Turn | None = None

    def add(self, key: bytes, after: SeenRow, *outputs: Output) -> None:
        self.known[key] = self.rows[key] = after
        self.outputs += outputs


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
        self.facts = facts

    def run_portion(self, portion: Portion, progress: Progress | None = None) -> Outcome:
        """Reads a portion to its end, from where it was left, and finishes or refuses it."""
        try:
            return _Reading(self, portion).run(progress)
        finally:
            portion.close()

    def launch(
        self, rows: dict[bytes, SeenRow], outputs: Sequence[Output], identity: str, position: bytes
    ) -> Ticket:
        """Publishes; waits for the oldest flight when too many are under way."""
        ticket = self._publisher.publish_async(outputs)
        self._flights.append(_Flight(ticket, rows, position, self.ledger.is_settled))
        self.ledger.put_ahead(rows)
        if len(self._flights) > MAX_FLIGHTS:
            self._land(identity)
        return ticket

    def say_end(self, portion: Portion, counts: Counts, status: Literal["finished", "refused"]) -> None:
        """Puts on record that a portion is read, before it is finished: a kill between the two repeats both."""
        if self._on_end is not None:
            self._on_end(portion, counts, status)

    def land_all(self, identity: str) -> None:
        """Waits for everything under way and stores it."""
        while self._flights:
            self._land(identity)

    def _land(self, identity: str) -> None:
        flight = self._flights[0]
        flight.ticket.wait()
        self.ledger.store(
            flight.rows, flight.ticket.next_offsets, (identity, flight.position), is_settled=flight.is_settled
        )
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
        self.counts = Counts()

    def run(self, progress: Progress | None) -> Outcome:
        self._intake.ledger.enter(self._identity)
        self._resume()
        try:
            return self._read(progress)
        finally:
            self._log.close()

    def _resume(self) -> None:
        stored = self._index.position(self._identity)
        position: dict[str, Any] = json.loads(stored) if stored else {"counts": Counts().as_dict(), "log": 0}
        # Without its log the list of problems would be short: then every row is read again.
        if self._log.resume(position["log"]):
            self.counts = Counts.from_dict(position["counts"])

    def _read(self, progress: Progress | None) -> Outcome:
        portion, name = self._portion, self._portion.name
        try:
            for batch in portion.batches(self.counts.read):
                self._take(batch)
                if progress:
                    progress(portion, batch)
                if self._intake._should_stop():
                    self._intake.land_all(self._identity)
                    return Outcome(name, "stopped", self.counts)
        except Refusal as refusal:
            return self._refuse(refusal)
        except InputError as error:
            self._intake.land_all(self._identity)
            self._forget()
            _log.warning("portion changed while it was read", source=self._intake._source.name, portion=name)
            return Outcome(name, "changed", self.counts, str(error))
        self._intake.land_all(self._identity)
        self._intake.ledger.absorb()
        self._intake.say_end(portion, self.counts, "finished")
        portion.finish(self.counts, self._log.read())
        self._forget()
        return Outcome(name, "finished", self.counts)

    def _forget(self) -> None:
        self._index.forget_position(self._identity)
        self._log.remove()

    def _take(self, batch: Batch) -> None:
        now = utc_now()
        items = self._writer.identify_all(batch.items)
        keys = [item.key for item in items if isinstance(item, Identified)]
        ledger = self._intake.ledger
        made = _Made(ledger.known(keys))
        facts = self._intake.facts
        turn = made.turn = facts.turn(items) if facts is not None else None
        ticket: Ticket | None = None
        try:
            self._take_items(items, made, now)
            self.counts.read, self.counts.skipped = batch.rows_read, batch.skipped
            if turn is not None:
                turn.keep()
            started = self._launch(made.rows, made.outputs, made.logged)
            if turn is not None:
                # Whoever has the next turn has to find all of it.
                self._intake.land_all(self._identity)
                ticket = started
        finally:
            if turn is not None:
                turn.close(ticket.next_offsets if ticket is not None else None)

    def _take_items(self, items: Sequence[Identified | RowFault], made: _Made, now: datetime) -> None:
        for entry, body in zip(items, self._bodies(items, made.known), strict=True):
            fault = self._take_row(entry, made, now, body) if isinstance(entry, Identified) else entry
            if fault is None:
                continue
            made.faults.append(fault)
            made.logged += [LoggedProblem(fault.place, problem, True) for problem in fault.problems]
            code = fault.problems[0].code
            self.counts.rejected[code] = self.counts.rejected.get(code, 0) + 1
        self._add_rejections(made.faults, made.rows, made.outputs)

    def _bodies(self, items: Sequence[Identified | RowFault], known: Mapping[bytes, SeenRow]) -> list[bytes | None]:
        """The encoded values of those that are no repeats, as far as they can be made together."""
        bodies: list[bytes | None] = [None] * len(items)
        news: dict[int, Identified] = {}
        for number, item in enumerate(items):
            if type(item) is Identified:
                before = known.get(item.key)
                if before is None or before.digest != item.digest:
                    news[number] = item
        for number, body in zip(news, self._writer.bodies(list(news.values())), strict=True):
            bodies[number] = body
        return bodies

    def _take_row(self, entry: Identified, made: _Made, now: datetime, body: bytes | None) -> RowFault | None:
        """Counts the row, and adds what it becomes to the batch; the fault if it becomes nothing. ``body`` is
        its value, encoded, where it is known by now."""
        row, key, digest, counts = entry.row, entry.key, entry.digest, self.counts
        if row.warnings:
            self._warn(row.place, row.warnings, made.logged)
        before = made.known.get(key)
        if before is not None and before.digest == digest:
            counts.repeated += 1
            return None
        recovered = self._intake.ledger.recover(key, digest)
        if recovered is not None:
            before, word = recovered
            made.known[key] = made.rows[key] = before
            if before.digest == digest:
                self._count_made(before, word)
                return None
        gate = self._intake.gate
        unpublished = before if before is not None and is_tentative(before) else None
        before = published(before)
        if before is None and row.is_removed:
            counts.repeated += 1  # never told: there is nothing to take back
            if unpublished is not None:
                self._end_wait(entry, made, now)
                made.known[key] = made.rows[key] = tentative(None, digest)
            return None
        identity: Identity | None = None
        try:
            if gate is not None and gate.doubts(row):
                found = gate.judge(entry)
                if isinstance(found, RowFault):
                    return found
                if isinstance(found, Uncertain):
                    output, after = gate.wait(entry, before, found.match, now)
                    made.add(key, after, output)
                    counts.waiting += 1
                    self._warn(row.place, (found.warning,), made.logged)
                    return None
                identity = found
            output, after = self._writer.event(entry, before, now, identity, body=body)
            if made.turn is not None:
                judged = made.turn.judge(entry, before, output, after, now, identity)
                made.add(key, judged.after, *judged.outputs)
                self._count_made(judged.after, judged.word)
            else:
                made.add(key, after, output)
                self._accept(row, before)
        except (ContractError, InputError) as error:
            return unfit_row(row, error)
        if unpublished is not None:
            self._end_wait(entry, made, now)
        return None

    def _end_wait(self, entry: Identified, made: _Made, now: datetime) -> None:
        gate = self._intake.gate
        ended = gate.end(entry, now) if gate is not None else None
        if ended is not None:
            made.outputs.append(ended)

    def _count_made(self, after: SeenRow, word: str | None) -> None:
        """What was made of a row, by the last word of its type; ``None`` where a killed intake's was met before."""
        if word is None:
            self.counts.repeated += 1
        elif is_tentative(after):
            if word == WITNESS_WORD:
                self.counts.witnessed += 1
            else:
                self.counts.waiting += 1
        else:
            self.counts.accepted[word] = self.counts.accepted.get(word, 0) + 1

    def _launch(self, rows: dict[bytes, SeenRow], outputs: list[Output], logged: list[LoggedProblem]) -> Ticket:
        length = self._log.append(logged)
        position = json.dumps({"counts": self.counts.as_dict(), "log": length}).encode()
        return self._intake.launch(rows, outputs, self._identity, position)

    def _accept(self, row: Row, before: SeenRow | None) -> None:
        is_state = before is None or before.state != row.state_type
        word = (row.state_type if is_state else row.amended_type).rpartition(".")[2]
        self.counts.accepted[word] = self.counts.accepted.get(word, 0) + 1

    def _warn(self, place: Place, problems: Sequence[Problem], logged: list[LoggedProblem]) -> None:
        for problem in problems:
            self.counts.warnings[problem.code] = self.counts.warnings.get(problem.code, 0) + 1
            logged.append(LoggedProblem(place, problem, False))

    def _add_rejections(
        self, faults: list[RowFault], rows: dict[bytes, SeenRow], outputs: list[Output]
    ) -> None:
        """Rejections are told apart from repeats by the same index as rows."""
        now = utc_now()
        made = [
            self._writer.rejection(self._identity, fault, number, now)
            for fault in faults
            for number in range(len(fault.problems))
        ]
        known = self._intake.ledger.latest([key for key, _ in made]) if made else {}
        for key, output in made:
            met = self._intake.ledger.met(key)
            if met is not None:
                rows[key] = met
            elif key not in known and key not in rows:
                rows[key] = SeenRow(1, key[:8], "rejected")
                outputs.append(output)

    def _refuse(self, refusal: Refusal) -> Outcome:
        """The whole portion cannot be taken; what was accepted of it before stays accepted."""
        place = Place(self._portion.name, None, 0)
        problem = Problem(refusal.code, None, None, None, refusal.chinese, "请按说明改正后重新提交")
        rows: dict[bytes, SeenRow] = {}
        outputs: list[Output] = []
        self._add_rejections([RowFault(place, (problem,), "0" * 16)], rows, outputs)
        self._launch(rows, outputs, [])
        self._intake.land_all(self._identity)
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
