"""``topics.yaml``, the map: loaded whole, or refused with every fault and its line."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub.contracts.catalog import Catalog
from hub.contracts.map_checks import MapFault, check_references
from hub.contracts.map_clock_checks import ACTION
from hub.contracts.map_models import (
    ChannelModel,
    ClockModel,
    DueModel,
    MapModel,
    RouteModel,
    SubscriptionModel,
    TopicModel,
)
from hub.contracts.yaml_lines import LineMap, load_with_lines, load_yaml
from hub.domain.calendar import start_of
from hub.domain.clocks import ClockRule, Due, DueUnit
from hub.domain.direct import answers_of, problems_of
from hub.domain.facts import FactRule
from hub.domain.recall import Subscriber, effect_of
from hub.domain.routing import Action, OutputKind, Rule, RuleTable, public_action
from hub.domain.where import FirstFailing, compile_where
from hub.errors import ContractError


class MapError(ContractError):
    """The topic map has faults."""

    def __init__(self, name: str, faults: list[MapFault]) -> None:
        self.faults = sorted(faults, key=lambda fault: (fault.line, fault.place))
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        super().__init__("\n".join([f"{name} has {count}:", *(f"{name}:{fault}" for fault in self.faults)]))


@dataclass(frozen=True)
class HubMap:
    """The map, checked. ``version`` is a digest of the file's meaning: comments do not change it."""

    version: str
    model: MapModel
    departments: Mapping[str, Mapping[str, Any]]
    measures: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, path: Path, catalog: Catalog, reference: Path) -> HubMap:
        """Reads and checks the map. Raises MapError with all faults, ContractError where it is no YAML."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ContractError(f"{path}: {error.strerror}") from error
        raw, lines, doubled = load_with_lines(text, path.name)
        faults = [MapFault(line, "", what, "keep one of the two") for line, what in doubled]
        departments = _by_id(load_yaml(reference / "departments.yaml"), "departments")
        measures = _by_id(load_yaml(reference / "measures.yaml"), "measures")
        try:
            model = MapModel.model_validate(raw)
        except ValidationError as error:
            faults.extend(_pydantic_faults(error, lines))
            model = None
        # What can be read is checked against the rest also where another part is faulty: all at once.
        faults.extend(check_references(raw, lines, catalog, departments, measures))
        if faults or model is None:
            raise MapError(path.name, faults)
        digest = hashlib.sha256(model.model_dump_json(by_alias=True).encode()).hexdigest()[:12]
        return cls(digest, model, departments, measures)

    @cached_property
    def topics(self) -> Mapping[str, TopicModel]:
        """All topics by name, those that follow from the subscriptions among them."""
        inboxes = {
            f"inbox.{name}": TopicModel(
                title=f"{subscription.title} 收件箱", schema="hub/inbox-record", owner=subscription.department,
                # A notice has the partition of its subject, and what is known of it is looked up by that number.
                partitions=self.model.topics[subscription.from_].partitions,
            )
            for name, subscription in self.model.subscriptions.items()
        }
        return {**self.model.topics, **inboxes, **self._answer_topics()}

    def facts(self) -> dict[str, FactRule]:
        """When rows of two sources are one fact, by topic."""
        return {
            name: FactRule(topic.fact.key, topic.fact.same, topic.fact.precedence)
            for name, topic in self.model.topics.items() if topic.fact is not None
        }

    def _answer_topics(self) -> dict[str, TopicModel]:
        """Where departments that come by Kafka answer, and are told what was wrong; bytes of their own."""
        found: dict[str, TopicModel] = {}
        for name, entry in self.subscriptions.items():
            if entry.delivery == "kafka":
                common: dict[str, Any] = {"key": "notice", "partitions": 3, "owner": entry.department}
                found[answers_of(name)] = TopicModel(title=f"{entry.title} 反馈", **common)
                common["retention"] = "90d"
                found[problems_of(name)] = TopicModel(title=f"{entry.title} 反馈问题", **common)
        return found

    def own_topics(self) -> list[str]:
        """The topics that the hub alone writes: what stands in their headers is its own word, their values Avro."""
        answers = self._answer_topics()
        return [name for name in self.topics if name not in answers]

    def delivered_by(self, way: str) -> list[str]:
        """The subscriptions of one way of delivery."""
        return [name for name, entry in self.subscriptions.items() if entry.delivery == way]

    @property
    def channels(self) -> Mapping[str, ChannelModel]:
        return self.model.channels

    @property
    def routes(self) -> Mapping[str, RouteModel]:
        return self.model.routes

    @property
    def subscriptions(self) -> Mapping[str, SubscriptionModel]:
        return self.model.subscriptions

    @cached_property
    def clocks(self) -> Mapping[str, ClockRule]:
        """The clock rules as the domain knows them."""
        return {name: _clock_rule(name, clock, self.departments) for name, clock in self.model.clocks.items()}

    def topic_of_event(self, event_type: str) -> str:
        """The topic that carries an event type. Raises ContractError if none does."""
        for name, topic in self.topics.items():
            if event_type in topic.events:
                return name
        raise ContractError(f"No topic of the map carries events of type {event_type!r}.")

    def routed_topics(self) -> tuple[str, ...]:
        """The topics that the routing stage reads: those with domain events."""
        return tuple(
            name
            for name, topic in self.model.topics.items()
            if topic.events and topic.schema_ and not topic.schema_.startswith("hub/")
        )

    def rule_tables(self) -> dict[tuple[str, str], RuleTable]:
        """(topic, event type) -> what applies to it, for every event that the map knows."""
        return {
            (name, event): RuleTable(
                list(self._rules(name, event)), self._subscribers(name, event), effect_of(event)
            )
            for name in self.routed_topics()
            for event in self.model.topics[name].events
        }

    def _rules(self, topic: str, event: str) -> Iterator[Rule]:
        action = public_action(event)
        for name, route in self.routes.items():
            if route.from_ == topic and event in route.events:
                # Withdrawing needs no condition: what was never public is answered "unchanged". But the end
                # of a term is no version of the record, and not every term ends what is public.
                is_needless = action == "withdraw" and not event.endswith(".expired")
                first_failing = None if is_needless else compile_where(route.where)
                for channel in route.channels:
                    yield Rule(
                        f"route:{name}:{channel}",
                        "channel",
                        channel,
                        action,
                        first_failing,
                        frozenset(route.where) if first_failing else frozenset(),
                        falls_back_to="withdraw" if action == "amend" else None,
                    )
        for name, clock in self.model.clocks.items():
            yield from self._clock_rules(name, clock, event, action)

    def _subscribers(self, topic: str, event: str) -> dict[str, Subscriber]:
        """All subscriptions, as they stand to an event type of a topic."""
        return {
            name: Subscriber(
                name,
                f"subscription:{name}",
                entry.view,
                reads=entry.from_ == topic,
                is_asked=entry.from_ == topic and event in entry.events,
                first_failing=compile_where(entry.where),
                fields=frozenset(entry.where),
                ended_at=int(start_of(entry.ended_on).timestamp() * 1000) if entry.ended_on else None,
            )
            for name, entry in self.subscriptions.items()
        }

    def _clock_rules(self, name: str, clock: ClockModel, event: str, action: Action) -> Iterator[Rule]:
        per: OutputKind | None = clock.per if clock.per in ("channel", "subscription") else None
        only = frozenset(clock.subscriptions or clock.channels)
        if event in clock.starts_on:
            where, asked = _split(clock.where, per)
            yield Rule(
                f"clock:{name}:start",
                "clock",
                name,
                "start",
                compile_where(where),
                frozenset(where) | ({clock.counts_from} if clock.counts_from else frozenset()),
                falls_back_to="cancel" if action == "amend" else None,
                per=per,
                only_targets=only,
                asked=asked,
            )
        if event in clock.met_by:
            where = dict(clock.met_where)
            if clock.per == "period":
                # What a department files for which no such clock runs meets nothing.
                ids = departments_of(clock.departments, self.departments)
                where["department_code"] = [str(self.departments[id]["code"]) for id in ids]
            yield Rule(f"clock:{name}:meet", "clock", name, "meet", compile_where(where), frozenset(where))
        others: tuple[tuple[Action, tuple[str, ...], Mapping[str, Any]], ...] = (
            ("cancel", clock.cancelled_by, clock.cancelled_where),
            ("suspend", clock.suspended_by, {}),
            ("resume", clock.resumed_by, {}),
        )
        for kind, events, condition in others:
            if event in events:
                where, asked = _split(condition, per)
                yield Rule(
                    f"clock:{name}:{kind}", "clock", name, kind, compile_where(where), frozenset(where),
                    per=per, only_targets=only, asked=asked,
                )  # fmt: skip


def _split(where: Mapping[str, Any], per: OutputKind | None) -> tuple[dict[str, Any], FirstFailing | None]:
    """(condition on the record's fields, condition on what the notice asks for) of a clock for each subscription."""
    if per != "subscription" or ACTION not in where:
        return dict(where), None
    return {field: test for field, test in where.items() if field != ACTION}, compile_where({ACTION: where[ACTION]})


def departments_of(names: Collection[str], departments: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The departments that ids and levels (``prefecture``, ``county``) name; all where nothing is named."""
    return tuple(id for id, entry in departments.items() if not names or id in names or entry.get("level") in names)


def _clock_rule(name: str, clock: ClockModel, departments: Mapping[str, Mapping[str, Any]]) -> ClockRule:
    return ClockRule(
        id=name,
        title=clock.title,
        starts_on=clock.starts_on,
        counts_from=clock.counts_from or "",
        due=_due(clock.due),
        met_by=clock.met_by,
        cancelled_by=clock.cancelled_by,
        per=clock.per,
        warn=clock.warn,
        owner=clock.owner,
        escalates_to=clock.escalates_to,
        basis=clock.basis,
        source=clock.source,
        calendar=clock.calendar,
        suspended_by=clock.suspended_by,
        resumed_by=clock.resumed_by,
        targets=clock.subscriptions or clock.channels,
        until=clock.until,
        meets=clock.meets,
        escalate=clock.escalate,
        repeats=clock.repeats,
        on_due=clock.on_due,
        every=clock.every,
        departments=departments_of(clock.departments, departments) if clock.per == "period" else (),
        where=clock.where,
        met_where=clock.met_where,
        cancelled_where=clock.cancelled_where,
    )


def _due(due: DueModel) -> Due:
    if due.by is not None:
        month, _, day = due.by.rpartition("-")
        return Due(0, "date", int(month or 0), int(day))
    periods: tuple[tuple[int | None, DueUnit], ...] = (
        (due.working_days, "working-days"),
        (due.calendar_days, "calendar-days"),
        (due.hours, "hours"),
        (due.months, "months"),
        (due.years, "years"),
    )
    # That there is one was checked when the map was loaded.
    return next(Due(n, unit) for n, unit in periods if n is not None)


def _by_id(value: Any, section: str) -> dict[str, Mapping[str, Any]]:
    return {str(entry["id"]): entry for entry in value[section]}


def _pydantic_faults(error: ValidationError, lines: LineMap) -> Iterator[MapFault]:
    for fault in error.errors():
        path = tuple(part for part in fault["loc"] if part != "[key]")
        problem = fault["msg"].removeprefix("Value error, ")
        remedy = ""
        if fault["type"] == "extra_forbidden":
            problem, remedy = f"{path[-1]!r} is not a setting here", "see docs/map.md for those that are"
        elif fault["type"] == "missing":
            problem, remedy = f"{path[-1]!r} is missing", "add it"
        else:
            remedy = f"found: {fault['input']!r}"[:120]
        yield MapFault(lines.line(path), ".".join(map(str, path)), problem, remedy)
