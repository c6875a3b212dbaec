"""What the requests of one round become: numbered one after the other, by the ways that rows of files go too."""

from __future__ import annotations

from typing import Literal, NamedTuple

from hub.bus.clients import MAX_VALUE_BYTES
from hub.bus.records import Output, header
from hub.domain.events import event_id
from hub.domain.problem import Fault, ProblemError, fault
from hub.errors import ContractError, InputError
from hub.intake.facts.again import Again
from hub.intake.facts.turn import Judged, Turn
from hub.intake.identity.gate import IdentityGate, Uncertain
from hub.intake.rows import RowFault
from hub.intake.submissions import Submission
from hub.intake.tentative import is_tentative, own_state, published
from hub.intake.versions import EventWriter, Identified, Identity, utc_now
from hub.state.seen_index import SeenRow

#: What a wait or a testimony holds beside the record: candidates with their evidence.
_ROOM = 100_000
State = Literal["accepted", "waiting", "witness", "rejected"]


class Taken(NamedTuple):
    """What became of an event. ``status`` is what this request did, ``state`` where its content stands: its own event
    (``accepted``), waiting for a person, witness of another source's fact, or rejected by a person since.

    ``event_id`` is the id on the log, of what waits the one that it will have, of a witness none. ``version`` is that
    of the event or, where there is none, the one that the next event will have. ``type`` is that of the event that
    was published, ``None`` of all else. ``wait_id`` names what waits or was rejected; ``witness_of`` is the event that
    counts, and ``differs`` the fields that the witness says otherwise. ``note`` is a word to the sender.
    """

    status: Literal["accepted", "waiting", "witness", "repeated"]
    event_id: str | None
    version: int
    type: str | None = None
    state: State = "accepted"
    wait_id: str | None = None
    witness_of: str | None = None
    differs: tuple[str, ...] = ()
    note: Fault | None = None


Result = Taken | ProblemError


class Round:
    """``known`` is the last version of each row; ``turn`` is there where a row is of a topic that declares facts,
    ``gate`` where the source asks the register. ``rows`` and ``outputs`` are what has to be published and stored."""

    def __init__(
        self, writer: EventWriter, known: dict[bytes, SeenRow], turn: Turn | None, gate: IdentityGate | None
    ) -> None:
        self._writer, self._known, self._turn, self._gate = writer, known, turn, gate
        self._again = Again(writer, gate)
        self.rows: dict[bytes, SeenRow] = {}
        self.outputs: list[Output] = []

    def decide(self, submission: Submission, item: Identified) -> Result:
        """Numbers one event; what it becomes joins the round."""
        last = self._known.get(item.key)
        row = item.row
        if not row.state_type:
            state = own_state(last) if last is not None else ""
            if not state:
                return ProblemError(409, "nothing-to-amend", "没有可更正的记录", "no version of this record is known")
            row = row._replace(state_type=state)
        # The state counts as content: a withdrawal says the same of the fact, and yet something else.
        digest = self._writer.identify(row._replace(value={**row.value, "\x00state": row.state_type})).digest
        item = Identified(row, item.natural, item.key, digest)
        is_repeat = last is not None and last.digest == digest
        if is_repeat and last is not None and self._turn is not None:
            is_repeat = not self._again.is_left(item, last, self._turn)
        before = published(last)
        version = last.version if last is not None and is_repeat else (before.version if before else 0) + 1
        if submission.sequence not in (None, version):
            said = f"this would be version {version}, not {submission.sequence}"
            return ProblemError(409, "version-conflict", "版本冲突", said)
        try:
            return self._repeat(item, last) if last is not None and is_repeat else self._take(item, last)
        except (ContractError, InputError) as error:
            return ProblemError(422, "invalid", "内容未通过校验", str(error))

    def _take(self, item: Identified, last: SeenRow | None) -> Result:
        before, now = published(last), utc_now()
        identity = self._identity(item)
        if isinstance(identity, RowFault):
            (problem,) = identity.problems
            said = f"{problem.problem}；{problem.remedy}"
            return ProblemError(
                422, "unidentified", "无法确定当事人", "nobody can tell whose record this is",
                [fault(("data", "party_uscc"), said)],
            )
        if isinstance(identity, Uncertain):
            if self._size(item) > MAX_VALUE_BYTES - _ROOM:
                return _too_large()
            assert self._gate is not None, "a gate is in doubt"
            wait, after = self._gate.wait(item, before, identity.match, now)
            self._add(item.key, after, wait)
            return self._waits("waiting", item, after.version)
        output, after = self._writer.event(item, before, now, identity)
        room = _ROOM if self._turn is not None else 0
        if len(output.value or b"") > MAX_VALUE_BYTES - room:
            return _too_large()
        judged = Judged([output], after, True)
        if self._turn is not None:
            judged = self._turn.judge(item, before, output, after, now, identity)
        self._add(item.key, judged.after, *judged.outputs)
        if last is not None and is_tentative(last) and self._gate is not None:
            ended = self._gate.end(item, now)
            self.outputs += [ended] if ended is not None else []
        first = judged.outputs[0]
        if not judged.is_event:
            return Taken(
                "witness", None, judged.after.version, state="witness", witness_of=_said(first, "ce_causationid"),
                differs=judged.differs,
            )
        return Taken("accepted", _said(first, "ce_id"), judged.after.version, _said(first, "ce_type"))

    def _repeat(self, item: Identified, last: SeenRow) -> Result:
        """Where the content stands that was handed in before."""
        if not is_tentative(last):
            return Taken("repeated", event_id(self._writer.uri, item.natural, last.version), last.version)
        if self._gate is not None and self._gate.waiting(item) is not None:
            return self._waits("repeated", item, last.version)
        identity = self._identity(item)
        owner = None
        if self._turn is not None and not isinstance(identity, RowFault | Uncertain):
            fact = self._turn.fact(item, *self._writer.address(item.row, identity))
            owner = self._turn.witnessed(fact) if fact is not None else None
        return Taken(
            "repeated", None, last.version, state="witness", witness_of=owner.event_id if owner is not None else None
        )

    def _waits(self, status: Literal["waiting", "repeated"], item: Identified, version: int) -> Taken:
        wait = self._gate.waiting(item) if self._gate is not None else None
        assert wait is not None, "what waits is known to its gate"
        is_rejected = wait.state == "rejected"
        note = fault(("data", "party_uscc"), (
            f"人工确认未能确定当事人：{wait.decision_reason}；请填写营业执照上的 18 位统一社会信用代码后重新提交"
            if is_rejected else
            "当事人尚不能确定，已转人工确认；填写营业执照上的 18 位统一社会信用代码后重新提交，即无须等待"
        ))
        return Taken(
            status, None if is_rejected else wait.event_id, version, state="rejected" if is_rejected else "waiting",
            wait_id=wait.wait_id, note=note,
        )

    def _identity(self, item: Identified) -> Identity | Uncertain | RowFault | None:
        gate = self._gate
        return gate.judge(item) if gate is not None and gate.doubts(item.row) else None

    def _size(self, item: Identified) -> int:
        return len(self._writer.target(item.row.kind)[1](item.row.value))

    def _add(self, key: bytes, after: SeenRow, *outputs: Output) -> None:
        self._known[key] = self.rows[key] = after
        self.outputs += outputs


def _said(output: Output, name: str) -> str:
    return (header(output.headers, name) or b"").decode()


def _too_large() -> ProblemError:
    return ProblemError(413, "too-large", "内容过大", "the record is larger than the log takes")
