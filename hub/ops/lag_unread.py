"""What a group has not read, as the clocks that wait for it: read once from the log, and kept while it is unread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from hub.bus.records import Record, header
from hub.bus.spans import Span, SpanReader
from hub.contracts.catalog import Catalog
from hub.domain.at_risk import ClockKey, ClocksMet, Task
from hub.domain.clocks import ClockRule, clock_id
from hub.domain.lag import GroupLook, Place, PlaceLook
from hub.errors import ContractError, PoisonError

#: Receipts that may come of an order, by its action. What was refused or left out meets no clock.
ORDER_RECEIPTS: Mapping[str, frozenset[str]] = {
    action: frozenset(f"disclosure.receipt.{outcome}" for outcome in outcomes)
    for action, outcomes in (
        ("publish", ("published", "replaced", "unchanged")),
        ("amend", ("published", "replaced", "unchanged")),
        ("withdraw", ("withdrawn", "unchanged")),
    )
}
_DELIVERED = frozenset(("delivery.receipt.delivered",))
_SIGNALS = "clock.signals.v1"
_NOTHING: frozenset[str] = frozenset()


class Role(NamedTuple):
    """What a group does with a record: ``channel`` and ``subscription`` answer it, for the outlet of that name;
    ``itself`` is for groups to which the record's own type says all; ``none`` meets no clock."""

    kind: Literal["channel", "subscription", "itself", "none"]
    outlet: str = ""


class Unread(NamedTuple):
    """Clocks by the place where a record waits for them; ``unseen`` records were not looked at."""

    clocks: Mapping[Place, frozenset[ClockKey]]
    unseen: int


class ClocksOfRecord:
    """Reads which clocks a record of a group's backlog meets. What cannot be read meets none: its stage will say so."""

    def __init__(self, catalog: Catalog, rules: Mapping[str, ClockRule]) -> None:
        self._catalog, self._met = catalog, ClocksMet(rules)
        self._readers: dict[int, Callable[[bytes], dict[str, Any]]] = {}

    def of(self, role: Role, record: Record) -> frozenset[str]:
        """Ids of clocks, whether or not there are such."""
        try:
            return self._of(role, record)
        except (ContractError, PoisonError, UnicodeDecodeError):
            return _NOTHING

    def _of(self, role: Role, record: Record) -> frozenset[str]:
        type, correlation = (header(record.headers, name) for name in ("ce_type", "ce_correlationid"))
        if record.value is None or type is None or correlation is None or role.kind == "none":
            return _NOTHING
        if role.kind == "itself":
            return self._of_itself(record, type.decode(), correlation.decode())
        fields = self._fields(record.value)
        if fields.get(role.kind) != role.outlet:
            return _NOTHING  # of another channel, or a command
        action = fields["action"]
        is_order = role.kind == "channel"
        return self._met.of(Task(
            fields["correlation_id"], ORDER_RECEIPTS.get(action, _NOTHING) if is_order else _DELIVERED,
            fields["event_type"], **{role.kind: role.outlet}, action=action,
        ))

    def _of_itself(self, record: Record, type: str, correlation: str) -> frozenset[str]:
        assert record.value is not None
        if record.topic == _SIGNALS:
            value = self._catalog.decode(record.value)[1]
            found = clock_id(value["correlation_id"], value["rule"], value["target"])
            return frozenset((found,)) if value["kind"] == "meet" else _NOTHING
        task = Task(correlation, frozenset((type,)))
        if type.split(".")[1] in ("receipt", "feedback"):
            value = self._catalog.decode(record.value)[1]
            task = task._replace(
                event_type=value.get("event_type"), channel=value.get("channel"),
                subscription=value.get("subscription"), action=value.get("action") or "apply",
            )
        return self._met.of(task)

    def _fields(self, value: bytes) -> dict[str, Any]:
        """The fields that matter; those behind them, the content among them, are not decoded."""
        schema = self._catalog.identify(value)
        read = self._readers.get(schema.id)
        if read is None:
            wanted = {"correlation_id", "event_type", "channel", "subscription", "action"}
            read = self._readers[schema.id] = schema.prefix(wanted & {field.name for field in schema.fields})
        return read(value)


@dataclass
class _Shelf:
    """What was read of one place, from ``begin`` to ``read_to``: (offset, ids) of those that meet clocks."""

    begin: int
    read_to: int
    kept: deque[tuple[int, frozenset[str]]] = field(default_factory=deque)


class UnreadBook:
    """The backlog of one group. A record is read from the log once; ``limit`` bounds what is kept, and what is read at
    a look: beyond it records are counted as unseen until others are done."""

    def __init__(self, clocks_of: ClocksOfRecord, role: Role, *, limit: int = 20_000) -> None:
        self._clocks_of, self._role, self._limit = clocks_of, role, limit
        self._shelves: dict[Place, _Shelf] = {}

    def look(self, look: GroupLook, reader: SpanReader) -> Unread:
        """Brings the book up to a look at its group. Raises BrokerError."""
        if self._role.kind == "none":
            return Unread({}, 0)
        unread = [each for each in look.places if each.is_unread]
        self._shelves = {each.place: self._shelf(each) for each in unread}
        room = self._limit - sum(len(shelf.kept) for shelf in self._shelves.values())
        spans = self._spans(unread, room)
        for records in reader.read(spans) if spans else ():
            for record in records:
                if ids := self._clocks_of.of(self._role, record):
                    self._shelves[record.topic, record.partition].kept.append((record.offset, ids))
        for place, span in spans.items():
            self._shelves[place].read_to = span.end
        return Unread(
            {place: frozenset((place[1], id) for _, ids in shelf.kept for id in ids)
             for place, shelf in self._shelves.items()},
            sum(max(each.end - self._shelves[each.place].read_to, 0) for each in unread),
        )

    def _shelf(self, each: PlaceLook) -> _Shelf:
        shelf = self._shelves.get(each.place)
        # After a rewind, what was dropped is unread again; a topic that was made anew has other records.
        if shelf is None or each.position < shelf.begin or each.end < shelf.read_to:
            return _Shelf(each.position, each.position)
        while shelf.kept and shelf.kept[0][0] < each.position:
            shelf.kept.popleft()
        shelf.begin, shelf.read_to = each.position, max(shelf.read_to, each.position)
        return shelf

    def _spans(self, unread: Sequence[PlaceLook], room: int) -> dict[Place, Span]:
        """What is read now, the same share of the room for each place, so that none hides behind another."""
        left = {each.place: each.end - self._shelves[each.place].read_to for each in unread}
        spans: dict[Place, Span] = {}
        for number, (place, count) in enumerate(sorted(left.items(), key=lambda pair: pair[1])):
            share = min(count, max(room, 0) // (len(left) - number))
            room -= share
            if share > 0:
                begin = self._shelves[place].read_to
                spans[place] = Span(begin, begin + share)
        return spans
