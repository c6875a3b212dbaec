"""What the ledger takes of a record: its place, what it belongs to, and what it changes on a desk.

Headers first. A value is decoded only where a desk or a department's list needs it: of events the leading fields up to
the department's code, of clocks, notices, receipts, answers and leads what their entries hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import structlog

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.map import HubMap
from hub.errors import HubError
from hub.ops.ledger.desk_facts import (
    FactKey,
    add_answer,
    add_clock,
    add_disclosed,
    add_lead,
    add_notice,
    add_order,
    add_receipt,
)
from hub.state.desk_index import Entry
from hub.state.ledger_index import (
    NO_ID,
    NO_KEY,
    hour_of,
    item,
    pack_place,
    short_id,
    short_key,
    short_subject,
)

log = structlog.get_logger()
#: Topics that tell of sources, settings, reference data and acts of people, not of an event; and
#: delivery.waits.v1, whose records come and go while a notice waits: its alerts and receipts say what there was to say.
NOT_FOLLOWED = frozenset((
    "intake.portions.v1", "intake.heartbeats.v1", "intake.manifests.v1", "intake.alerts.v1",
    "identity.enterprises.v1", "delivery.waits.v1", "subscription.settings.v1", "source.keys.v1",
    "reference.calendars.v1", "reference.maps.v1", "audit.acts.v1",
))
#: How what a value changes on a desk is read; by topic, inboxes apart.
_DESK: dict[str, Callable[[dict[FactKey, Entry], Record, dict[str, Any]], str | None]] = {
    "clock.states.v1": add_clock,
    "delivery.receipts.v1": add_receipt,
    "disclosure.receipts.v1": add_disclosed,
    "discipline.feedback.v1": add_answer,
    "complaint.leads.v1": add_lead,
}
_ORDERS = "disclosure.orders.v1"
#: What an entry of an order and of a notice, and the list of an event's department, take of a record. Without the
#: first of them a record has none; of the others an earlier schema may lack some.
_ORDER_FIELDS = ("ordered_at", "order_id", "action", "sequence", "correlation_id", "subject", "channel")
_NOTICE_FIELDS = (
    "issued_at", "notice_id", "department_code", "event_id", "correlation_id", "subject", "subscription", "action",
    "sequence",
)
_DEPARTMENT = "department_code"


class TopicPlan(NamedTuple):
    """How one topic is read. ``has_ids``: its ids are asked for (events, notices)."""

    number: int
    has_ids: bool
    is_compacted: bool
    is_event: bool
    is_inbox: bool


class Batch(NamedTuple):
    """What a portion of the log changes: items and departments as ``LedgerIndex.write`` takes them, and desk facts."""

    items: bytes
    departments: list[str]
    facts: dict[FactKey, Entry]
    records: int


def followed_topics(hub_map: HubMap) -> list[str]:
    """The topics of the map that tell of events and what became of them."""
    return [name for name in hub_map.own_topics() if name not in NOT_FOLLOWED]


def compacted_topics(hub_map: HubMap) -> frozenset[str]:
    """The topics of which the log keeps the latest record of each key alone, and so do we."""
    return frozenset(name for name, topic in hub_map.topics.items() if topic.cleanup == "compact")


class RecordReader:
    """Reads records of the topics that it has a number for; the others are passed over. For one thread."""

    def __init__(self, hub_map: HubMap, catalog: Catalog, numbers: dict[str, int]) -> None:
        self._catalog = catalog
        routed = frozenset(hub_map.routed_topics())
        self._plans = {
            name: TopicPlan(
                numbers[name], name in routed or name.startswith("inbox."),
                hub_map.topics[name].cleanup == "compact", name in routed, name.startswith("inbox."),
            )
            for name in followed_topics(hub_map) if name in numbers
        }
        self._prefixes: dict[tuple[int, str], Callable[[bytes], dict[str, Any]] | None] = {}
        self._is_said = False

    def read(self, records: Iterable[Record]) -> Batch:
        """What the records change, in their order."""
        items: list[bytes] = []
        numbers: dict[str, int] = {}
        facts: dict[FactKey, Entry] = {}
        count = 0
        latest_states: dict[bytes, tuple[Record, list[int]]] = {}
        for record in records:
            count += 1
            plan = self._plans.get(record.topic)
            if plan is None:
                continue
            headers = dict(record.headers)
            entity = headers.get("ce_correlationid")
            if not entity or record.value is None:
                continue
            department = self._read_value(plan, record, facts, latest_states, len(items))
            number = 0
            if department:
                number = numbers.setdefault(department, len(numbers) + 1)
                # A byte in the item; more departments than that are in no batch of a prefecture.
                number = number if number < 256 else 0
            items.append(item(
                short_id(entity), pack_place(plan.number, record.partition, record.offset),
                short_key(record.key or b"") if plan.is_compacted else NO_KEY, hour_of(record.timestamp),
                short_id(headers.get("ce_id") or b"") if plan.has_ids else NO_ID,
                short_subject(headers.get("ce_subject") or b""), number,
            ))
        # Of the states of one clock the last alone counts: the others need not be decoded.
        for record, places in latest_states.values():
            owner = self._decoded(record, facts)
            number = numbers.setdefault(owner, len(numbers) + 1) if owner else 0
            # The first of them is the one that is new to the index, and is listed.
            for at in places if 0 < number < 256 else ():
                items[at] = items[at][:-1] + number.to_bytes(1, "big")
        return Batch(b"".join(items), list(numbers), facts, count)

    def department_of(self, record: Record) -> str | None:
        """The code of the department that had part in a record, as the index lists it."""
        plan = self._plans.get(record.topic)
        if plan is None or record.value is None:
            return None
        states: dict[bytes, tuple[Record, list[int]]] = {}
        found = self._read_value(plan, record, {}, states, 0)
        return self._decoded(record, {}) if states else found

    def _read_value(
        self, plan: TopicPlan, record: Record, facts: dict[FactKey, Entry],
        states: dict[bytes, tuple[Record, list[int]]], at: int,
    ) -> str | None:
        if record.topic == "clock.states.v1":
            key = record.key or b""
            states[key] = (record, [*(states[key][1] if key in states else ()), at])
            return None
        if record.topic in _DESK:
            return self._decoded(record, facts)
        if not plan.has_ids and record.topic != _ORDERS:
            return None
        try:
            if record.topic == _ORDERS:
                if (value := self._fields(record, _ORDER_FIELDS)) is not None:
                    add_order(facts, value)
                return None
            value = self._fields(record, _NOTICE_FIELDS if plan.is_inbox else (_DEPARTMENT,))
            if value is None:
                return None
            return add_notice(facts, record, value) if plan.is_inbox else value[_DEPARTMENT]
        except HubError as error:
            self._say(record, error)
            return None

    def _decoded(self, record: Record, facts: dict[FactKey, Entry]) -> str | None:
        try:
            return _DESK[record.topic](facts, record, self._catalog.decode(record.value or b"")[1])
        except HubError as error:
            self._say(record, error)
            return None

    def _fields(self, record: Record, wanted: tuple[str, ...]) -> dict[str, Any] | None:
        """Those of the wanted fields that the record's schema has; ``None`` where it lacks the first of them."""
        schema: Schema = self._catalog.identify(record.value or b"")
        key = (schema.id, wanted[0])
        if key not in self._prefixes:
            names = {field.name for field in schema.fields}
            self._prefixes[key] = schema.prefix(names.intersection(wanted)) if wanted[0] in names else None
        read = self._prefixes[key]
        return read(record.value or b"") if read is not None else None

    def _say(self, record: Record, error: HubError) -> None:
        if not self._is_said:
            self._is_said = True
            log.warning(
                "value cannot be read: the record is listed, its desk is not changed", topic=record.topic,
                partition=record.partition, offset=record.offset, error=str(error),
            )
