"""Does what people decided: the event of a row that waited, or the row back to its sender.

Done by the source's own intake between two portions, because it alone numbers versions. The event is acknowledged
before the wait says that it is over: killed in between, the next intake finds the event on the log, publishes none,
and writes the wait. A row that turns out to be another source's fact bears witness to it, as it would have done with
its code; it overtakes nobody, because the number of the version that it waits with is all that is known of its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from hub.bus.publisher import Publisher
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, new_traceparent
from hub.errors import ContractError, PoisonError
from hub.intake.facts.early import EarlyFacts
from hub.intake.facts.turn import FactDesk
from hub.intake.identity.gate import IdentityGate
from hub.intake.identity.waits import Decision, Wait
from hub.intake.ledger import Ledger, Offsets
from hub.intake.rows import Place, Problem, Row, RowFault
from hub.intake.tentative import is_tentative, published
from hub.intake.versions import EventWriter, Identified, Identity, with_code
from hub.state.seen_index import SeenRow

log = structlog.get_logger()


class Settler:
    """Of one source; used by its thread, with nothing under way."""

    def __init__(
        self, gate: IdentityGate, writer: EventWriter, catalog: Catalog, ledger: Ledger, publisher: Publisher,
        facts: FactDesk | None = None,
    ) -> None:
        self._gate, self._writer, self._catalog = gate, writer, catalog
        self._ledger, self._publisher, self._facts = ledger, publisher, facts

    def tidy(self, now: datetime) -> None:
        """Ends the waits whose row was published meanwhile: a kill came between the two records."""
        for wait in [wait for wait in self._gate.waits.values() if wait.state == "waiting"]:
            row = self._latest(wait)
            if row is None or is_tentative(row) or row.version < wait.version:
                continue
            if row.version == wait.version and row.digest.hex() == wait.digest:
                continue  # a decision made it so: it is met again below
            self._write([self._gate.change(wait, now, state="superseded")])

    def settle(self, decisions: Iterable[Decision], now: datetime) -> None:
        """Applies decisions in their order; one about what does not wait so any more changes nothing."""
        for decision in decisions:
            wait = self._gate.waits.get(decision.wait_id)
            if wait is None or wait.state != "waiting" or wait.digest != decision.digest:
                continue
            if decision.verdict == "matched" and decision.uscc is not None:
                done = self._match(wait, decision.uscc, decision, now)
            else:
                done = self._reject(wait, decision, now)
            if done:
                log.info("identity decided", source=wait.source, wait=wait.wait_id, verdict=decision.verdict)

    def _match(self, wait: Wait, uscc: str, decision: Decision, now: datetime) -> bool:
        row = self._latest(wait)
        if row is None or is_tentative(row) or row.version < wait.version:
            try:
                item, output = self._event(wait, uscc, decision, now)
                self._publish(wait, item, output, published(row), now)
            except (ContractError, PoisonError) as error:
                log.error("a row that waits cannot become its event", wait=wait.wait_id, error=str(error))
                return False
        self._write([self._gate.change(
            wait, now, state="matched", uscc=uscc, decision_id=decision.decision_id, decided_by=decision.decided_by,
            decision_reason=decision.reason,
        )])
        return True

    def _publish(
        self, wait: Wait, item: Identified, output: Output, before: SeenRow | None, now: datetime
    ) -> None:
        """``output`` is what the row becomes by itself, ``before`` what was published of it."""
        after = SeenRow(wait.version, item.digest, wait.row_state)
        desk = self._facts
        if desk is None or wait.topic not in desk.rules:
            self._write([output], {item.key: after})
            return
        turn, offsets = desk.turn_of(EarlyFacts(()), {}), None
        try:
            judged = turn.judge(item, before, output, after, now, None, may_overtake=False)
            turn.keep()
            offsets = self._write(judged.outputs, {item.key: judged.after})
        finally:
            turn.close(offsets)

    def _event(self, wait: Wait, uscc: str, decision: Decision, now: datetime) -> tuple[Identified, Output]:
        """The row that waited, and its event."""
        schema, value = self._catalog.decode(wait.data)
        explained = next((each.explanation for each in wait.candidates if each.uscc == uscc), "not a candidate")
        identity = Identity(uscc, "person", f"a person decided; {explained}", decision.decision_id)
        headers = to_headers(Envelope(
            id=wait.event_id, source=self._writer.uri, type=wait.event_type, subject=uscc, time=now,
            correlation_id=wait.wait_id, causation_id=decision.decision_id,
            traceparent=new_traceparent(wait.event_id), sequence=wait.version, natural_key=wait.natural_key,
            digest=wait.digest,
        ))
        value = with_code(value, uscc)
        place = Place(wait.file, wait.sheet, wait.row)
        # What the row was called by its source is known by its digest alone.
        item = Identified(
            Row(wait.topic, wait.natural_key, wait.row_state, wait.event_type, value, place), wait.wait_id,
            bytes.fromhex(wait.natural_key), bytes.fromhex(wait.digest),
        )
        return item, Output(wait.topic, uscc.encode(), schema.encode(value), [*headers, *identity.headers()])

    def _reject(self, wait: Wait, decision: Decision, now: datetime) -> bool:
        problem = Problem(
            "identity", None, "party_uscc", wait.given_code, f"人工确认未能确定当事人：{decision.reason}"[:2000],
            "请填写营业执照上的 18 位统一社会信用代码后重新报送",
        )
        fault = RowFault(Place(wait.file, wait.sheet, wait.row), (problem,), wait.digest)
        key, output = self._writer.rejection(f"identity:{wait.wait_id}:{wait.digest}", fault, 0, now)
        if key not in self._ledger.latest([key]):
            self._write([output], {key: SeenRow(1, key[:8], "rejected")})
        self._write([self._gate.change(
            wait, now, state="rejected", decision_id=decision.decision_id, decided_by=decision.decided_by,
            decision_reason=decision.reason,
        )])
        return True

    def _latest(self, wait: Wait) -> SeenRow | None:
        key = bytes.fromhex(wait.natural_key)
        return self._ledger.latest([key]).get(key)

    def _write(self, outputs: list[Output], rows: dict[bytes, SeenRow] | None = None) -> Offsets:
        ticket = self._publisher.publish_async(outputs)
        ticket.wait()
        self._ledger.store(rows or {}, ticket.next_offsets, None, is_settled=self._ledger.is_settled)
        return ticket.next_offsets
