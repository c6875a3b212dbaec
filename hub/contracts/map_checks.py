"""What one part of the map says of another: does it exist, does it fit?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.contracts.catalog import Catalog
from hub.contracts.fields import Field
from hub.contracts.map_clock_checks import clock_faults
from hub.contracts.map_models import VIEWS_OF
from hub.contracts.yaml_lines import LineMap
from hub.domain.where import faults_of, is_date
from hub.errors import ContractError

#: Where routing remembers who was sent what.
_HOLDINGS = "routing.holdings.v1"


@dataclass(frozen=True)
class MapFault:
    """One fault: line (from 1), place as dotted path, what is wrong, what would be right."""

    line: int
    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.line}: {self.place + ': ' if self.place else ''}{self.problem} ({self.remedy})"


class Checker:
    """The file as it was written, and what it is checked against."""

    def __init__(
        self,
        raw: Mapping[str, Any],
        lines: LineMap,
        catalog: Catalog,
        departments: Mapping[str, Mapping[str, Any]],
        measures: Collection[str],
    ) -> None:
        self.raw, self.lines, self.catalog = raw, lines, catalog
        self.departments, self.measures = departments, measures
        self.levels = {str(entry["level"]) for entry in departments.values() if "level" in entry}
        self.topics = self.section("topics")
        self.events = {
            event for topic in self.topics.values() for event in _list(topic.get("events")) if isinstance(event, str)
        }

    def section(self, name: str) -> dict[str, dict[str, Any]]:
        value = self.raw.get(name)
        if not isinstance(value, dict):
            return {}
        return {key: entry for key, entry in value.items() if isinstance(entry, dict)}

    def fault(self, path: tuple[str | int, ...], problem: str, remedy: str) -> MapFault:
        return MapFault(self.lines.line(path), ".".join(map(str, path)), problem, remedy)

    def known(self, path: tuple[str | int, ...], value: Any, among: Collection[str], what: str) -> Iterator[MapFault]:
        if isinstance(value, str) and value not in among:
            near = difflib.get_close_matches(value, list(among), 1)
            remedy = f"perhaps {near[0]!r}" if near else f"known: {', '.join(sorted(among)) or 'none'}"[:160]
            yield self.fault(path, f"unknown {what} {value!r}", remedy)

    def all(self) -> Iterator[MapFault]:
        for name, topic in self.topics.items():
            yield from self.topic(name, topic)
        for name, channel in self.section("channels").items():
            yield from self.channel(name, channel)
        for name, route in self.section("routes").items():
            path = ("routes", name)
            yield from self.reader(path, route)
            for index, target in enumerate(_list(route.get("channels"))):
                yield from self.known((*path, "channels", index), target, self.section("channels"), "channel")
        for name, subscription in self.section("subscriptions").items():
            path = ("subscriptions", name)
            yield from self.reader(path, subscription)
            yield from self.known((*path, "department"), subscription.get("department"), self.departments, "department")
            for name, why in (("fallback", "only a push can fail"), ("probe_minutes", "only an endpoint can be asked")):
                if subscription.get(name) is not None and subscription.get("delivery", "webhook") != "webhook":
                    yield self.fault((*path, name), f"{name} without delivery: webhook", why)
            for index, measure in enumerate(_list(subscription.get("measures"))):
                yield from self.known((*path, "measures", index), measure, self.measures, "measure")
        if self.section("subscriptions") and _HOLDINGS not in self.topics:
            yield self.fault(("subscriptions",), f"subscriptions without {_HOLDINGS}", "it says who is to be recalled")
        for name, clock in self.section("clocks").items():
            yield from clock_faults(self, ("clocks", name), clock)
        replication, in_sync = self.raw.get("replication", 3), self.raw.get("min_in_sync", 2)
        if isinstance(replication, int) and isinstance(in_sync, int) and in_sync > replication:
            yield self.fault(
                ("min_in_sync",), f"{in_sync} in-sync replicas of {replication}", "at most as many as replicas"
            )

    def topic(self, name: str, topic: Mapping[str, Any]) -> Iterator[MapFault]:
        path = ("topics", name)
        yield from self.known((*path, "owner"), topic.get("owner"), self.departments, "department")
        yield from self.schema_exists((*path, "schema"), topic.get("schema"))
        if topic.get("cleanup") == "compact" and topic.get("key", "subject") == "subject":
            yield self.fault(
                (*path, "cleanup"),
                "compaction by subject would keep one record an enterprise",
                "key: clock, or cleanup: delete",
            )
        fact, fields = topic.get("fact"), self.fields(topic.get("schema", ""))
        if isinstance(fact, dict) and fields is not None:
            for part in ("key", "same"):
                for index, field in enumerate(_list(fact.get(part))):
                    yield from self.known((*path, "fact", part, index), field, set(fields), "field")
        for index, event in enumerate(_list(topic.get("events"))):
            others = [
                other for other in self.topics if other < name and event in _list(self.topics[other].get("events"))
            ]
            if others:
                yield self.fault(
                    (*path, "events", index), f"{event!r} already is an event of {others[0]}", "name it once"
                )

    def channel(self, name: str, channel: Mapping[str, Any]) -> Iterator[MapFault]:
        """Whether its audience may see as much as its view shows."""
        audience, view = channel.get("audience", "public"), channel.get("view")
        allowed = VIEWS_OF.get(audience) if isinstance(audience, str) else None
        if allowed is not None and isinstance(view, str) and view in VIEWS_OF["government"] - allowed:
            yield self.fault(
                ("channels", name, "view"), f"view {view!r} for everybody to see",
                "view: public, or audience: government for a system of the government's own, with its legal basis",
            )

    def schema_exists(self, path: tuple[str | int, ...], name: Any) -> Iterator[MapFault]:
        if isinstance(name, str) and self.fields(name) is None:
            yield from self.known(path, name, {schema.name for schema in self.catalog.schemas}, "schema")

    def reader(self, path: tuple[str | int, ...], entry: Mapping[str, Any]) -> Iterator[MapFault]:
        """A route or subscription: reads a topic's events under a condition on its fields."""
        origin = entry.get("from")
        yield from self.known((*path, "from"), origin, self.topics, "topic")
        topic = self.topics.get(origin, {}) if isinstance(origin, str) else {}
        if topic and str(topic.get("schema", "hub/")).startswith("hub/"):
            yield self.fault((*path, "from"), f"{origin} is the hub's own topic", "routing reads departments' facts")
        for index, event in enumerate(_list(entry.get("events"))):
            if topic:
                yield from self.known((*path, "events", index), event, _list(topic.get("events")), f"event of {origin}")
        yield from self.where(path, entry.get("where"), [topic.get("schema")] if topic else [])

    def where(
        self, path: tuple[str | int, ...], where: Any, schemas: list[Any], part: str = "where"
    ) -> Iterator[MapFault]:
        if not isinstance(where, dict):
            return
        for name, condition in where.items():
            place = (*path, part, name)
            if wrong := faults_of(condition):
                yield self.fault(place, wrong, "see docs/map.md for the tests there are")
            for schema in schemas:
                fields = self.fields(schema)
                if fields is None:
                    continue
                yield from self.known(place, name, fields, f"field of {schema}")
                if name in fields and not wrong and (unfit := _unfit(fields[name], condition)):
                    yield self.fault(place, unfit, f"it would never hold on a field of {schema}")

    def schemas_of(self, events: Collection[Any]) -> list[Any]:
        """Schemas of the topics that carry any of these events."""
        return [topic.get("schema") for topic in self.topics.values() if set(_list(topic.get("events"))) & set(events)]

    def fields(self, schema: Any) -> dict[str, Field] | None:
        if not isinstance(schema, str):
            return None
        try:
            return {field.name: field for field in self.catalog.schema(schema).fields}
        except ContractError:
            return None


_PLAIN: Mapping[str, type] = {"string": str, "boolean": bool, "int": int, "long": int, "decimal": int}


def _unfit(field: Field, condition: Any) -> str | None:
    """Where a condition is of another type than its field: ``2`` for the code ``"2"``, say.

    Compared so, nothing would ever match, and a bound would raise on every record.
    """
    if not isinstance(condition, dict):
        kind = _PLAIN.get(field.type)
        for value in condition if isinstance(condition, list) else [condition]:
            if value is not None and type(value) is not kind:
                return f"{value!r} is no {field.type} to be equal to"
        return None
    for name, operand in condition.items():
        if name == "not" and (inner := _unfit(field, operand)):
            return inner
        if name == "prefix" and (field.type != "string" or field.is_array):
            return "prefix is of one text"
        if name in ("gte", "lte"):
            is_date_ = isinstance(operand, str) and is_date(operand)
            fits = is_date_ if field.type == "date" else not is_date_ and type(operand) is _PLAIN.get(field.type)
            if field.is_array or field.type == "boolean" or not fits:
                return f"{name} {operand!r} is no bound for {'a list' if field.is_array else field.type}"
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def check_references(
    raw: Any,
    lines: LineMap,
    catalog: Catalog,
    departments: Mapping[str, Mapping[str, Any]],
    measures: Collection[str],
) -> Iterator[MapFault]:
    """Every reference of the map that leads nowhere, as far as the map can be read at all."""
    if isinstance(raw, dict):
        yield from Checker(raw, lines, catalog, departments, measures).all()
