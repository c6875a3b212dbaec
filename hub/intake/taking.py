"""What a batch of rows becomes: events, waits, testimonies, rejections; and what the index is to hold of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hub.bus.records import Output
from hub.errors import ContractError, InputError
from hub.intake.facts.again import Again
from hub.intake.facts.testimony import WITNESS_EVENT
from hub.intake.facts.turn import Turn
from hub.intake.identity.gate import IdentityGate, Uncertain
from hub.intake.ledger import Ledger
from hub.intake.prepared import Prepared
from hub.intake.rows import Counts, LoggedProblem, Place, Problem, Row, RowFault
from hub.intake.tentative import is_tentative, published, tentative
from hub.intake.usual import Usual
from hub.intake.versions import EventWriter, Identified, Identity, unfit_row, utc_now
from hub.state.seen_index import SeenRow

#: Last word of the type of a record that a witness is.
WITNESS_WORD = WITNESS_EVENT.rpartition(".")[2]


@dataclass(slots=True)
class Made:
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


class Taker:
    """Of one portion, named ``portion`` in rejections; ``counts`` are its, and are added to. Used by one thread."""

    def __init__(
        self, writer: EventWriter, ledger: Ledger, gate: IdentityGate | None, portion: str, counts: Counts
    ) -> None:
        self._writer, self._ledger, self._gate = writer, ledger, gate
        self._portion, self.counts = portion, counts
        self._again = Again(writer, gate)

    def take(self, prepared: Prepared, made: Made, now: datetime) -> None:
        """Decides on each row of a batch, in their order. ``made`` gets what they become, ``counts`` how many."""
        usual: Mapping[int, Usual] = {}
        if self._ledger.is_settled:  # or a killed intake may have published what looks new
            usual = prepared.usual(made.known, made.turn, now)
        left = self._left(prepared, made, usual)
        for number in range(len(prepared)):
            found = usual.get(number)
            if found is not None and self._take_usual(found, made):
                continue
            entry = prepared.item(number)
            if isinstance(entry, Identified):
                fault = self._take_row(entry, made, now, prepared.body(number), left.get(number))
            else:
                fault = entry
            if fault is None:
                continue
            made.faults.append(fault)
            made.logged += [LoggedProblem(fault.place, problem, True) for problem in fault.problems]
            code = fault.problems[0].code
            self.counts.rejected[code] = self.counts.rejected.get(code, 0) + 1
        self.add_rejections(made.faults, made.rows, made.outputs)

    def _take_usual(self, found: Usual, made: Made) -> bool:
        """Whether the row is a usual one still: a row before it may have become the fact that this one would be."""
        key, output, after, claim = found
        if claim is not None and made.turn is not None:
            owners = made.turn.made
            if claim.fact in owners:
                return False
            owners[claim.fact] = claim.entry
            output.headers.append(claim.header)
        made.rows[key] = after
        made.outputs.append(output)
        word = after.state.rpartition(".")[2]
        self.counts.accepted[word] = self.counts.accepted.get(word, 0) + 1
        return True

    def _left(self, prepared: Prepared, made: Made, usual: Mapping[int, Usual]) -> Mapping[int, SeenRow]:
        """Rows that are no repeats although nothing of them is new, as they are known before the batch."""
        if made.turn is None or not made.known:
            return {}
        items = ((number, prepared.item(number)) for number in range(len(prepared)) if number not in usual)
        rows = ((number, item) for number, item in items if isinstance(item, Identified))
        return self._again.left(rows, made.known, made.turn)

    def _take_row(
        self, entry: Identified, made: Made, now: datetime, body: bytes | None, left: SeenRow | None
    ) -> RowFault | None:
        """Counts the row, and adds what it becomes to the batch; the fault if it becomes nothing. ``body`` is
        its value, encoded, where it is known by now; ``left`` the version that it is judged anew behind, with
        whatever content."""
        row, key, digest, counts = entry.row, entry.key, entry.digest, self.counts
        if row.warnings:
            self._warn(row.place, row.warnings, made.logged)
        before = made.known.get(key)
        if before is not None and before.digest == digest and before is not left:
            counts.repeated += 1
            return None
        recovered = self._ledger.recover(key, digest)
        if recovered is not None:
            before, word = recovered
            made.known[key] = made.rows[key] = before
            if before.digest == digest:
                self._count_made(before, word)
                return None
        gate = self._gate
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

    def _end_wait(self, entry: Identified, made: Made, now: datetime) -> None:
        gate = self._gate
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

    def _accept(self, row: Row, before: SeenRow | None) -> None:
        is_state = before is None or before.state != row.state_type
        word = (row.state_type if is_state else row.amended_type).rpartition(".")[2]
        self.counts.accepted[word] = self.counts.accepted.get(word, 0) + 1

    def _warn(self, place: Place, problems: Sequence[Problem], logged: list[LoggedProblem]) -> None:
        for problem in problems:
            self.counts.warnings[problem.code] = self.counts.warnings.get(problem.code, 0) + 1
            logged.append(LoggedProblem(place, problem, False))

    def add_rejections(
        self, faults: list[RowFault], rows: dict[bytes, SeenRow], outputs: list[Output]
    ) -> None:
        """Rejections are told apart from repeats by the same index as rows."""
        now = utc_now()
        made = [
            self._writer.rejection(self._portion, fault, number, now)
            for fault in faults
            for number in range(len(fault.problems))
        ]
        known = self._ledger.latest([key for key, _ in made]) if made else {}
        for key, output in made:
            met = self._ledger.met(key)
            if met is not None:
                rows[key] = met
            elif key not in known and key not in rows:
                rows[key] = SeenRow(1, key[:8], "rejected")
                outputs.append(output)
