"""One notice as its department sees it: what it says, how it came, how its clocks are counted. No page, no rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

import structlog

from hub.bus.log_reader import Position
from hub.clocks.explain import explain
from hub.clocks.wire import STATES, state_from_value
from hub.contracts.codec import Schema
from hub.contracts.codes import CodeList
from hub.contracts.fields import Field
from hub.contracts.views import Projection
from hub.delivery.message import read_inbox
from hub.domain.clocks import ClockRule, ClockState
from hub.errors import ContractError, PoisonError
from hub.ops.ledger import desk_queries
from hub.ops.ledger.desk_queries import NoticeView
from hub.ops.ledger.view import Ledger
from hub.ops.trace import Step, seen_by
from hub.state.desk_index import NOTICES

_log = structlog.get_logger()


class Line(NamedTuple):
    """A field for people: its title, its value with the titles of codes."""

    name: str
    title: str
    value: str


class Content(NamedTuple):
    """What the subscription's view holds: the lines that anybody of the department sees, and the names of fields that
    are shown for a purpose alone, because they speak of persons. ``whole`` are all lines."""

    lines: list[Line]
    withheld: list[str]
    whole: list[Line]


class Passage(NamedTuple):
    """A step of the history. ``kind`` is event, notice, receipt, disclosed, answer, clock or alert; ``status`` its
    code."""

    at: datetime
    kind: str
    status: str
    title: str
    measure: str | None
    due_on: date | None
    reason: str | None
    by: str | None


class Explained(NamedTuple):
    """A clock, and all that its due day rests on (:func:`hub.clocks.explain.explain`)."""

    state: ClockState
    why: dict[str, Any]


#: State of a notice; rule and status of clocks.
Standing = tuple[str, list[tuple[str, str]]]


class Notices(Protocol):
    """Raises IndexUnavailableError, BrokerError."""

    def view(self, department: str, notice_id: str, today: date) -> NoticeView | None: ...

    def content(self, view: NoticeView) -> Content | None:
        """``None`` where the log does not hold the record any more, or it cannot be read."""

    def passages(self, department: str, view: NoticeView) -> list[Passage]: ...

    def explained(self, view: NoticeView) -> list[Explained]: ...

    def standing(self, department: str, notice_id: str, clock_ids: Sequence[str]) -> Standing | None:
        """State of the notice and of clocks of the department now; ``None`` for another's."""


class LedgerNotices:
    """Notices out of the ledger. The record is fetched by its place on the log."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def view(self, department: str, notice_id: str, today: date) -> NoticeView | None:
        return desk_queries.notice(self._ledger, department, notice_id, today)

    def content(self, view: NoticeView) -> Content | None:
        wanted = view.notice.notice_id
        place = next((
            Position(step.topic, step.partition, step.offset) for step in view.trace.steps
            if step.topic.startswith("inbox.") and step.details.get("notice_id") == wanted
        ), None)
        record = self._ledger.reader.fetch([place]).get(place) if place is not None else None
        if record is None or record.value is None:
            return None
        try:
            notice = read_inbox(record, self._ledger.catalog, view.notice.subscription)
            schema, content = self._ledger.catalog.decode(notice["data"])
            public = self._ledger.catalog.schema(schema.name, schema.version, "public")
        except (ContractError, PoisonError) as error:
            # Delivery could not send it either and has said so; the rest of the page stands.
            _log.warning("portal.notice-unreadable", notice_id=wanted, error=str(error))
            return None
        shown = Projection(schema, public).apply(content)
        codes = self._ledger.catalog.codes
        lines, whole = lines_of(schema, shown, codes), lines_of(schema, content, codes)
        known = {line.name: line.value for line in lines}
        return Content(lines, [line.name for line in whole if known.get(line.name) != line.value], whole)

    def passages(self, department: str, view: NoticeView) -> list[Passage]:
        code = self._ledger.code_of(department)
        steps = seen_by(view.trace.steps, code, [view.notice.subscription])
        return [passage_of(step, self._ledger.map.clocks) for step in steps]

    def explained(self, view: NoticeView) -> list[Explained]:
        states = clock_states(view.trace.steps)
        found = [states[each.clock_id] for each in view.clocks if each.clock_id in states]
        rules, calendars = self._ledger.map.clocks, self._ledger.calendars
        return [
            Explained(state, explain(state, rules.get(state.rule), calendars.get(state.calendar))) for state in found
        ]

    def standing(self, department: str, notice_id: str, clock_ids: Sequence[str]) -> Standing | None:
        code = self._ledger.code_of(department)
        entry = self._ledger.desks.entries(code, NOTICES, [notice_id]).get(notice_id)
        if entry is None:
            return None
        clocks = desk_queries.clocks_of(self._ledger, code, clock_ids)
        return entry.state, [(each.rule, each.status) for each in clocks]


def clock_states(steps: Iterable[Step]) -> dict[str, ClockState]:
    """The last state of each clock that these steps tell of, by the id of the clock."""
    return {
        str(step.details["clock_id"]): state_from_value(step.details) for step in steps if step.topic == STATES
    }


def lines_of(schema: Schema, content: Mapping[str, Any], codes: Mapping[str, CodeList]) -> list[Line]:
    """The fields of a record for people, those that say nothing left out."""
    return [
        Line(field.name, field.title, _text(field, content[field.name], codes))
        for field in schema.fields if content.get(field.name) not in (None, "", [])
    ]


def _text(field: Field, value: Any, codes: Mapping[str, CodeList]) -> str:
    if isinstance(value, list):
        return "；".join(_text(field, each, codes) for each in value)
    if isinstance(value, Mapping):
        inner = {each.name: each for each in field.items}
        return "，".join(
            f"{inner[name].title} {_text(inner[name], each, codes)}"
            for name, each in value.items() if each not in (None, "", []) and name in inner
        )
    if isinstance(value, bool):
        return "是" if value else "否"
    if field.code_list is not None and field.code_list in codes:
        return codes[field.code_list].title_of(str(value))
    return str(value)


def passage_of(step: Step, rules: Mapping[str, ClockRule]) -> Passage:
    """A step as a line of a history; ``rules`` are the map's clocks, for their titles."""
    details = step.details
    kind = next((
        kind for start, kind in (
            ("inbox.", "notice"), ("delivery.receipts", "receipt"), ("disclosure.receipts", "disclosed"),
            ("discipline.feedback", "answer"), ("clock.states", "clock"), ("clock.alerts", "alert"),
        ) if step.topic.startswith(start)
    ), "event")
    status = {"notice": "action", "alert": "kind"}.get(kind, "status")
    rule = rules.get(str(details.get("rule")))
    title = str(details.get("channel")) if kind == "disclosed" else step.type
    return Passage(
        step.at, kind, str(details.get(status) or ("apply" if kind == "notice" else "")),
        rule.title if rule is not None else title, details.get("measure"),
        details.get("due_on"), step.reason, details.get("answered_by"),
    )
