"""Who holds which fact, and who still holds what was corrected or taken back since: a fold over the log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.domain.recall import effect_of

HOLDINGS, DELIVERIES, FEEDBACK = "routing.holdings.v1", "delivery.receipts.v1", "discipline.feedback.v1"
INBOX = "inbox."


class Told(NamedTuple):
    """One notice: what it asks for, of which version, and where it stands: ``waiting``, or the end of its receipt.

    ``at`` is when it was delivered or, before that, issued (aware UTC).
    """

    notice_id: str
    action: str
    sequence: int
    status: str
    at: datetime


@dataclass(frozen=True)
class Held:
    """One fact and one subscription.

    ``delivered`` is what it was handed over last, ``on_the_way`` the latest notice that waits, ``answer`` what the
    department said to the lift that it was handed over. ``stale`` says why what it has is out of date, if it is.
    """

    topic: str
    correlation_id: str
    subject: str
    subscription: str
    view: str
    delivered: Told | None
    on_the_way: Told | None
    is_lifted: bool
    answer: str | None
    stale: str | None

    def as_dict(self) -> dict[str, Any]:
        def plain(told: Told | None) -> dict[str, Any] | None:
            return told._asdict() if told is not None else None

        return vars(self) | {"delivered": plain(self.delivered), "on_the_way": plain(self.on_the_way)}


class _Notice(NamedTuple):
    correlation_id: str
    subscription: str
    noun: str
    action: str
    sequence: int
    issued_at: datetime


def holders_of(records: Iterable[Record], catalog: Catalog) -> Counter[str]:
    """Subscription -> how many facts it holds, by the records of ``routing.holdings.v1`` alone."""
    counts: Counter[str] = Counter()
    for fact in _latest_facts(records, catalog).values():
        counts.update(each["subscription"] for each in fact["holders"] if each["action"] != "lift")
    return counts


def inboxes_of(records: Iterable[Record], catalog: Catalog) -> set[str]:
    """The inboxes of all subscriptions that were ever sent a fact."""
    facts = _latest_facts(records, catalog).values()
    return {INBOX + each["subscription"] for fact in facts for each in fact["holders"]}


def fold(
    records: Iterable[Record], catalog: Catalog, known: Collection[str], *, changed_since: datetime | None = None
) -> list[Held]:
    """Every fact and subscription, out of holdings, inboxes, receipts and answers in any order.

    ``known`` are the subscriptions of the map. Who reads other topics later than holdings says ``changed_since``: of
    what changed from then on the last notice is taken to wait where it is not among the records.
    """
    holdings: list[Record] = []
    notices: dict[str, _Notice] = {}
    ends: dict[str, tuple[str, datetime]] = {}
    answers: dict[str, tuple[datetime, str]] = {}
    for record in records:
        if record.topic == HOLDINGS:
            holdings.append(record)
            continue
        if record.value is None:
            continue
        value = catalog.decode(record.value)[1]
        if record.topic.startswith(INBOX):
            notices[value["notice_id"]] = _notice(value)
        elif record.topic == DELIVERIES:
            # Parked is no end: a person releases or drops it.
            if value["status"] != "parked" or value["notice_id"] not in ends:
                ends[value["notice_id"]] = (value["status"], value["finished_at"])
        elif record.topic == FEEDBACK:
            said = (value["received_at"], value["status"])
            answers[value["notice_id"]] = max(said, answers.get(value["notice_id"], said))
    facts = _latest_facts(holdings, catalog).values()
    if changed_since is not None:
        for fact in facts:
            for holder in fact["holders"]:
                if fact["changed_at"] >= changed_since and holder["sequence"] == fact["sequence"]:
                    notices.setdefault(holder["notice_id"], _notice_of(fact, holder))
    of: dict[tuple[str, str, str], list[Told]] = defaultdict(list)
    for notice_id, notice in notices.items():
        status, at = ends.get(notice_id, ("waiting", notice.issued_at))
        told = Told(notice_id, notice.action, notice.sequence, status, at)
        of[notice.correlation_id, notice.subscription, notice.noun].append(told)
    found = []
    for fact in facts:
        noun = fact["event_type"].rpartition(".")[0]
        for holder in fact["holders"]:
            told_all = of.get((fact["correlation_id"], holder["subscription"], noun), [])
            found.append(_held(fact, holder, told_all, answers, known))
    return sorted(found, key=lambda each: (each.stale is None, each.subject, each.correlation_id, each.subscription))


def _notice_of(fact: Mapping[str, Any], holder: Mapping[str, Any]) -> _Notice:
    return _Notice(
        fact["correlation_id"], holder["subscription"], fact["event_type"].rpartition(".")[0], holder["action"],
        holder["sequence"], fact["changed_at"],
    )


def _latest_facts(records: Iterable[Record], catalog: Catalog) -> dict[bytes, dict[str, Any]]:
    facts: dict[bytes, dict[str, Any]] = {}
    for record in records:
        key = record.key or b""
        if record.value is None:
            facts.pop(key, None)
            continue
        value = catalog.decode(record.value)[1]
        # As the routing stage reads it: what was routed only grows.
        if key not in facts or len(value["routed"]) >= len(facts[key]["routed"]):
            facts[key] = value
    return facts


def _notice(value: Mapping[str, Any]) -> _Notice:
    type = value["event_type"]
    return _Notice(
        value["correlation_id"], value["subscription"], type.rpartition(".")[0],
        value.get("action") or effect_of(type), value["sequence"], value["issued_at"],
    )


def _held(
    fact: Mapping[str, Any],
    holder: Mapping[str, Any],
    told: Collection[Told],
    answers: Mapping[str, tuple[datetime, str]],
    known: Collection[str],
) -> Held:
    delivered = max((each for each in told if each.status == "delivered"), key=_version, default=None)
    waiting = max((each for each in told if each.status in ("waiting", "parked")), key=_version, default=None)
    if waiting is not None and delivered is not None and waiting.sequence < delivered.sequence:
        waiting = None
    is_lifted = delivered is not None and delivered.action == "lift"
    answer = answers.get(delivered.notice_id) if delivered is not None and is_lifted else None
    return Held(
        fact["topic"], fact["correlation_id"], fact["subject"], holder["subscription"], holder["view"],
        delivered, waiting, is_lifted, answer[1] if answer is not None else None,
        None if delivered is None or is_lifted else _staleness(fact, holder, delivered, told, known),
    )


def _staleness(
    fact: Mapping[str, Any], holder: Mapping[str, Any], delivered: Told, told: Collection[Told], known: Collection[str]
) -> str | None:
    """Why what a subscription was handed over last is out of date."""
    later = max((each for each in told if each.sequence > delivered.sequence), key=_version, default=None)
    if later is not None:
        return f"version {later.sequence} ({later.action}) is {later.status}"
    # Nothing was put into its inbox: it had left the map when the fact changed.
    if fact["sequence"] > holder["sequence"] and effect_of(fact["event_type"]) != "apply":
        gone = "" if holder["subscription"] in known else "; the subscription is not in the map"
        return f"version {fact['sequence']} ({effect_of(fact['event_type'])}) was not sent{gone}"
    return None


def _version(told: Told) -> tuple[int, datetime]:
    return told.sequence, told.at
