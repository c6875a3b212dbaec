"""Between records and the domain: which signals a record holds, and how states and alerts are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, get_args

from hub.bus.records import Headers, Output
from hub.clocks.periods import department_entity
from hub.contracts.catalog import Catalog
from hub.contracts.flat import array, compile_item, compile_writer, millis, text, utf8
from hub.domain.calendar import local_date
from hub.domain.clock_firing import Alert, AlertKind
from hub.domain.clocks import Change, ClockRule, ClockState, Signal, SignalKind, Status
from hub.domain.events import Envelope, child_traceparent, output_id
from hub.domain.plain import instant_text, whole_millis
from hub.domain.where import FirstFailing, compile_where
from hub.errors import ContractError

SIGNALS = "clock.signals.v1"
RECEIPTS = ("disclosure.receipts.v1", "delivery.receipts.v1", "discipline.feedback.v1")
STATES = "clock.states.v1"
ALERTS = "clock.alerts.v1"
TERMS = "clock.terms.v1"
#: All that the stage reads.
INPUTS = (SIGNALS, *RECEIPTS)

_SOURCE = b"/stages/clocks"
_ALERT_TYPES = {kind: f"clock.alert.{kind}".encode() for kind in get_args(AlertKind)}
#: Of hub/clock-state, in the order of the schema.
_STATE_FIELDS = (
    "clock_id", "rule", "rule_version", "target", "subject", "correlation_id", "owner_department", "status",
    "trigger_event_id", "counts_from", "due_on", "due_at", "is_provisional", "calendar", "calendar_version", "met_at",
    "met_event_id", "warned", "breached_at", "history", "period",
)
#: Of hub/clock-alert.
_ALERT_FIELDS = (
    "alert_id", "clock_id", "rule", "kind", "level", "target", "subject", "correlation_id", "owner_department",
    "escalates_to", "due_at", "raised_at",
)
#: What the types of receipts and answers begin with: domain and noun.
_RECEIPT_NOUNS = frozenset(("disclosure.receipt", "delivery.receipt", "discipline.feedback"))
_KINDS = frozenset(("start", "meet", "cancel", "suspend", "resume"))


#: What the changes in the words of the first version were signals of.
_FIRST_KINDS: Mapping[str, SignalKind] = {
    "started": "start", "restarted": "start", "amended": "start", "met": "meet", "met-late": "meet",
    "met-early": "meet", "cancelled": "cancel", "suspended": "suspend", "resumed": "resume",
}


class Cause(NamedTuple):
    """What changed a clock, as the headers of its record name it."""

    id: str
    traceparent: str | None = None
    sequence: int = 0

    @classmethod
    def of_signal(cls, headers: Headers) -> Cause:
        """Of a signal, whose value says all the rest. ContractError if the record has no id."""
        found = dict(headers)
        try:
            parent = found.get("traceparent")
            sequence = int(found.get("ce_sequence") or 0)
            return cls(found["ce_id"].decode(), parent.decode() if parent else None, sequence)
        except (KeyError, AttributeError, ValueError):
            raise ContractError("header ce_id is missing, or ce_id or ce_sequence cannot be read") from None


class SignalReader:
    """Turns a record's envelope and value into signals, by the rules of the map.

    ``departments`` maps ids of departments to their codes, for rules whose ``owner`` is one of them.
    """

    def __init__(self, rules: Mapping[str, ClockRule], departments: Mapping[str, str]) -> None:
        self._rules = rules
        self._departments = departments
        self._by_type: dict[str, list[tuple[SignalKind, ClockRule, FirstFailing | None]]] = defaultdict(list)
        for rule in rules.values():
            kinds: tuple[tuple[SignalKind, tuple[str, ...]], ...] = (
                # A start comes first: an event that starts and meets at once leaves a met clock.
                ("start", rule.starts_on), ("meet", rule.met_by), ("cancel", rule.cancelled_by),
                ("suspend", rule.suspended_by), ("resume", rule.resumed_by),
            )
            for kind, types in kinds:
                condition = compile_where(_condition(rule, kind))
                for type in types:
                    self._by_type[type].append((kind, rule, condition))

    def of_signal(self, value: Mapping[str, Any], sequence: int = 0) -> Signal:
        """The signal that routing wrote. ContractError if its rule or kind is none of ours."""
        rule = self._rules.get(value["rule"])
        if rule is None or value["kind"] not in _KINDS:
            raise ContractError(f"no clock rule {value['rule']!r} with a signal {value['kind']!r}")
        correlation_id = value["correlation_id"]
        if rule.per == "period":
            # What meets it is an event of its own: the clock is its department's.
            correlation_id = department_entity(value["subject"])
        return Signal(
            kind=value["kind"], rule=rule.id, correlation_id=correlation_id,
            subject=value["subject"], event_id=value["event_id"], occurred_at=value["occurred_at"],
            target=value["target"] if rule.per != "event" else None, counts_from=value["counts_from"],
            owner_department=value["owner_department"] or self._departments.get(rule.owner),
            until=value.get("until"), sequence=sequence,
        )

    def has_use_for(self, type: str) -> bool:
        """Whether any rule names an event type; else its value need not be decoded."""
        return type in self._by_type

    def of_receipt(self, envelope: Envelope, value: Mapping[str, Any]) -> Iterator[Signal]:
        """What a receipt or an answer means to each rule that names its type."""
        if value.get("action", "") is None:
            # Of a time when nothing told a recall from what it takes back: it counts as it did then.
            value = {**value, "action": "apply"}
        for kind, rule, condition in self._by_type.get(envelope.type, ()):
            target = value.get(rule.per) if rule.per != "event" else None
            if rule.per != "event" and target is None:
                continue  # a delivery says nothing of a clock that runs for each channel
            if rule.targets and target not in rule.targets:
                continue
            if kind != "start" and not _can_speak_to(rule, value.get("event_type")):
                continue
            if condition is not None and condition(value) is not None:
                continue
            is_subscriber = rule.owner == "subscriber"
            owner = value.get("department_code") if is_subscriber else self._departments.get(rule.owner)
            yield Signal(
                kind=kind, rule=rule.id, correlation_id=value["correlation_id"], subject=value["subject"],
                event_id=envelope.id, occurred_at=whole_millis(envelope.time), target=target,
                counts_from=_to_date(value.get(rule.counts_from)) if kind == "start" else None,
                owner_department=owner,
            )


def _condition(rule: ClockRule, kind: SignalKind) -> Mapping[str, Any]:
    """What has to hold of a receipt or an answer for this kind of signal."""
    conditions: Mapping[str, Mapping[str, Any]] = {
        "start": rule.where, "meet": rule.met_where, "cancel": rule.cancelled_where,
    }
    return conditions.get(kind, {})


class StateWriter:
    """Encodes states and alerts as records on the partition of their subject."""

    def __init__(self, catalog: Catalog) -> None:
        schema = catalog.schema("hub/clock-state")
        self._write = compile_writer(schema, {}, _STATE_FIELDS)
        self._line = compile_item(schema, "history")
        self._term = catalog.schema("clock/term")
        self._write_alert = compile_writer(catalog.schema("hub/clock-alert"), {}, _ALERT_FIELDS)

    def value(self, state: ClockState) -> bytes:
        """The state as a record of ``hub/clock-state``, framed."""
        lines = [
            self._line((
                millis(line.at), line.event_id.encode(), line.change.encode(), utf8(line.note), utf8(line.kind),
                line.counts_from, line.until, utf8(line.owner_department), line.due_on, millis(line.due_at),
                line.sequence,
            ))
            for line in state.history
        ]
        return self._write((
            state.clock_id.encode(), state.rule.encode(), state.rule_version.encode(), utf8(state.target),
            state.subject.encode(), state.correlation_id.encode(), utf8(state.owner_department),
            state.status.encode(), utf8(state.trigger_event_id), state.counts_from, state.due_on,
            millis(state.due_at), state.is_provisional, state.calendar.encode(), state.calendar_version.encode(),
            millis(state.met_at), utf8(state.met_event_id), array([text(level.encode()) for level in state.warned]),
            millis(state.breached_at), array(lines), state.period.encode(),
        ))

    def state(self, state: ClockState, partition: int, cause: Cause | None, at: datetime) -> Output:
        """One state; ``cause`` is what changed it, ``None`` where time did."""
        cause_id = cause.id if cause else state.history[-1].event_id
        id = output_id(cause_id, state.clock_id)
        headers = _headers(id, b"clock.state.changed", state, at, cause_id)
        if cause is not None and cause.traceparent is not None:
            headers.append(("traceparent", child_traceparent(cause.traceparent, id).encode()))
        return Output(STATES, state.clock_id.encode(), self.value(state), headers, partition)

    def alert(
        self, alert: Alert, state: ClockState, rule: ClockRule | None, partition: int, now: datetime
    ) -> Output:
        """One alert, raised at ``now``."""
        subject = state.subject.encode()
        is_for_the_lead = rule is not None and alert.kind in ("breached", "escalated")
        value = self._write_alert((
            alert.id.encode(), state.clock_id.encode(), state.rule.encode(), alert.kind.encode(), utf8(alert.level),
            utf8(state.target), subject, state.correlation_id.encode(), utf8(state.owner_department),
            utf8(rule.escalates_to) if rule is not None and is_for_the_lead else None,
            millis(state.due_at), millis(now),
        ))
        headers = _headers(alert.id, _ALERT_TYPES[alert.kind], state, now, state.trigger_event_id)
        return Output(ALERTS, subject, value, headers, partition)

    def term(self, alert: Alert, state: ClockState, rule: ClockRule, partition: int) -> Output:
        """The end of a term, as a fact that routing acts on: it withdraws the version that the clock knew last.

        The end of a later version is a fact of its own.
        """
        assert state.due_on is not None
        sequence = max(1, state.sequence)
        term_id, subject = output_id(alert.id, f"term:{sequence}"), state.subject.encode()
        value = self._term.encode({
            "term_id": term_id, "clock_id": state.clock_id, "rule": rule.id, "title": rule.title, "basis": rule.basis,
            "subject": state.subject, "department_code": state.owner_department, "counts_from": state.counts_from,
            "ended_on": state.due_on,
        })
        headers = _headers(term_id, b"clock.term.expired", state, alert.moment, alert.id)
        headers.append(("ce_sequence", b"%d" % sequence))
        return Output(TERMS, subject, value, headers, partition)


def _headers(id: str, type: bytes, state: ClockState, at: datetime, cause_id: str | None) -> Headers:
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", _SOURCE),
        ("ce_type", type),
        ("ce_subject", state.subject.encode()),
        ("ce_time", instant_text(at).encode()),
        ("content-type", b"application/avro"),
        ("ce_correlationid", state.correlation_id.encode()),
    ]
    if cause_id is not None:
        headers.append(("ce_causationid", cause_id.encode()))
    return headers


def state_to_value(state: ClockState) -> dict[str, Any]:
    """The state as a record of ``hub/clock-state``."""
    return state._asdict() | {"history": [line._asdict() for line in state.history]}


def state_from_value(value: Mapping[str, Any]) -> ClockState:
    """The state of a record of ``hub/clock-state``, of any version."""
    known = dict(value)
    known["status"] = Status(value["status"])
    known["warned"] = tuple(value["warned"])
    if "period" in value:
        known["history"] = tuple([Change(**line) for line in value["history"]])
    else:
        known["history"] = tuple([_line_of_first_version(line, value) for line in value["history"]])
    return ClockState(**known)


def _line_of_first_version(line: Mapping[str, Any], value: Mapping[str, Any]) -> Change:
    """The first version of the schema told what a line had brought by its words alone."""
    kind, note = _FIRST_KINDS.get(line["change"]), line["note"] or ""
    if kind is None:
        return Change(**line, due_at=value["due_at"])
    counts_from = date.fromisoformat(note[12:22]) if note.startswith("counts from ") else None
    return Change(**line, kind=kind, counts_from=counts_from)


def _can_speak_to(rule: ClockRule, event_type: str | None) -> bool:
    """Whether an event of this type can have started the rule: a penalty's receipt meets no inspection's clock.

    A rule that starts on receipts, or a signal that does not name its event, is not narrowed.
    """
    if event_type is None:
        return True
    starts = {type.rpartition(".")[0] for type in rule.starts_on}
    return event_type.rpartition(".")[0] in starts or bool(starts & _RECEIPT_NOUNS)


def _to_date(value: object) -> date | None:
    if isinstance(value, datetime):
        return local_date(value)
    return value if isinstance(value, date) else None
