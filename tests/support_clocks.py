"""Rules, signals and records for tests of the clocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

from hub.bus.records import Output, Record
from hub.clocks.wire import SIGNALS
from hub.contracts.calendars import load_calendars
from hub.contracts.cloudevents import to_headers
from hub.domain.clocks import ClockRule, Due, Signal, SignalKind
from hub.domain.events import Envelope, derive_id
from tests.support_contracts import catalog

CALENDARS = load_calendars(Path(__file__).parents[1])
SUBJECT = "91623000739699913A"
DEPARTMENT = "11623000013999917X"

DISCLOSE = ClockRule(
    id="disclose", title="检查结果公示时限",
    starts_on=("inspection.result.recorded", "inspection.result.amended"),
    counts_from="result_date", due=Due(20, "working-days"),
    met_by=("disclosure.receipt.published", "disclosure.receipt.replaced"),
    cancelled_by=("inspection.result.withdrawn",), warn=(5, 1), escalates_to="market-supervision",
)
PENALTY = ClockRule(
    id="penalty", title="行政处罚公示时限", starts_on=("enforcement.penalty.recorded",),
    counts_from="decided_date", due=Due(20, "working-days"), met_by=("disclosure.receipt.published",),
)
PUSH = ClockRule(
    id="push", title="失信名单推送时限", starts_on=("blacklist.notice.listed",), counts_from="listed_date",
    due=Due(10, "working-days"), met_by=("delivery.receipt.delivered",), per="subscription",
)
ANSWER = ClockRule(
    id="answer", title="采取措施并反馈时限",
    starts_on=("delivery.receipt.delivered",), counts_from="finished_at",
    due=Due(5, "working-days"), met_by=("discipline.feedback.acted", "discipline.feedback.inapplicable"),
    per="subscription", warn=(2,), owner="subscriber",
)
RULES = {rule.id: rule for rule in (DISCLOSE, PENALTY, PUSH, ANSWER)}


def at(text: str) -> datetime:
    """A moment in UTC from ``YYYY-MM-DD[THH:MM]``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def milliseconds(text: str) -> int:
    """The moment of a text as ``at`` reads it, as the index keeps it."""
    return int(at(text).timestamp() * 1000)


def signal(
    kind: str, event: str, when: str, *, rule: ClockRule = DISCLOSE, counts_from: str | None = None,
    target: str | None = None, entity: str = "e1",
) -> Signal:
    return Signal(
        kind=cast(SignalKind, kind), rule=rule.id, correlation_id=derive_id(entity), subject=SUBJECT,
        event_id=derive_id(event), occurred_at=at(when), target=target,
        counts_from=date.fromisoformat(counts_from) if counts_from else None, owner_department=DEPARTMENT,
    )


class Feed:
    """Makes records as routing, disclosure and delivery write them, with rising offsets."""

    def __init__(self, partition: int = 3) -> None:
        self.partition = partition
        self._offset = 0

    def signal(self, made: Signal) -> Record:
        value = {
            "signal_id": derive_id("signal", made.event_id, made.rule, made.target or ""), "kind": made.kind,
            "rule": made.rule, "target": made.target, "correlation_id": made.correlation_id,
            "event_id": made.event_id, "event_type": "inspection.result.recorded", "subject": made.subject,
            "counts_from": made.counts_from, "owner_department": made.owner_department,
            "occurred_at": made.occurred_at, "until": made.until, "map_version": "m1",
        }
        return self._record(
            SIGNALS, "hub/clock-signal", f"clock.signal.{made.kind}", value, made.occurred_at, made.sequence or None
        )

    def published(self, receipt: str, when: str, entity: str = "e1") -> Record:
        value = {
            "receipt_id": derive_id(receipt), "order_id": derive_id("order"), "event_id": derive_id("event"),
            "correlation_id": derive_id(entity), "source": "market", "subject": SUBJECT, "channel": "gsxt",
            "action": "publish", "status": "published", "public_reference": None, "reason": None,
            "received_at": at(when),
        }
        return self._record(
            "disclosure.receipts.v1", "hub/disclosure-receipt", "disclosure.receipt.published",
            value, at(when),
        )

    def delivered(self, receipt: str, when: str, subscription: str, entity: str = "e1") -> Record:
        value = {
            "receipt_id": derive_id(receipt), "notice_id": derive_id("notice"),
            "event_id": derive_id("event"),
            "correlation_id": derive_id(entity), "subject": SUBJECT, "subscription": subscription,
            "department_code": DEPARTMENT, "status": "delivered", "attempts": 1, "http_status": 200,
            "endpoint": None, "reason": None, "first_attempt_at": at(when), "finished_at": at(when),
        }
        return self._record(
            "delivery.receipts.v1", "hub/delivery-receipt", "delivery.receipt.delivered", value, at(when)
        )

    def answered(self, answer: str, when: str, subscription: str, status: str = "acted") -> Record:
        value = {
            "feedback_id": derive_id(answer), "notice_id": derive_id("notice"),
            "event_id": derive_id("event"),
            "correlation_id": derive_id("e1"), "subject": SUBJECT, "subscription": subscription,
            "department_code": DEPARTMENT, "status": status, "measure": None, "case_number": None,
            "reason": None, "acted_on": None, "received_at": at(when),
        }
        return self._record(
            "discipline.feedback.v1", "hub/discipline-feedback", f"discipline.feedback.{status}",
            value, at(when),
        )

    def _record(
        self, topic: str, schema: str, type: str, value: dict[str, Any], when: datetime, sequence: int | None = None
    ) -> Record:
        id = value.get("receipt_id") or value.get("feedback_id") or value["signal_id"]
        envelope = Envelope(
            id=str(id), source="/stages/test", type=type, subject=SUBJECT, time=when,
            correlation_id=value["correlation_id"], sequence=sequence,
        )
        self._offset += 1
        data = catalog().schema(schema).encode(value)
        headers = to_headers(envelope)
        return Record(topic, self.partition, self._offset, 0, SUBJECT.encode(), data, headers)


class StatesTopic:
    """``clock.states.v1`` in memory: takes a stage's outputs, and is a loader."""

    def __init__(self) -> None:
        self.records: list[Output] = []
        self.alerts: list[Output] = []

    def write(self, outputs: Iterator[Output] | list[Output]) -> None:
        for output in outputs:
            (self.records if output.topic == "clock.states.v1" else self.alerts).append(output)

    def __call__(self, partitions: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
        for output in self.records:
            if output.partition is not None and output.partition in partitions:
                yield output.partition, output.key or b"", output.value
