"""The way of one enterprise or one event, from its row to every end, out of the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.bus.dead_letters import OWN_PREFIX, PREFIX
from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.errors import HubError

#: In which order steps of the same moment are told.
_ORDER = (
    "routing.decisions",
    "disclosure.orders",
    "inbox.",
    "routing.holdings",
    "disclosure.receipts",
    "delivery.receipts",
    "discipline.feedback",
    "clock.signals",
    "clock.states",
    "clock.alerts",
)


@dataclass(frozen=True)
class Step:
    """One record on the way. ``at`` is when Kafka took it (UTC); ``what`` says it in a line."""

    at: datetime
    topic: str
    partition: int
    offset: int
    type: str
    id: str
    correlation_id: str
    what: str
    details: dict[str, Any]
    #: What decided this step: a rule of the map, or of clocks; and in which version.
    rule: str | None = None
    version: str | None = None
    #: Why it went so, where its record says.
    reason: str | None = None


def steps_of(records: Iterable[Record], catalog: Catalog, *, subject: str | None, event_id: str | None) -> list[Step]:
    """Steps of a subject, or of the entity that ``event_id`` is a version of; oldest first.

    Values of the events themselves are not shown: they may hold personal data.
    """
    kept: list[tuple[Record, dict[str, str]]] = []
    for record in records:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        if subject is None or headers.get("ce_subject") == subject:
            kept.append((record, headers))
    if event_id is not None:
        entities = {h.get("ce_correlationid") for _, h in kept if event_id in (h.get("ce_id"), h.get("ce_causationid"))}
        kept = [(r, h) for r, h in kept if h.get("ce_correlationid") in entities and entities != {None}]
    return in_order(_step(record, headers, catalog) for record, headers in kept)


def steps_from(records: Iterable[Record], catalog: Catalog) -> list[Step]:
    """A step for each of the records, oldest first; as :func:`steps_of`."""
    return in_order(
        _step(record, {name: value.decode("utf-8", "replace") for name, value in record.headers}, catalog)
        for record in records
    )


def seen_by(steps: Sequence[Step], department: str, subscriptions: Collection[str]) -> Iterator[Step]:
    """Steps that are a department's (code) own: notices, receipts and answers of its subscriptions, its clocks, and the
    events that it was sent. What went to others, and that it did, is theirs."""
    sent = {
        each.details.get("event_id") for each in steps
        if each.topic.startswith("inbox.") and str(each.details.get("subscription")) in subscriptions
    }
    for each in steps:
        is_own_clock = (
            each.topic in ("clock.states.v1", "clock.alerts.v1")
            and each.details.get("owner_department") == department
        )
        # Of decisions, orders and holdings nothing is shown: they tell of several at once.
        is_own_notice = (
            each.topic.startswith(("inbox.", "delivery.receipts.", "discipline.feedback."))
            and each.details.get("subscription") in subscriptions
        )
        if is_own_clock or is_own_notice or each.id in sent:
            yield each


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Oldest first; of one moment in the order of the way."""
    return sorted(steps, key=lambda step: (step.at, _rank(step.topic), step.topic, step.partition, step.offset))


def _rank(topic: str) -> int:
    return next((place + 1 for place, start in enumerate(_ORDER) if topic.startswith(start)), 0)


def _step(record: Record, headers: dict[str, str], catalog: Catalog) -> Step:
    value: dict[str, Any] = {}
    if record.value is not None and not record.topic.endswith(".dead-letters.v1"):
        try:
            schema, value = catalog.decode(record.value)
        except HubError:
            value = {}
        else:
            # Content stays where it is, an event's as well as an answer's as it came: a trace is read by more
            # people than a record. Every field of raw bytes is such content.
            is_ours = schema.name.startswith("hub/")
            value = {name: entry for name, entry in value.items() if is_ours and not isinstance(entry, bytes)}
    return Step(
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        record.topic,
        record.partition,
        record.offset,
        headers.get("ce_type", ""),
        headers.get("ce_id", ""),
        headers.get("ce_correlationid", ""),
        _say(record, headers, value),
        value,
        value.get("rule"),
        value.get("rule_version") or value.get("map_version") or headers.get(OWN_PREFIX + "rule-version"),
        value.get("reason") or value.get("asked_why") or headers.get(PREFIX + "message"),
    )


def _say(record: Record, headers: dict[str, str], value: dict[str, Any]) -> str:
    topic = record.topic
    if topic.endswith(".dead-letters.v1"):
        return f"dead letter: {headers.get(PREFIX + 'exception')}: {headers.get(PREFIX + 'message')}"
    if topic.startswith("routing.decisions"):
        said = ", ".join(f"{out['action']} {out['target']}{_because(out)}" for out in value.get("outputs", []))
        held = "".join(f"; withheld {held['rule']}: {held['reason']}" for held in value.get("withheld", []))
        return f"decided by map {value.get('map_version')}: {said or value.get('reason')}{held}"
    if topic.startswith("disclosure.orders"):
        again = f" again for {value['asked_by']}: {value['asked_why']}" if value.get("reissue_of") else ""
        return f"order: {value.get('action')} on {value.get('channel')} in view {value.get('view')}{again}"
    if topic.startswith("disclosure.receipts"):
        place = f", {value['public_reference']}" if value.get("public_reference") else ""
        return f"{value.get('channel')}: {value.get('status')}{place}{_because(value)}"
    if topic.startswith("inbox."):
        again = f", again for request {headers[_REPLAY]}" if _REPLAY in headers else ""
        return (
            f"notice to {value.get('subscription')} in view {value.get('view')}: {value.get('action', 'apply')}{again}"
        )
    if topic.startswith("routing.holdings"):
        holders = [each["subscription"] for each in value.get("holders", []) if each["action"] != "lift"]
        return f"version {value.get('sequence')} routed; held by {', '.join(holders) or 'nobody'}"
    if topic.startswith("delivery.receipts"):
        return f"{value.get('subscription')}: {value.get('status')} at attempt {value.get('attempts')}{_because(value)}"
    if topic.startswith("discipline.feedback"):
        return (
            f"{value.get('subscription')} answered: {value.get('status')} {value.get('measure') or ''}{_because(value)}"
        )
    if topic.startswith("clock.signals"):
        return f"clock {value.get('rule')}: {value.get('kind')}"
    if topic.startswith("clock.states"):
        late = ", overdue" if value.get("breached_at") and value.get("status") == "running" else ""
        change = value["history"][-1]["change"] if value.get("history") else None
        # Else the same line would stand there twice, and nobody would know why.
        without_effect = f" ({change})" if change in _WITHOUT_EFFECT else ""
        return f"clock {value.get('rule')}: {value.get('status')}{late}, due {value.get('due_on')}{without_effect}"
    if topic.startswith("clock.alerts"):
        return f"clock {value.get('rule')}: {value.get('kind')}"
    if topic.startswith("identity.waits"):
        by = f" by {value['decided_by']}" if value.get("decided_by") else ""
        return f"whose it is: {value.get('state')}{by}{_because(value)}"
    if topic.startswith("intake.witnesses"):
        differs = f", another {', '.join(value['differs'])}" if value.get("differs") else ""
        return f"{value.get('source')} says it too: {value.get('kind')}{differs}; {value.get('in_force')} counts"
    if topic.startswith("identity.decisions"):
        return f"a person decided: {value.get('verdict')} {value.get('uscc') or ''}{_because(value)}"
    found = headers.get("ce_identifiedby")
    identified = f"; identified by {found}: {headers.get('ce_identityreason', '')}" if found else ""
    version = headers.get("ce_sequence", "?")
    return f"{headers.get('ce_type')} version {version} from {headers.get('ce_source')}{identified}"


#: On a notice that was sent again because a person asked.
_REPLAY = "__hub.replay.request"
#: Changes of a clock that leave it as it is.
_WITHOUT_EFFECT = frozenset(("met-again", "repeated", "counted", "ignored"))


def _because(value: dict[str, Any]) -> str:
    return f" ({value['reason']})" if value.get("reason") else ""
