"""Questions to the ledger about desks: what lies on a department's, by deadline, and how punctual it is.

The department is the first thing that each of them is asked with, and the first part of every key that it reads: no
argument reaches another department's desk. Who asks has to be that department; that is the caller's to know.
Nothing personal is in the answers: ids, codes of enterprises, days, states, and titles out of the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hub.domain.desk import (
    ClockEntry,
    Colour,
    LeadEntry,
    NoticeEntry,
    NoticeState,
    Score,
    colour_of,
    is_person,
    score,
)
from hub.ops.ledger.desk_facts import ELSEWHERE
from hub.ops.ledger.queries import Trace, trace
from hub.ops.ledger.view import Ledger
from hub.state.desk_index import CLOCKS, LEADS, NOTICES

#: The looks back of a scoreboard, in days; what is open counts in each.
SPANS = (30, 90)


class DeskClock(NamedTuple):
    """An open clock of a department. Days are Gannan's, moments aware UTC.

    ``title`` is the rule's; ``target`` a channel, subscription or period where the rule has a clock for each.
    ``is_person``: the subject is a natural person's keyed hash and is shown as a natural person.
    """

    clock_id: str
    rule: str
    title: str
    colour: Colour
    due_on: date | None
    due_at: datetime | None
    status: str
    is_provisional: bool
    is_overdue: bool
    subject: str
    is_person: bool
    event_id: str | None
    correlation_id: str
    target: str | None


class DeskNotice(NamedTuple):
    """A notice in a department's inbox. ``end`` is delivery's word (delivered, parked, expired, superseded, dropped) or
    ``None`` while it is on its way; ``answer``, ``measure``, ``way`` and ``answered_at`` are the department's own."""

    notice_id: str
    state: NoticeState
    subscription: str
    title: str
    action: str
    sequence: int
    issued_at: datetime
    end: str | None
    ended_at: datetime | None
    registered_at: datetime | None
    answer: str | None
    measure: str | None
    way: str | None
    answered_at: datetime | None
    subject: str
    is_person: bool
    event_id: str
    correlation_id: str


class DeskLead(NamedTuple):
    """A lead that a department has to handle. ``region`` is a code of GB/T 2260, ``kind`` of ``lead-kind``."""

    correlation_id: str
    event_id: str
    kind: str
    status: str
    region: str
    received_on: date
    risk: str | None
    channel: str
    subject: str
    is_person: bool


class DeskPage(NamedTuple):
    """Some entries, and the cursor of those behind them; ``None`` at the end. ``total`` counts all."""

    entries: list[Any]
    cursor: str | None
    total: int


class DeskTotals(NamedTuple):
    """How many open clocks lie on a department's desk, notices that wait for its answer, and open leads."""

    clocks: int
    notices: int
    leads: int


class NoticeView(NamedTuple):
    """A notice, the clocks that run for it with its department, and its way."""

    notice: DeskNotice
    clocks: list[DeskClock]
    trace: Trace


def totals(ledger: Ledger, department: str) -> DeskTotals:
    """How much there is to do, without looking at any of it. Raises as ``clocks``."""
    code = ledger.code_of(department)
    return DeskTotals(*(ledger.desks.count(code, order) for order in ("due", "waiting", "open-leads")))


def clocks(
    ledger: Ledger, department: str, today: date, *, cursor: str | None = None, limit: int = 50
) -> DeskPage:
    """The open clocks of a department (id or code) by deadline, as :class:`DeskClock`: what is to be done today first.

    Raises UsageError for an unknown department, IndexUnavailableError where the index does not answer.
    """
    code = ledger.code_of(department)
    page = ledger.desks.page(code, CLOCKS, "due", cursor=cursor, limit=limit)
    entries = [_clock(ledger, entry, today) for entry in page.entries]
    return DeskPage(entries, page.cursor, ledger.desks.count(code, "due"))


def notices(
    ledger: Ledger, department: str, *, is_waiting: bool = False, cursor: str | None = None, limit: int = 50
) -> DeskPage:
    """The notices of a department's inbox, the newest first; or those alone that wait for its answer, the oldest first.

    As :class:`DeskNotice`. Raises as ``clocks``.
    """
    code, order = ledger.code_of(department), "waiting" if is_waiting else "inbox"
    page = ledger.desks.page(code, NOTICES, order, cursor=cursor, limit=limit, is_reversed=not is_waiting)
    entries = [_notice(ledger, entry) for entry in page.entries]
    return DeskPage(entries, page.cursor, ledger.desks.count(code, order))


def leads(
    ledger: Ledger, department: str, *, region: str | None = None, cursor: str | None = None, limit: int = 50
) -> DeskPage:
    """The leads that a department has to claim or close, the oldest first, as :class:`DeskLead`.

    With ``region`` those of one region of the page: a page may then hold fewer. Raises as ``clocks``.
    """
    code = ledger.code_of(department)
    page = ledger.desks.page(code, LEADS, "open-leads", cursor=cursor, limit=limit)
    entries = [_lead(entry) for entry in page.entries if region in (None, entry.region)]
    return DeskPage(entries, page.cursor, ledger.desks.count(code, "open-leads"))


def lead_of(ledger: Ledger, department: str, correlation_id: str) -> DeskLead | None:
    """One lead that a department handles, closed ones too while they are kept; ``None`` where it has no such lead, or
    has it no more."""
    entry = ledger.desks.entries(ledger.code_of(department), LEADS, [correlation_id]).get(correlation_id)
    return None if entry is None or entry.status == ELSEWHERE else _lead(entry)


def notice(ledger: Ledger, department: str, notice_id: str, today: date) -> NoticeView | None:
    """One notice of a department with its clocks and its way; ``None`` where the department has no such notice."""
    code = ledger.code_of(department)
    entry = ledger.desks.entries(code, NOTICES, [notice_id]).get(notice_id)
    if entry is None or entry.issued is None:
        return None
    shown = _notice(ledger, entry)
    way = trace(ledger, notice_id)
    ids = [
        str(step.details["clock_id"]) for step in way.steps
        if step.topic == "clock.states.v1" and step.details.get("target") == shown.subscription
    ]
    found = clocks_of(ledger, code, list(dict.fromkeys(ids)))
    return NoticeView(shown, [_clock(ledger, each, today) for each in found], way)


def clocks_of(ledger: Ledger, code: str, ids: Sequence[str]) -> list[ClockEntry]:
    """Those of these clocks that are of the department with this code; what another has taken over is not."""
    return [each for each in ledger.desks.entries(code, CLOCKS, ids).values() if each.status != ELSEWHERE]


def scoreboard(ledger: Ledger, department: str, today: date) -> dict[int, list[tuple[str, Score]]]:
    """Days looked back (30, 90) -> (title of the rule, its counts), the most breached first. Raises as ``clocks``."""
    marks = ledger.desks.marks(ledger.code_of(department))
    found = {}
    for days in SPANS:
        scores = score(marks, today - timedelta(days - 1), today).values()
        ordered = sorted(scores, key=lambda each: (-each.breached, -each.open, each.rule))
        found[days] = [(_title(ledger, each.rule), each) for each in ordered]
    return found


def _clock(ledger: Ledger, entry: ClockEntry, today: date) -> DeskClock:
    rule = ledger.map.clocks.get(entry.rule)
    first_warn = max(rule.warn, default=None) if rule is not None and rule.due.unit != "hours" else None
    calendar = ledger.calendars.get(rule.calendar) if rule is not None else None
    return DeskClock(
        entry.clock_id, entry.rule, _title(ledger, entry.rule), colour_of(entry, today, first_warn, calendar),
        None if entry.due_on is None else date.fromisoformat(entry.due_on), _moment(entry.due_at), entry.status,
        entry.is_provisional, entry.breached_on is not None, entry.subject, is_person(entry.subject), entry.event_id,
        entry.correlation_id, entry.target,
    )


def _notice(ledger: Ledger, entry: NoticeEntry) -> DeskNotice:
    assert entry.issued is not None  # else it stands in no order
    issued_at, event_id, correlation_id, subject, subscription, action, sequence = entry.issued
    known = ledger.map.subscriptions.get(subscription)
    _, ended_at, end, _ = entry.end or (0, None, None, None)
    answered_at, _, answer, measure, way = entry.answered or (None, None, None, None, None)
    registered_at, registered_way = entry.registered or (None, None)
    return DeskNotice(
        entry.notice_id, entry.state, subscription, known.title if known is not None else subscription, action,
        sequence, datetime.fromtimestamp(issued_at / 1000, UTC), end, _moment(ended_at), _moment(registered_at),
        answer, measure or None, way or registered_way, _moment(answered_at), subject, is_person(subject), event_id,
        correlation_id,
    )


def _lead(entry: LeadEntry) -> DeskLead:
    return DeskLead(
        entry.correlation_id, entry.event_id, entry.kind, entry.status, entry.region,
        date.fromisoformat(entry.received_on), entry.risk, entry.channel, entry.subject, is_person(entry.subject),
    )


def _title(ledger: Ledger, rule: str) -> str:
    found = ledger.map.clocks.get(rule)
    return found.title if found is not None else rule


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
