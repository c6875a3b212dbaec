"""What became of each notice: a fold over inboxes, receipts and answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.domain.recall import effect_of
from hub.ops.holdings import DELIVERIES, FEEDBACK, INBOX


class AnswerState(NamedTuple):
    """One answer of a department; times are aware UTC."""

    status: str
    measure: str | None
    case_number: str | None
    acted_on: date | None
    received_at: datetime


class NoticeState(NamedTuple):
    """One notice and where it stands: ``waiting``, or how its receipt says that it ended (``parked`` is no end)."""

    notice_id: str
    event_id: str
    event_type: str
    correlation_id: str
    subject: str
    subscription: str
    view: str
    action: str
    sequence: int
    issued_at: datetime
    state: str
    finished_at: datetime | None
    attempts: int
    reason: str | None
    answers: tuple[AnswerState, ...]


def fold_notices(records: Iterable[Record], catalog: Catalog) -> list[NoticeState]:
    """Every notice of the inboxes among ``records``, in the order of issue; the records may come in any order.

    Raises ContractError or PoisonError for a record that is none of its topic.
    """
    notices: dict[str, dict[str, Any]] = {}
    receipts: dict[str, dict[str, Any]] = {}
    answers: dict[str, dict[str, AnswerState]] = defaultdict(dict)
    for record in records:
        if record.value is None:
            continue
        if record.topic.startswith(INBOX):
            value = catalog.decode(record.value)[1]
            value.pop("data")
            notices[value["notice_id"]] = value
        elif record.topic == DELIVERIES:
            value = catalog.decode(record.value)[1]
            # Parked is no end: a person releases or drops it, and topics are read in no order.
            if value["status"] != "parked" or value["notice_id"] not in receipts:
                receipts[value["notice_id"]] = value
        elif record.topic == FEEDBACK:
            value = catalog.decode(record.value)[1]
            # One id for each answer, however often it was sent.
            answers[value["notice_id"]][value["feedback_id"]] = AnswerState(
                value["status"], value["measure"], value["case_number"], value["acted_on"], value["received_at"]
            )
    found = [_state(value, receipts.get(id), answers.get(id, {}).values()) for id, value in notices.items()]
    return sorted(found, key=lambda each: (each.issued_at, each.notice_id))


def _state(
    notice: dict[str, Any], receipt: dict[str, Any] | None, answers: Iterable[AnswerState]
) -> NoticeState:
    told = receipt or {}
    same = ("notice_id", "event_id", "event_type", "correlation_id", "subject", "subscription", "view")
    return NoticeState(
        **{name: notice[name] for name in same},
        action=notice.get("action") or effect_of(notice["event_type"]),
        sequence=notice["sequence"], issued_at=notice["issued_at"], state=told.get("status", "waiting"),
        finished_at=told.get("finished_at"), attempts=told.get("attempts", 0), reason=told.get("reason"),
        answers=tuple(sorted(answers, key=lambda each: each.received_at)),
    )
