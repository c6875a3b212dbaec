"""Does what people decided: the event of a row that waited, or the row back to its sender.

Done by the source's own intake between two portions, because it alone numbers versions. The event is acknowledged
before the wait says that it is over: killed in between, the next intake finds the event on the log, publishes none,
and writes the wait.
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
from hub.intake.identity.gate import IdentityGate
from hub.intake.identity.waits import Decision, Wait
from hub.intake.ledger import Ledger
from hub.intake.rows import Place, Problem, RowFault
from hub.intake.tentative import is_tentative
from hub.intake.versions import EventWriter, Identity, with_code
from hub.state.seen_index import SeenRow

log = structlog.get_logger()


class Settler:
    """Of one source; used by its thread, with nothing under way."""

    def __init__(
        self, gate: IdentityGate, writer: EventWriter, catalog: Catalog, ledger: Ledger, publisher: Publisher
    ) -> None:
        self._gate, self._writer, self._catalog = gate, writer, catalog
        self._ledger, self._publisher = ledger, publisher

    def tidy(self, now: datetime) -> None:
        """Ends the waits whose row was published meanwhile: a kill came between the two records."""
        for wait in [wait for wait in self._gate.waits.values() if wait.state == "waiting"]:
            row = self._latest(wait)
            if row is None or is_tentative(row) or row.version < wait.version:
                continue
            if row.version == wait.version and row.digest.hex() == wait.digest:
                continue  # a decision made it so: it is met again below
            self._write(self._gate.change(wait, now, state="superseded"))

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
                output = self._event(wait, uscc, decision, now)
            except (ContractError, PoisonError) as error:
                log.error("a row that waits cannot become its event", wait=wait.wait_id, error=str(error))
                return False
            after = SeenRow(wait.version, bytes.fromhex(wait.digest), wait.row_state)
            self._write(output, {bytes.fromhex(wait.natural_key): after})
        self._write(self._gate.change(
            wait, now, state="matched", uscc=uscc, decision_id=decision.decision_id, decided_by=decision.decided_by,
            decision_reason=decision.reason,
        ))
        return True

    def _event(self, wait: Wait, uscc: str, decision: Decision, now: datetime) -> Output:
        schema, value = self._catalog.decode(wait.data)
        explained = next((each.explanation for each in wait.candidates if each.uscc == uscc), "not a candidate")
        identity = Identity(uscc, "person", f"a person decided; {explained}", decision.decision_id)
        headers = to_headers(Envelope(
            id=wait.event_id, source=self._writer.uri, type=wait.event_type, subject=uscc, time=now,
            correlation_id=wait.wait_id, causation_id=decision.decision_id,
            traceparent=new_traceparent(wait.event_id), sequence=wait.version, natural_key=wait.natural_key,
            digest=wait.digest,
        ))
        data = schema.encode(with_code(value, uscc))
        return Output(wait.topic, uscc.encode(), data, [*headers, *identity.headers()])

    def _reject(self, wait: Wait, decision: Decision, now: datetime) -> bool:
        problem = Problem(
            "identity", None, "party_uscc", wait.given_code, f"人工确认未能确定当事人：{decision.reason}"[:2000],
            "请填写营业执照上的 18 位统一社会信用代码后重新报送",
        )
        fault = RowFault(Place(wait.file, wait.sheet, wait.row), (problem,), wait.digest)
        key, output = self._writer.rejection(f"identity:{wait.wait_id}:{wait.digest}", fault, 0, now)
        if key not in self._ledger.latest([key]):
            self._write(output, {key: SeenRow(1, key[:8], "rejected")})
        self._write(self._gate.change(
            wait, now, state="rejected", decision_id=decision.decision_id, decided_by=decision.decided_by,
            decision_reason=decision.reason,
        ))
        return True

    def _latest(self, wait: Wait) -> SeenRow | None:
        key = bytes.fromhex(wait.natural_key)
        return self._ledger.latest([key]).get(key)

    def _write(self, output: Output, rows: dict[bytes, SeenRow] | None = None) -> None:
        ticket = self._publisher.publish_async([output])
        ticket.wait()
        self._ledger.store(rows or {}, ticket.next_offsets, None, is_settled=self._ledger.is_settled)
