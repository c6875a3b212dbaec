"""How an output of the routing stage is built: headers and value of each kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.flat import array, compile_writer, millis, text
from hub.domain.calendar import local_date, start_of
from hub.domain.events import output_id
from hub.domain.plain import instant_text
from hub.domain.routing import Match
from hub.errors import PoisonError
from hub.routing.deadline import Deadlines
from hub.routing.event import Input
from hub.routing.terms import PublicationTerms

_SIGNAL_TYPES = {
    "start": b"clock.signal.started",
    "meet": b"clock.signal.met",
    "cancel": b"clock.signal.cancelled",
    "suspend": b"clock.signal.suspended",
    "resume": b"clock.signal.resumed",
}
_PERIOD = re.compile(r"([0-9]{4})(-(0[1-9]|1[0-2]))?")


class ClockFields(NamedTuple):
    """What routing has to know of a clock rule: whose it is, and which fields of a record it looks at.

    ``owner`` is a department's code, ``source`` or ``subscriber``; ``every`` is set where the clock is for a period.
    """

    owner: str
    counts_from: str | None
    until: str | None
    met_on: str | None
    every: Literal["year", "month"] | None


class Now(NamedTuple):
    """The moment of a batch, as its outputs write it."""

    milliseconds: int
    text: bytes

    @classmethod
    def of(cls, moment: datetime) -> Now:
        """From an aware datetime."""
        return cls(int(moment.timestamp() * 1000), instant_text(moment).encode())


#: The fields that differ from event to event, in the order of the schema.
_NOTICE = (
    "notice_id",
    "event_id",
    "event_type",
    "correlation_id",
    "source",
    "subject",
    "sequence",
    "action",
    "deliver_by",
    "issued_at",
    "data",
)
_ORDER = (
    "order_id",
    "event_id",
    "event_type",
    "correlation_id",
    "source",
    "subject",
    "sequence",
    "ordered_at",
    "reason",
    "data",
    "ends_on",
)
_DECISION = (
    "decision_id",
    "event_id",
    "event_type",
    "source",
    "subject",
    "correlation_id",
    "input_topic",
    "input_partition",
    "input_offset",
    "decided_at",
    "is_matched",
    "outputs",
    "withheld",
    "reason",
)


class OutputBuilder:
    """Builds the outputs of one map. ``measures`` and the like are looked up once, here."""

    def __init__(
        self,
        catalog: Catalog,
        version: str,
        views: Mapping[tuple[str, str], str],
        notices: Mapping[str, Mapping[str, Any]],
        clocks: Mapping[str, ClockFields],
        deadlines: Deadlines,
        terms: PublicationTerms,
    ) -> None:
        self._catalog, self._version = catalog, version
        self._views = views
        self._notices = notices
        self._clocks = clocks
        self._deadlines = deadlines
        self._terms = terms
        self._order = catalog.schema("hub/disclosure-order")
        self._inbox = catalog.schema("hub/inbox-record")
        self._signal = catalog.schema("hub/clock-signal")
        self._decision = compile_writer(catalog.schema("hub/routing-decision"), {"map_version": version}, _DECISION)
        self._writers: dict[str, Callable[[Sequence[Any]], bytes]] = {}
        self._said: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def build(self, match: Match, event: Input, now: Now, reason: str | None) -> tuple[bytes, str, Output]:
        """(what the decision says of it, id, output) of one match."""
        rule = match.rule
        if rule.kind == "subscription":
            id, output = self._notice(match, event, now)
        elif rule.kind == "channel":
            id, output = self._disclosure_order(match, event, now, reason)
        else:
            id, output = self._clock_signal(match, event, now)
        key = (rule.id, match.target, match.action)
        around = self._said.get(key)
        if around is None:
            front = b"".join(text(part.encode()) for part in (rule.id, rule.kind, match.target))
            around = self._said[key] = (front, text(match.action.encode()))
        why = b"\x02" + text(reason.encode()) if reason else b"\x00"
        return around[0] + text(id.encode()) + around[1] + why, id, output

    def view_of(self, match: Match) -> str:
        """The view of a notice: a recall's is that of what it takes back."""
        return match.view or self._views["subscription", match.target]

    def _notice(self, match: Match, event: Input, now: Now) -> tuple[str, Output]:
        name, id = match.target, output_id(event.event_id, match.rule.id)
        view = self.view_of(match)
        key = f"{match.rule.id}:{view}"
        write = self._writers.get(key)
        if write is None:
            constants = {
                "subscription": name,
                "view": view,
                "rule": match.rule.id,
                "map_version": self._version,
                **self._notices[name],
            }
            write = self._writers[key] = compile_writer(self._inbox, constants, _NOTICE)
        given = event.headers
        value = write(
            (
                id.encode(),
                given["ce_id"],
                given["ce_type"],
                event.correlation,
                given["ce_source"],
                given["ce_subject"],
                event.sequence,
                match.action.encode(),
                self._deliver_by(event, name, match.action),
                now.milliseconds,
                self._project(event, view),
            )
        )
        return id, Output(f"inbox.{name}", event.record.key, value, event.caused(id, given["ce_type"], now.text))

    def _deliver_by(self, event: Input, subscription: str, action: str) -> int | None:
        if not self._deadlines.knows(event.event_type, subscription):
            return None
        deadline = self._deadlines.of(event.event_type, subscription, action, event.value(), event.came_in)
        return millis(deadline)

    def _disclosure_order(self, match: Match, event: Input, now: Now, reason: str | None) -> tuple[str, Output]:
        channel, id = match.target, output_id(event.event_id, match.rule.id)
        view, key = self._views["channel", channel], f"{match.rule.id}:{match.action}"
        write = self._writers.get(key)
        if write is None:
            constants = {
                "channel": channel,
                "action": match.action,
                "view": view,
                "rule": match.rule.id,
                "map_version": self._version,
                "reissue_of": None,
                "asked_by": None,
                "asked_why": None,
            }
            write = self._writers[key] = compile_writer(self._order, constants, _ORDER)
        given = event.headers
        value = write(
            (
                id.encode(),
                given["ce_id"],
                given["ce_type"],
                event.correlation,
                given["ce_source"],
                given["ce_subject"],
                event.sequence,
                now.milliseconds,
                reason.encode() if reason else None,
                self._project(event, view),
                self._ends_on(event, channel, match.action),
            )
        )
        headers = event.caused(id, b"disclosure.order.issued", now.text)
        return id, Output("disclosure.orders.v1", event.record.key, value, headers)

    def _ends_on(self, event: Input, channel: str, action: str) -> date | None:
        if action == "withdraw" or not self._terms.knows(event.event_type, channel):
            return None
        return self._terms.of(event.event_type, channel, event.value(), event.came_in)

    def _clock_signal(self, match: Match, event: Input, now: Now) -> tuple[str, Output]:
        name = match.rule.target
        clock = self._clocks[name]
        target = match.target if match.target != name else None
        if clock.every is not None:
            target = _period(event, clock)
        id = output_id(event.event_id, f"{match.rule.id}:{match.action}:{target or ''}")
        is_start = match.action == "start"
        value = {
            "signal_id": id,
            "kind": match.action,
            "rule": name,
            "target": target,
            "correlation_id": event.correlation.decode(),
            "event_id": event.event_id,
            "event_type": event.event_type,
            "subject": event.subject,
            "counts_from": event.day(clock.counts_from) if is_start else None,
            "until": event.day(clock.until) if is_start else None,
            "owner_department": self._owner(clock.owner, target, event),
            "occurred_at": _occurred_at(match.action, event, clock),
            "map_version": self._version,
        }
        headers = event.caused(id, _SIGNAL_TYPES[match.action], now.text)
        return id, Output("clock.signals.v1", event.record.key, self._signal.encode(value), headers)

    def decision(
        self, event: Input, now: Now, said: Sequence[bytes], withheld: Sequence[tuple[str, str]], reason: str | None
    ) -> Output:
        """The record of what was decided, also where nothing was.

        ``said`` is what ``build`` gave, ``withheld`` rules and why they put nothing out.
        """
        id, record, given = output_id(event.event_id, "decision"), event.record, event.headers
        held = [text(rule.encode()) + text(why.encode()) for rule, why in withheld]
        value = self._decision(
            (
                id.encode(),
                given["ce_id"],
                given["ce_type"],
                given["ce_source"],
                given["ce_subject"],
                event.correlation,
                record.topic.encode(),
                record.partition,
                record.offset,
                now.milliseconds,
                bool(said),
                array(said),
                array(held),
                reason.encode() if reason else None,
            )
        )
        headers = event.caused(id, b"routing.event.decided", now.text)
        return Output("routing.decisions.v1", record.key, value, headers)

    def _project(self, event: Input, view: str) -> bytes:
        if event.schema is None:
            raise PoisonError("The event has no value.")
        return event.project(self._catalog.projection(event.schema, view), view)

    def _owner(self, owner: str, target: str | None, event: Input) -> str | None:
        if owner == "source":
            return str(event.value().get("department_code") or "") or None
        if owner == "subscriber":
            return str(self._notices[target]["department_code"]) if target and target in self._notices else None
        return owner


def _occurred_at(action: str, event: Input, clock: ClockFields) -> datetime:
    """When it happened: as the record itself names it, else when it came in.

    What met a clock is of the day (or moment) of ``met_on``; a start is of the moment that ``counts_from``
    names if it names one: hours run from the deed, not from its entry.
    """
    came_in = event.came_in
    field = {"meet": clock.met_on, "start": clock.counts_from}.get(action)
    named = event.value().get(field) if field else None
    if isinstance(named, datetime):
        return min(came_in, named)
    return min(came_in, start_of(named)) if action == "meet" and isinstance(named, date) else came_in


def _period(event: Input, clock: ClockFields) -> str:
    """Year or month that the event is for: as its field ``period`` says, else by its date."""
    size = 4 if clock.every == "year" else 7
    said = _PERIOD.fullmatch(str(event.value().get("period") or ""))
    if said and len(said[0]) >= size:
        return said[0][:size]
    return local_date(_occurred_at("meet", event, clock)).isoformat()[:size]
