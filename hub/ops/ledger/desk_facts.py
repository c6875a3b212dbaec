"""What records say of desks: each as an entry of its own, which the folds of :mod:`hub.domain.desk` join.

Each function adds the entries of one record and returns the code of the department that had part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, cast

from hub.bus.records import Record, header
from hub.domain.calendar import local_date
from hub.domain.clocks import Status
from hub.domain.desk import ClockEntry, LeadEntry, NoticeEntry, join_notice, later_clock, later_lead
from hub.domain.disclosed import ChannelEntry, join_channel
from hub.state.channel_index import RECORDS
from hub.state.desk_index import CLOCKS, LEADS, NOTICES, Entry

#: The status of an entry that another department has taken over.
ELSEWHERE = "elsewhere"
_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    CLOCKS.name: later_clock, NOTICES.name: join_notice, LEADS.name: later_lead,
    RECORDS.name: join_channel,
}


class FactKey(NamedTuple):
    """Whose desk, which shelf of it, and the id there. A channel stands here as a department does."""

    department: str
    shelf: str
    id: str


def joined(shelf: str, one: Entry | None, other: Entry) -> Entry:
    """What both say together."""
    return cast("Entry", _JOINS[shelf](one, other))


def _add(facts: dict[FactKey, Entry], key: FactKey, entry: Entry) -> None:
    facts[key] = joined(key.shelf, facts.get(key), entry)


def add_clock(facts: dict[FactKey, Entry], record: Record, value: dict[str, Any]) -> str | None:
    """A state of a clock. Who had it before finds it gone: the history names all its owners."""
    owner = value["owner_department"]
    status = value["status"]
    ended_on: date | None = None
    if value["met_at"] is not None and status in (Status.MET, Status.MET_LATE):
        ended_on = local_date(value["met_at"])
    elif status == Status.EXPIRED:
        ended_on = value["due_on"]
    elif status == Status.CANCELLED:
        ended_on = local_date(datetime.fromtimestamp(record.timestamp / 1000, UTC))
    entry = ClockEntry(
        record.timestamp, record.offset, value["clock_id"], value["rule"], value["target"], value["subject"],
        value["correlation_id"], value["trigger_event_id"], status, _day(value["due_on"]), _millis(value["due_at"]),
        value["is_provisional"], bool(value["warned"]), _day(ended_on),
        _day(local_date(value["breached_at"])) if value["breached_at"] is not None else None,
        _millis(value["met_at"]), _millis(value["breached_at"]),
    )
    if owner is not None:
        _add(facts, FactKey(owner, CLOCKS.name, entry.clock_id), entry)
    left = {line["owner_department"] for line in value["history"]} - {None, owner}
    for department in left:
        gone = entry._replace(status=ELSEWHERE, ended_on=None, breached_on=None)
        _add(facts, FactKey(department, CLOCKS.name, entry.clock_id), gone)
    return cast("str | None", owner)


def add_notice(facts: dict[FactKey, Entry], _record: Record, value: dict[str, Any]) -> str:
    """A notice as it was put into an inbox."""
    issued = (
        _millis(value["issued_at"]) or 0, value["event_id"], value["correlation_id"], value["subject"],
        value["subscription"], value.get("action") or "apply", value["sequence"],
    )
    return _of_notice(facts, value, NoticeEntry(value["notice_id"], issued=issued))


def add_receipt(facts: dict[FactKey, Entry], _record: Record, value: dict[str, Any]) -> str:
    """What delivery says of a notice; parked waits for a person and is no end beside another."""
    rank = 0 if value["status"] == "parked" else 1
    end = (rank, _millis(value["finished_at"]) or 0, value["status"], value.get("method") or "")
    return _of_notice(facts, value, NoticeEntry(value["notice_id"], end=end))


def add_answer(facts: dict[FactKey, Entry], _record: Record, value: dict[str, Any]) -> str:
    """What a department answers: registered, or what it did."""
    at, way = _millis(value["received_at"]) or 0, value.get("way") or "http"
    if value["status"] == "registered":
        entry = NoticeEntry(value["notice_id"], registered=(at, way))
    else:
        answered = (at, value["feedback_id"], value["status"], value["measure"] or "", way)
        entry = NoticeEntry(value["notice_id"], answered=answered)
    return _of_notice(facts, value, entry)


def add_lead(facts: dict[FactKey, Entry], record: Record, value: dict[str, Any]) -> str:
    """A version of a lead: on the desk of who handles it, else of who sent it."""
    closed_on = value["resolved_date"]
    if closed_on is None and _text(record, "ce_type") == "complaint.lead.resolved":
        closed_on = local_date(datetime.fromtimestamp(record.timestamp / 1000, UTC))
    entry = LeadEntry(
        int(header(record.headers, "ce_sequence") or b"1"), _text(record, "ce_correlationid"), _text(record, "ce_id"),
        _text(record, "ce_subject"),
        value["lead_kind"], value["status"], value["region_code"], value["received_date"].isoformat(),
        value["risk_level"], value["channel"], _day(closed_on),
    )
    department = value["handling_department_code"] or value["department_code"]
    _add(facts, FactKey(department, LEADS.name, entry.correlation_id), entry)
    return cast(str, value["department_code"])


def add_order(facts: dict[FactKey, Entry], value: dict[str, Any]) -> None:
    """An order of a channel."""
    entry = ChannelEntry.ordered(value)
    _add(facts, FactKey(value["channel"], RECORDS.name, entry.correlation_id), entry)


def add_disclosed(facts: dict[FactKey, Entry], _record: Record, value: dict[str, Any]) -> None:
    """What a channel answered."""
    entry = ChannelEntry.ended(value)
    _add(facts, FactKey(value["channel"], RECORDS.name, entry.correlation_id), entry)


def _of_notice(facts: dict[FactKey, Entry], value: dict[str, Any], entry: NoticeEntry) -> str:
    department = cast(str, value["department_code"])
    _add(facts, FactKey(department, NOTICES.name, entry.notice_id), entry)
    return department


def _text(record: Record, name: str) -> str:
    return (header(record.headers, name) or b"").decode("utf-8", "replace")


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
