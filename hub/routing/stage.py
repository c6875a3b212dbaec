"""The routing stage: every event ends in outputs, or in a recorded "matched nobody".

It remembers on ``routing.holdings.v1`` who was sent what, so that whatever takes a fact back reaches those who got it.
A version that stands there is routed already, and everything that it brought is on the log: read again, it brings
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, cast

from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.bus.table_loader import Loader
from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.map import HubMap
from hub.domain.calendar import Calendar
from hub.domain.events import output_id
from hub.domain.publicity import IS_PUBLIC, NONPUBLIC_REASON
from hub.domain.recall import Holder, Holding, NoticeAction, after, is_recallable, routed_before
from hub.domain.routing import Decision, Match, RuleTable
from hub.errors import ContractError, PoisonError
from hub.routing.deadline import Deadlines
from hub.routing.event import Input
from hub.routing.holdings import EVENT_TYPE, HoldingTable, key_of
from hub.routing.outputs import ClockFields, Now, OutputBuilder
from hub.routing.terms import PublicationTerms

#: Of a decision's reason; as long as a schema lets it be.
MAX_REASON = 500

Reader = Callable[[bytes], Mapping[str, Any]]


class Router:
    """Decides; no I/O. The fields that the rules ask for are read from the front of the value alone."""

    def __init__(self, hub_map: HubMap, catalog: Catalog) -> None:
        self._tables = hub_map.rule_tables()
        self._catalog = catalog
        self._schemas = {name: topic.schema_ for name, topic in hub_map.topics.items() if topic.schema_ is not None}
        self._readers: dict[tuple[str, str, bytes], tuple[Schema, RuleTable, Reader | None]] = {}

    def table(self, topic: str, event_type: str, value: bytes | None) -> tuple[Schema, RuleTable, Reader | None] | None:
        """Schema, rules and reader of the fields that they ask for; ``None`` where the map knows no such event.

        Raises PoisonError where the value is missing or is no record of the topic's schema.
        """
        if value is None or len(value) < 5:
            raise PoisonError("The event has no value, or one that is shorter than its schema id.")
        key = (topic, event_type, value[:5])
        found = self._readers.get(key)
        if found is None:
            table = self._tables.get((topic, event_type))
            if table is None:
                return None
            found = self._readers[key] = self._compile(topic, table, value)
        return found

    def _compile(self, topic: str, table: RuleTable, value: bytes) -> tuple[Schema, RuleTable, Reader | None]:
        schema = self._catalog.identify(value)
        if schema.name != self._schemas.get(topic):
            raise PoisonError(f"{topic} carries {self._schemas.get(topic)}, not {schema.name}.")
        return schema, table, schema.prefix(table.fields) if table.fields else None

    def decide(
        self, record: Record, event_type: str, holding: Holding | None = None, sequence: int = 1
    ) -> tuple[Schema, RuleTable, Decision] | None:
        """What the rules make of an event; ``None`` where the map knows no such event on its topic.

        Raises PoisonError as ``table`` does, or where the value cannot be read.
        """
        found = self.table(record.topic, event_type, record.value)
        if found is None:
            return None
        schema, table, read = found
        fields = read(record.value) if read is not None and record.value is not None else {}
        return schema, table, table.decide(fields, holding, sequence, record.timestamp)


class RoutingStage(Stage):
    """Events in, orders, notices, signals and decisions out; the subject stays the key.

    ``loader`` reads ``routing.holdings.v1``; without it nobody holds anything to begin with. ``calendars``, by name,
    are what the periods of notices are counted by; without one nothing is said of them.
    """

    def __init__(
        self,
        hub_map: HubMap,
        catalog: Catalog,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        loader: Loader | None = None,
        *,
        calendars: Mapping[str, Calendar] = MappingProxyType({}),
    ) -> None:
        self._router, self._catalog = Router(hub_map, catalog), catalog
        self._builder = _builder(hub_map, catalog, calendars)
        self._now = now
        topics = hub_map.model.topics
        #: Topics on which an event can take back what another said.
        self._recallable = frozenset(name for name, topic in topics.items() if is_recallable(topic.events))
        # What a former map had is as long as anything can be.
        kept = {name: topic.retention for name, topic in topics.items()}
        self._holdings = HoldingTable(catalog, loader, lambda topic: kept.get(topic, timedelta.max))

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._holdings.on_assigned(partitions)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._holdings.on_revoked(partitions)

    def take_back(self) -> None:
        self._holdings.take_back()

    def tick(self, now: datetime) -> Sequence[Sequence[Output]]:
        return [self._holdings.forget_closed(now)]

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        now = Now.of(self._now())
        self._holdings.begin()
        try:
            return [self._one(record, now) for record in records]
        except BaseException:
            # All or nothing: the lane calls again for each record, and what none of them wrote must not be remembered.
            self._holdings.take_back()
            raise

    def _one(self, record: Record, now: Now) -> list[Output]:
        event = Input(record, None)
        key, holding = b"", None
        if record.topic in self._recallable:
            key = key_of(record.topic, event.correlation)
            holding = self._holdings.get(record.partition, key)
            if routed_before(holding, event.sequence):
                return []
        try:
            found = self._router.decide(record, event.event_type, holding, event.sequence)
        except ContractError as error:
            raise PoisonError(str(error)) from error
        if found is None:
            nobody = f"matched nobody: the map knows no {event.event_type} on {record.topic}"
            return [self._builder.decision(event, now, (), (), nobody)]
        event.schema, table, decision = found
        outputs: list[Output] = []
        said: list[bytes] = []
        sent: list[tuple[Match, str]] = []
        for match in decision.matches:
            why = match.reason
            if match.action != match.rule.action and match.rule.kind == "channel":
                why = "no longer public: " + next(field for rule, field in decision.withheld if rule == match.rule.id)
            one, id, output = self._builder.build(match, event, now, why)
            outputs.append(output)
            said.append(one)
            if match.rule.kind == "subscription":
                sent.append((match, id))
        outputs.append(self._decision(event, now, said, decision, bool(outputs)))
        # A fact that was taken back before anybody got it is noted, too: an older version that comes late, or again
        # under another map, is sent to nobody.
        if key and (sent or holding is not None or (table.effect == "lift" and table.is_read)):
            outputs.append(self._remember(key, holding, event, sent, now))
        return outputs

    def _decision(self, event: Input, now: Now, said: Sequence[bytes], of: Decision, is_matched: bool) -> Output:
        reason: str | None = None
        if not is_matched:
            held = "every rule held it back" if of.withheld else "no rule asks for it"
            reason = f"matched nobody: {held}"
        withheld = [(rule, f"{field} does not hold{self._because(event, field)}") for rule, field in of.withheld]
        return self._builder.decision(event, now, said, [*withheld, *of.unsent], reason)

    def _because(self, event: Input, field: str) -> str:
        """Why the department keeps a record from the public, in its words, as far as the public view may show them."""
        if field != IS_PUBLIC or event.schema is None or all(f.name != NONPUBLIC_REASON for f in event.schema.fields):
            return ""
        value = event.value()
        said = value.get(NONPUBLIC_REASON)
        if not said:
            return ": the department gives no reason"
        return f": {self._catalog.projection(event.schema, 'public').clean(value, said)[:MAX_REASON]}"

    def _remember(
        self, key: bytes, holding: Holding | None, event: Input, sent: Sequence[tuple[Match, str]], now: Now
    ) -> Output:
        headers = event.caused(output_id(event.event_id, "holding"), EVENT_TYPE, now.text)
        partition, view_of = event.record.partition, self._builder.view_of
        if holding is None:
            codec, given, moment = self._holdings.codec, event.headers, now.milliseconds
            first = [
                codec.holder(
                    match.target.encode(), view_of(match).encode(), match.action.encode(), id.encode(),
                    event.sequence, moment,
                )
                for match, id in sent
            ]
            value = codec.first(
                event.record.topic.encode(), event.correlation, given["ce_subject"], given["ce_type"],
                event.sequence, moment, first,
            )  # fmt: skip
            return self._holdings.put_value(partition, key, value, headers)
        this = Holding(
            event.record.topic, event.correlation.decode(), event.subject, event.event_type, event.sequence,
            (event.sequence,), now.milliseconds, (),
        )
        told = [
            Holder(
                match.target, view_of(match), cast("NoticeAction", match.action), id, event.sequence, now.milliseconds
            )
            for match, id in sent
        ]
        return self._holdings.put(partition, key, after(holding, this, told), headers)


def _builder(hub_map: HubMap, catalog: Catalog, calendars: Mapping[str, Calendar]) -> OutputBuilder:
    views: dict[tuple[str, str], str] = {("channel", name): each.view for name, each in hub_map.channels.items()}
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
    terms = PublicationTerms(hub_map.model.clocks, hub_map.clocks, hub_map.routes)
    return OutputBuilder(catalog, hub_map.version, views, notices, clocks, deadlines, terms)


def _owner_code(hub_map: HubMap, owner: str) -> str:
    return str(hub_map.departments[owner]["code"]) if owner in hub_map.departments else owner
