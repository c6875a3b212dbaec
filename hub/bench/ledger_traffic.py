"""What the stages write for an event, made directly: traffic for the bench and the tests of the ledger.

Four kinds of events in turn: a penalty that is published on two channels under a clock, a listing that is notified,
registered and answered under a clock, a lead whose clock still runs, a permit that matches nobody. Names, codes and
numbers are made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hub.bus.records import Headers, Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, entity_id, event_id, new_traceparent, output_id
from hub.domain.murmur2 import partition_of

FROM = datetime(2026, 7, 1, 1, tzinfo=UTC)
#: Of reference/departments.yaml: market supervision, that of Hezuo, finance.
MARKET, HEZUO, FINANCE = "116230009900000171", "116230019901000185", "11623000990000033N"
SUBSCRIPTION = "government-procurement"
_PARTY = {
    "record_unique_identity": "", "region_code": "623001", "department_code": HEZUO,
    "department_name": "合作市市场监督管理局", "party_kind": "02", "party_name": "合作市雪域牦牛乳业有限责任公司",
    "party_uscc": "91623000739699913A", "is_public": True,
}


_SCHEMAS = {
    "routing.decisions.v1": "routing-decision", "disclosure.orders.v1": "disclosure-order",
    "disclosure.receipts.v1": "disclosure-receipt", f"inbox.{SUBSCRIPTION}": "inbox-record",
    "delivery.receipts.v1": "delivery-receipt", "discipline.feedback.v1": "discipline-feedback",
    "clock.signals.v1": "clock-signal", "clock.states.v1": "clock-state",
}
#: All topics that it writes to.
TOPICS = (
    *_SCHEMAS, "enforcement.penalties.v1", "blacklist.notices.v1", "complaint.leads.v1", "licensing.permits.v1",
)
#: Of each of them, as the map has it.
PARTITIONS = 12


class Traffic:
    """``of_event`` gives everything that was written for one event, in the order of its way."""

    def __init__(self, catalog: Catalog, *, subjects: int = 0, salt: str = "bench") -> None:
        """Of ``subjects`` enterprises in turn; 0 is five events each."""
        self._catalog, self._subjects, self._source = catalog, subjects, f"/sources/{salt}"
        self._schemas = {
            topic: catalog.schema(f"hub/{name}")
            for topic, name in _SCHEMAS.items()
        }

    def event_id(self, number: int) -> str:
        return event_id(self._source, str(number), 1)

    def subject(self, number: int) -> str:
        return f"9162300099{number % self._subjects if self._subjects else number // 5:08d}"

    def of_event(self, number: int) -> Iterator[Output]:
        """Between four and thirteen records."""
        at = FROM + timedelta(milliseconds=number)
        event = Envelope(
            id=self.event_id(number), source=self._source, type="", subject=self.subject(number), time=at,
            correlation_id=entity_id(self._source, str(number)), traceparent=new_traceparent(str(number)), sequence=1,
            natural_key=str(number),
        )
        kinds = (self._penalty, self._listing, self._lead, self._permit)
        return kinds[number % 4](event)

    # -- kinds --------------------------------------------------------------------------------

    def _penalty(self, event: Envelope) -> Iterator[Output]:
        event = event._replace(type="enforcement.penalty.recorded")
        yield self._event("enforcement.penalties.v1", "enforcement/penalty", event)
        outputs = [("publish-penalties", "channel", name, "publish") for name in ("gsxt", "creditchina")]
        yield self._decision(event, [*outputs, ("disclose-penalty", "clock", "disclose-penalty", "start")])
        yield self._signal(event, "disclose-penalty")
        for channel in ("gsxt", "creditchina"):
            order = output_id(event.id, f"publish-penalties:{channel}")
            common = self._common(event) | {
                "order_id": order, "source": event.source, "channel": channel, "action": "publish",
            }
            yield self._own("disclosure.orders.v1", event, "disclosure.order.issued", order, common | {
                "view": "public", "rule": "publish-penalties", "map_version": "bench", "sequence": 1,
                "ordered_at": event.time, "reason": None, "data": bytes(300), "reissue_of": None, "asked_by": None,
                "asked_why": None,
            })
            receipt = output_id(order, "receipt")
            yield self._own(
                "disclosure.receipts.v1", event, "disclosure.receipt.published", receipt,
                common | {
                    "receipt_id": receipt, "status": "published", "public_reference": f"GS{event.natural_key}",
                    "reason": None, "received_at": event.time,
                },
            )
        yield self._state(event, "disclose-penalty", HEZUO, None, is_met=False)
        yield self._state(event, "disclose-penalty", HEZUO, None, is_met=True)

    def _listing(self, event: Envelope) -> Iterator[Output]:
        event = event._replace(type="blacklist.notice.listed")
        yield self._event("blacklist.notices.v1", "blacklist/notice", event)
        yield self._decision(event, [(f"subscription:{SUBSCRIPTION}", "subscription", SUBSCRIPTION, "notify")])
        notice = output_id(event.id, f"subscription:{SUBSCRIPTION}")
        told = self._common(event) | {
            "notice_id": notice, "subscription": SUBSCRIPTION, "department_code": FINANCE, "action": "apply",
            "sequence": 1,
        }
        yield self._own(f"inbox.{SUBSCRIPTION}", event, event.type, notice, told | {
            "source": event.source, "view": "partner", "rule": f"subscription:{SUBSCRIPTION}", "map_version": "bench",
            "expected_measures": ["restrict-government-procurement"], "legal_basis": "bench", "deliver_by": None,
            "issued_at": event.time, "data": bytes(400),
        })
        receipt = output_id(notice, "receipt")
        yield self._own("delivery.receipts.v1", event, "delivery.receipt.delivered", receipt, told | {
            "receipt_id": receipt, "status": "delivered", "attempts": 1, "http_status": 200, "endpoint": None,
            "method": "webhook", "place": None, "content_digest": None, "signed_at": None, "signature": None,
            "file": None, "reason": None, "first_attempt_at": event.time, "finished_at": event.time,
        })
        yield self._state(event, "act-and-answer", FINANCE, SUBSCRIPTION, is_met=False)
        for status in ("registered", "acted"):
            answer = output_id(notice, status)
            rest = {name: told[name] for name in told if name not in ("event_type", "sequence")}
            yield self._own("discipline.feedback.v1", event, f"discipline.feedback.{status}", answer, rest | {
                "feedback_id": answer, "status": status, "case_number": "1", "reason": None, "acted_on": None,
                "measure": "restrict-government-procurement" if status == "acted" else None, "way": "http",
                "content": None, "signed_as": None, "signed_at": None, "signature": None, "received_at": event.time,
            })
        yield self._state(event, "act-and-answer", FINANCE, SUBSCRIPTION, is_met=True)

    def _lead(self, event: Envelope) -> Iterator[Output]:
        event = event._replace(type="complaint.lead.received")
        yield self._event("complaint.leads.v1", "complaint/lead", event)
        yield self._decision(event, [("accept-lead", "clock", "accept-lead", "start")])
        yield self._signal(event, "accept-lead")
        yield self._state(event, "accept-lead", HEZUO, None, is_met=False)

    def _permit(self, event: Envelope) -> Iterator[Output]:
        event = event._replace(type="licensing.permit.recorded")
        yield self._event("licensing.permits.v1", "licensing/permit", event)
        yield self._decision(event, [])

    # -- records ------------------------------------------------------------------------------

    def _event(self, topic: str, schema: str, event: Envelope) -> Output:
        value = _fill(self._catalog, schema) | {"record_unique_identity": event.natural_key or ""}
        data = self._catalog.schema(schema).encode(value)
        return Output(topic, event.subject.encode(), data, to_headers(event))

    def _common(self, event: Envelope) -> dict[str, Any]:
        return {
            "event_id": event.id, "event_type": event.type, "correlation_id": event.correlation_id,
            "subject": event.subject,
        }

    def _decision(self, event: Envelope, outputs: list[tuple[str, str, str, str]]) -> Output:
        id = output_id(event.id, "decision")
        return self._own("routing.decisions.v1", event, "routing.event.decided", id, {
            **self._common(event), "decision_id": id, "source": event.source, "input_topic": "bench",
            "input_partition": 0, "input_offset": 0, "map_version": "bench", "decided_at": event.time,
            "is_matched": bool(outputs), "withheld": [], "reason": None if outputs else "no rule concerns it",
            "outputs": [
                {
                    "rule": rule, "kind": kind, "target": target, "action": action, "reason": None,
                    "output_id": output_id(event.id, f"{rule}:{target}" if kind == "channel" else rule),
                }
                for rule, kind, target, action in outputs
            ],
        })

    def _signal(self, event: Envelope, rule: str) -> Output:
        id = output_id(event.id, rule)
        return self._own("clock.signals.v1", event, "clock.signal.started", id, {
            **self._common(event), "signal_id": id, "kind": "start", "rule": rule, "target": None,
            "counts_from": event.time.date(), "until": None, "owner_department": HEZUO, "occurred_at": event.time,
            "map_version": "bench",
        })

    def _state(self, event: Envelope, rule: str, owner: str, target: str | None, *, is_met: bool) -> Output:
        clock = derive_id("clock", event.correlation_id, rule, target or "")
        due = datetime(2026, 8, 3, 16, tzinfo=UTC) + timedelta(days=int(event.natural_key or 0) % 60)
        line = {
            "at": event.time, "event_id": event.id, "change": "started", "note": None, "kind": "start",
            "counts_from": event.time.date(), "until": None, "owner_department": owner, "due_on": due.date(),
            "due_at": None, "sequence": 1,
        }
        met = {**line, "change": "met", "kind": "meet", "owner_department": None}
        value = {
            "clock_id": clock, "rule": rule, "rule_version": "bench", "target": target, "subject": event.subject,
            "correlation_id": event.correlation_id, "owner_department": owner, "status": "met" if is_met else "running",
            "trigger_event_id": event.id, "counts_from": event.time.date(), "due_on": due.date(), "due_at": due,
            "is_provisional": False, "calendar": "gannan", "calendar_version": "bench",
            "met_at": event.time if is_met else None, "met_event_id": event.id if is_met else None, "warned": [],
            "breached_at": None, "history": [line, met] if is_met else [line], "period": "20 working-days",
        }
        id = derive_id("state", clock, str(value["status"]))
        output = self._own("clock.states.v1", event, "clock.state.changed", id, value)
        return output._replace(key=clock.encode(), partition=partition_of(event.subject.encode(), PARTITIONS))

    def _own(self, topic: str, event: Envelope, type: str, id: str, value: dict[str, Any]) -> Output:
        caused = event.caused(id=id, source="/stages/bench", type=type, time=event.time)
        headers: Headers = to_headers(caused)
        return Output(topic, event.subject.encode(), self._schemas[topic].encode(value), headers)


def _fill(catalog: Catalog, name: str) -> dict[str, Any]:
    """A record of the schema with a made-up value in every field that must have one; made once."""
    found = _FILLED.get((id(catalog), name))
    if found is None:
        found = {field.name: _PARTY.get(field.name, _plain(field)) for field in catalog.schema(name).fields}
        _FILLED[id(catalog), name] = found
    return found


_FILLED: dict[tuple[int, str], dict[str, Any]] = {}


def _plain(field: Any) -> Any:
    if field.is_nullable:
        return None
    if field.is_array:
        return []
    return {
        "boolean": False, "date": date(2026, 7, 1), "timestamp": FROM, "int": 1, "long": 1, "bytes": b"",
    }.get(field.type, field.name[:8])
