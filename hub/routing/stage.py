"""The routing stage: every event ends in outputs, or in a recorded "matched nobody"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.map import HubMap
from hub.domain.calendar import Calendar
from hub.domain.routing import Decision, RuleTable
from hub.errors import ContractError, PoisonError
from hub.routing.deadline import Deadlines
from hub.routing.outputs import ClockFields, Input, Now, OutputBuilder

Reader = Callable[[bytes], Mapping[str, Any]]


class Router:
    """Decides; no I/O. The fields that the rules ask for are read from the front of the value alone."""

    def __init__(self, hub_map: HubMap, catalog: Catalog) -> None:
        self._tables = hub_map.rule_tables()
        self._catalog = catalog
        self._schemas = {name: topic.schema_ for name, topic in hub_map.topics.items() if topic.schema_ is not None}
        self._readers: dict[tuple[str, str, bytes], tuple[Schema, RuleTable, Reader | None]] = {}

    def route(self, topic: str, event_type: str, value: bytes | None) -> tuple[Schema | None, Decision | None]:
        """Schema and decision; no decision where the map knows no such event on this topic.

        Raises PoisonError where the value is missing or is no record of the topic's schema.
        """
        if value is None or len(value) < 5:
            raise PoisonError("The event has no value, or one that is shorter than its schema id.")
        key = (topic, event_type, value[:5])
        found = self._readers.get(key)
        if found is None:
            table = self._tables.get((topic, event_type))
            if table is None:
                return None, None
            found = self._readers[key] = self._compile(topic, table, value)
        schema, table, read = found
        return schema, table.decide(read(value) if read is not None else {})

    def _compile(self, topic: str, table: RuleTable, value: bytes) -> tuple[Schema, RuleTable, Reader | None]:
        schema = self._catalog.identify(value)
        if schema.name != self._schemas.get(topic):
            raise PoisonError(f"{topic} carries {self._schemas.get(topic)}, not {schema.name}.")
        return schema, table, schema.prefix(table.fields) if table.fields else None


class RoutingStage(Stage):
    """Events in, orders, notices, signals and decisions out; the subject stays the key.

    ``calendars``, by name, are what the periods of notices are counted by; without one nothing is said of them.
    """

    def __init__(
        self, hub_map: HubMap, catalog: Catalog, now: Callable[[], datetime] = lambda: datetime.now(UTC), *,
        calendars: Mapping[str, Calendar] = MappingProxyType({}),
    ) -> None:
        self._router = Router(hub_map, catalog)
        self._builder = _builder(hub_map, catalog, calendars)
        self._now = now

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        now = Now.of(self._now())
        return [self._one(record, now) for record in records]

    def _one(self, record: Record, now: Now) -> list[Output]:
        event = Input(record, None)
        try:
            event.schema, decision = self._router.route(record.topic, event.event_type, record.value)
        except ContractError as error:
            raise PoisonError(str(error)) from error
        if decision is None:
            nobody = f"matched nobody: the map knows no {event.event_type} on {record.topic}"
            return [self._builder.decision(event, now, (), (), nobody)]
        outputs: list[Output] = []
        said: list[bytes] = []
        for match in decision.matches:
            why: str | None = None
            if match.action != match.rule.action and match.rule.kind == "channel":
                why = "no longer public: " + next(field for rule, field in decision.withheld if rule == match.rule.id)
            one, output = self._builder.build(match, event, now, why)
            outputs.append(output)
            said.append(one)
        reason: str | None = None
        if not outputs:
            held = "every rule held it back" if decision.withheld else "no rule asks for it"
            reason = f"matched nobody: {held}"
        outputs.append(self._builder.decision(event, now, said, decision.withheld, reason))
        return outputs


def _builder(hub_map: HubMap, catalog: Catalog, calendars: Mapping[str, Calendar]) -> OutputBuilder:
    views = {("channel", name): channel.view for name, channel in hub_map.channels.items()}
    views |= {("subscription", name): entry.view for name, entry in hub_map.subscriptions.items()}
    notices = {
        name: {
            "department_code": str(hub_map.departments[entry.department]["code"]),
            "expected_measures": [str(hub_map.measures[measure]["title"]) for measure in entry.measures],
            "legal_basis": entry.basis,
        }
        for name, entry in hub_map.subscriptions.items()
    }
    clocks = {
        name: ClockFields(
            _owner_code(hub_map, clock.owner),
            clock.counts_from,
            clock.until,
            clock.met_on,
            clock.every if clock.per == "period" else None,
        )
        for name, clock in hub_map.model.clocks.items()
    }
    deadlines = Deadlines(hub_map.model.clocks, hub_map.clocks, hub_map.subscriptions, calendars)
    return OutputBuilder(catalog, hub_map.version, views, notices, clocks, deadlines)


def _owner_code(hub_map: HubMap, owner: str) -> str:
    return str(hub_map.departments[owner]["code"]) if owner in hub_map.departments else owner
