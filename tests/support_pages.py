"""Some listings routed to two departments, delivered and answered, and the read pages over what Kafka would hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter

from hub.bus.records import Output, Record
from hub.contracts.cloudevents import from_headers, to_headers
from hub.delivery.message import read_inbox
from hub.delivery.receipts import Outcome, ReceiptWriter, Tried
from hub.domain.clocks import ClockState, Status
from hub.web.cursor import Cursors
from hub.web.log_readers import log_readers
from hub.web.pages import pages_router
from hub.web.readers import ALL, OWN_SCOPES, Caller, Callers
from tests.support_contracts import catalog
from tests.support_routing import NOW, Log, hub_map, version

PROCUREMENT, BIDDING = "government-procurement", "works-bidding"
TOKENS = {
    "hubt_procurement": Caller("subscription:procurement", "finance-code", frozenset((PROCUREMENT,)), OWN_SCOPES),
    "hubt_bidding": Caller("subscription:bidding", "reform-code", frozenset((BIDDING,)), OWN_SCOPES),
    "huba_auditor": Caller("key:auditor", "audit-code", frozenset(), OWN_SCOPES | {ALL}),
    "huba_clocks": Caller("key:clocks", "finance-code", frozenset((PROCUREMENT,)), frozenset(("clocks.read",))),
}


class Tokens:
    def find(self, token: str) -> Caller | None:
        return TOKENS.get(token)


class Season:
    """What the topics hold; ``listed`` rows go to both departments."""

    def __init__(self) -> None:
        self.log, self.records = Log(), list[Record]()
        self.clocks: list[ClockState] = []
        self.reads = 0

    def route(self, row: str, number: int = 1, word: str = "listed", **content: Any) -> None:
        record = version(number, word, row=row, list_kind="serious", **content)
        (outputs,) = self.log.stage().handle([record])
        self.log.write(outputs)
        self.records.append(record)
        self._keep(outputs)

    def notice(self, row: str, subscription: str, number: int = 1) -> dict[str, Any]:
        return self._found(row, subscription, number)[1]

    def end(self, row: str, subscription: str, outcome: Outcome = "delivered", number: int = 1) -> None:
        record, notice = self._found(row, subscription, number)
        writer, at = ReceiptWriter(catalog(), subscription, "webhook"), NOW + timedelta(minutes=number)
        self._keep([writer.write(record, notice, from_headers(record.headers), outcome, Tried(1, at, 200), at)])

    def answer(self, row: str, subscription: str, status: str = "acted") -> None:
        record, notice = self._found(row, subscription, 1)
        value = catalog().schema("hub/discipline-feedback").encode({
            **{name: notice[name] for name in ("notice_id", "event_id", "correlation_id", "subject", "subscription")},
            "feedback_id": f"f-{row}-{status}", "department_code": notice["department_code"], "status": status,
            "way": "http", "received_at": NOW, "measure": "限制参加政府采购活动",
        })
        caused = from_headers(record.headers).caused(
            id=f"f-{row}-{status}", source="/web/feedback", type=f"discipline.feedback.{status}", time=NOW
        )
        self._keep([Output("discipline.feedback.v1", record.key, value, to_headers(caused))])

    def clock(self, id: str, department: str, status: Status = Status.RUNNING, days: int = 1) -> None:
        self.clocks.append(ClockState(
            clock_id=id, rule="act-and-answer", rule_version="1", target=PROCUREMENT, subject="91623000739699913A",
            correlation_id="c", owner_department=department, status=status, calendar="gannan", calendar_version="1",
            due_at=NOW + timedelta(days=days), due_on=(NOW + timedelta(days=days)).date(),
        ))

    def read(self, topics: Sequence[str], subject: str | None = None) -> Iterable[Record]:
        self.reads += 1
        return [each for each in self.records if each.topic in topics]

    def find(self, *, department: str | None = None) -> list[ClockState]:
        return list(self.clocks)

    def router(
        self, callers: Callers | None = None, monotonic: Callable[[], float] = lambda: 0.0,
        used: Callable[[str], None] = lambda key_id: None,
    ) -> APIRouter:
        found = log_readers(
            self.read, catalog(), list(hub_map().subscriptions), hub_map().own_topics(), lambda: self, monotonic
        )
        titles = {name: rule.title for name, rule in hub_map().clocks.items()}
        return pages_router(
            found, callers or Tokens(), Cursors(b"made up"), titles, lambda: datetime(2026, 3, 3, 12, tzinfo=UTC), used
        )

    def _keep(self, outputs: Sequence[Output]) -> None:
        for each in outputs:
            at = int((NOW + timedelta(seconds=len(self.records))).timestamp() * 1000)
            self.records.append(
                Record(each.topic, 3, len(self.records), at, each.key, each.value, list(each.headers))
            )

    def _found(self, row: str, subscription: str, number: int) -> tuple[Record, dict[str, Any]]:
        wanted = version(number, "listed", row=row)
        event_id = from_headers(wanted.headers).id
        for record in self.records:
            if record.topic == f"inbox.{subscription}":
                notice = read_inbox(record, catalog())
                if notice["event_id"] == event_id:
                    return record, notice
        raise AssertionError((row, subscription, number))


def season() -> Season:
    """Five listings: delivered, answered, parked, waiting, and one that was removed after it was delivered."""
    made = Season()
    for row in ("r1", "r2", "r3", "r4", "r5"):
        made.route(row)
    for row in ("r1", "r2", "r5"):
        for subscription in (PROCUREMENT, BIDDING):
            made.end(row, subscription)
    made.answer("r1", PROCUREMENT)
    made.answer("r2", BIDDING)
    made.end("r3", PROCUREMENT, "parked")
    made.route("r5", 2, "removed")
    for number in range(4):
        made.clock(f"c{number}", "finance-code", days=number)
    made.clock("c4", "finance-code", Status.MET)
    made.clock("d1", "reform-code")
    return made
