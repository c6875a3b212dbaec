"""What came of everything: counts from the log alone, and whether they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hub.bus.records import Record
from hub.contracts.catalog import Catalog

DECISIONS, RECEIPTS, DELIVERIES = "routing.decisions.v1", "disclosure.receipts.v1", "delivery.receipts.v1"
FEEDBACK, STATES, REJECTIONS = "discipline.feedback.v1", "clock.states.v1", "intake.rejections.v1"


@dataclass
class Tally:
    """Counts by what they are of. ``open`` are outputs that have no end on record yet."""

    events: dict[str, Counter[str]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    undecided: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    disclosed: dict[str, Counter[str]] = field(default_factory=dict)
    delivered: dict[str, Counter[str]] = field(default_factory=dict)
    answered: dict[str, Counter[str]] = field(default_factory=dict)
    clocks: dict[str, Counter[str]] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    repeated_records: int = 0

    @property
    def accepted(self) -> int:
        """Events on the log, each counted once."""
        return sum(sum(types.values()) for types in self.events.values())

    @property
    def is_settled(self) -> bool:
        """Every event has a decision, every order and notice its end."""
        return self.undecided == 0 and not +self.open

    def as_dict(self) -> dict[str, Any]:
        # Not dataclasses.asdict: it rebuilds a Counter from pairs, and a Counter counts the pairs.
        found = {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}
        return {**found, "accepted": self.accepted, "is_settled": self.is_settled}


def _plain(counts: object) -> object:
    return {name: _plain(inner) for name, inner in counts.items()} if isinstance(counts, Mapping) else counts


def take_tally(records: Iterable[Record], catalog: Catalog, routed: Sequence[str]) -> Tally:
    """Reads records of all topics, in any order, and counts each thing once by its id."""
    counting = _Counting(catalog, frozenset(routed))
    for record in records:
        counting.add(record)
    return counting.result()


class _Counting:
    def __init__(self, catalog: Catalog, routed: frozenset[str]) -> None:
        self._catalog, self._routed = catalog, routed
        self._tally = Tally()
        self._events: dict[str, str] = {}
        self._decided: dict[str, Mapping[str, Any]] = {}
        self._rejections: dict[str, str] = {}
        self._ends: dict[str, tuple[str, str, str]] = {}
        self._feedback: dict[str, tuple[str, str]] = {}
        self._clocks: dict[str, tuple[str, str]] = {}
        self._dead: set[tuple[str, str]] = set()

    def add(self, record: Record) -> None:
        topic, headers = record.topic, dict(record.headers)
        id = headers.get("ce_id", b"").decode()
        if topic in self._routed:
            if id in self._events:
                self._tally.repeated_records += 1
                return
            self._events[id] = topic
            kind = headers.get("ce_type", b"?").decode()
            self._tally.events.setdefault(topic, Counter())[kind] += 1
        elif topic.endswith(".dead-letters.v1"):
            self._dead.add((topic, id))
        elif record.value is not None:
            self._add_own(topic, self._catalog.decode(record.value)[1])

    def _add_own(self, topic: str, value: Mapping[str, Any]) -> None:
        if topic == DECISIONS:
            self._decided[value["event_id"]] = value
        elif topic == RECEIPTS:
            self._ends[value["order_id"]] = ("channel", value["channel"], value["status"])
        elif topic == DELIVERIES:
            self._ends[value["notice_id"]] = ("subscription", value["subscription"], value["status"])
        elif topic == FEEDBACK:
            self._feedback[value["feedback_id"]] = (value["subscription"], value["status"])
        elif topic == STATES:
            self._clocks[value["clock_id"]] = (value["rule"], _clock_status(value))
        elif topic == REJECTIONS:
            self._rejections[value["rejection_id"]] = value["problem_code"]

    def result(self) -> Tally:
        tally = self._tally
        tally.rejected.update(self._rejections.values())
        tally.decisions = len(self._decided)
        dead_events = {id for topic, id in self._dead if topic.startswith("routing.")}
        dead_outputs = {id for topic, id in self._dead if not topic.startswith("routing.")}
        tally.undecided = len(self._events.keys() - self._decided.keys() - dead_events)
        for value in self._decided.values():
            if not value["is_matched"]:
                tally.unmatched[value["event_type"]] += 1
            for held in value["withheld"]:
                # What stands behind the field's name is one department's word on one record.
                tally.withheld[f"{held['rule']}: {held['reason'].partition(':')[0]}"] += 1
            for output in value["outputs"]:
                id = output["output_id"]
                if output["kind"] != "clock" and id not in self._ends and id not in dead_outputs:
                    tally.open[f"{output['kind']}:{output['target']}"] += 1
        for kind, target, status in self._ends.values():
            into = tally.disclosed if kind == "channel" else tally.delivered
            into.setdefault(target, Counter())[status] += 1
        for subscription, status in self._feedback.values():
            tally.answered.setdefault(subscription, Counter())[status] += 1
        for rule, status in self._clocks.values():
            tally.clocks.setdefault(rule, Counter())[status] += 1
        tally.dead_letters.update(topic for topic, _ in self._dead)
        return tally


def _clock_status(value: Mapping[str, Any]) -> str:
    """A running clock past its due moment is late already: said apart from those in time."""
    if value["status"] == "running" and value["breached_at"] is not None:
        return "breached"
    return str(value["status"])
