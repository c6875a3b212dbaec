"""Holds the index against the log: every fact, name and desk that the log gives, and nothing else.

The log is read whole, and what it says is put together in memory by plain means: some 500 bytes a record. Compared is
what the index says that it holds whole (from its first hour on); of a compacted topic the index may still name a
record that the log has let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

from hub.bus.records import Record
from hub.domain.desk import ClockEntry, Counted, LeadEntry, Mark, marks_of
from hub.ops.ledger.desk_facts import ELSEWHERE, FactKey, joined
from hub.ops.ledger.desks import is_over, moved_leads
from hub.ops.ledger.reading import RecordReader
from hub.state.desk_index import DeskIndex, Entry
from hub.state.ledger_index import HOUR_MS, NO_ID, NO_KEY, LedgerIndex, Place, unpack_place
from hub.state.ledger_scripts import ITEM_BYTES

_BATCH = 2000
_EXAMPLES = 5


@dataclass
class Comparison:
    """What was compared, and what differs: each a line that names it, the first few of each kind."""

    facts: int = 0
    records: int = 0
    desks: int = 0
    entries: int = 0
    differences: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        return not self.differences

    def differs(self, kind: str, what: str) -> None:
        self.differences[kind] = self.differences.get(kind, 0) + 1
        if self.differences[kind] <= _EXAMPLES:
            self.examples.append(f"{kind}: {what}")

    def as_dict(self) -> dict[str, Any]:
        return {"is_same": self.is_same, **vars(self)}


class LogModel:
    """What the log says, record by record. ``offsets``: up to where; what stands behind is not counted."""

    def __init__(self, reader: RecordReader, offsets: dict[tuple[str, int], int]) -> None:
        self._reader, self._offsets = reader, offsets
        #: Fact -> the records that it has, each under its place or, in a compacted topic, under its key.
        self.entities: dict[bytes, dict[bytes, tuple[Place, int]]] = {}
        self.ids: dict[bytes, bytes] = {}
        self.facts: dict[FactKey, Entry] = {}

    def add(self, records: Iterable[Record]) -> None:
        rest = iter(records)
        while batch := list(islice(rest, _BATCH)):
            self._add([each for each in batch if each.offset < self._offsets.get((each.topic, each.partition), 0)])

    def _add(self, records: list[Record]) -> None:
        found = self._reader.read(records)
        for at in range(0, len(found.items), ITEM_BYTES):
            part = found.items[at : at + ITEM_BYTES]
            entity, place, key, hour, id = part[:10], unpack_place(part[10:18]), part[18:22], part[22:26], part[26:36]
            of_entity = self.entities.setdefault(entity, {})
            name = part[10:18] if key == NO_KEY else part[10:13] + key
            if name not in of_entity or of_entity[name][0] < place:
                of_entity[name] = (place, int.from_bytes(hour, "big") * HOUR_MS)
            if id != NO_ID:
                self.ids[id] = entity
        for fact_key, entry in found.facts.items():
            self.facts[fact_key] = joined(fact_key.shelf, self.facts.get(fact_key), entry)


def compare(
    model: LogModel, index: LedgerIndex, desks: Iterable[DeskIndex], compacted: frozenset[int], before: date
) -> Comparison:
    """``desks`` are those of departments and of channels, ``compacted`` the numbers of compacted topics; what was over
    ``before`` that day counts no more."""
    result = Comparison()
    _compare_facts(model, index, compacted, result)
    for each in desks:
        _compare_desks(model, each, before, result)
    return result


def _compare_facts(model: LogModel, index: LedgerIndex, compacted: frozenset[int], result: Comparison) -> None:
    floor = index.floor_ms()
    held = {entity: set(places) for entity, _, places in index.dump()}
    for entity, records in model.entities.items():
        places = {place: at for place, at in records.values()}
        found = held.pop(entity, set())
        needed = {place for place, at in places.items() if at >= floor}
        result.facts += bool(needed or found)
        result.records += len(needed)
        for place in needed - found:
            result.differs("missing record", f"{entity.hex()} at {tuple(place)}")
        for place in found - places.keys():
            if place.topic not in compacted:
                result.differs("record that is not on the log", f"{entity.hex()} at {tuple(place)}")
    for entity, found in held.items():
        if any(place.topic not in compacted for place in found):
            result.differs("fact that is not on the log", entity.hex())
    known = index.names()
    for id, entity in model.ids.items():
        is_held = any(at >= floor for _, at in model.entities[entity].values())
        if known.pop(id, None if is_held else entity) != entity:
            result.differs("id", id.hex())
    for id in known:
        result.differs("id that is not on the log", id.hex())


def _compare_desks(model: LogModel, desks: DeskIndex, before: date, result: Comparison) -> None:
    wanted: dict[str, dict[str, dict[str, Entry]]] = {}
    for key, entry in (model.facts | dict(moved_leads(model.facts, {}))).items():
        if key.shelf in desks.shelves and not _is_elsewhere(entry) and not is_over(entry, before):
            wanted.setdefault(key.department, {}).setdefault(key.shelf, {})[key.id] = entry
    for department in sorted(wanted.keys() | desks.departments()):
        result.desks += 1
        marks: dict[Mark, int] = {}
        for shelf in desks.shelves.values():
            of_log = wanted.get(department, {}).get(shelf.name, {})
            found = {
                id: entry for id, entry in desks.all(department, shelf).items()
                if not _is_elsewhere(entry) and not is_over(entry, before)
            }
            result.entries += len(of_log)
            for id in of_log.keys() | found.keys():
                if of_log.get(id) != found.get(id):
                    result.differs(f"desk: {shelf.name}", f"{department} {id}")
            _compare_orders(desks, department, shelf, of_log.values(), result)
            for entry in of_log.values():
                for mark in marks_of(entry) if isinstance(entry, Counted) else ():
                    marks[mark] = marks.get(mark, 0) + 1
        counted = {mark: count for mark, count in desks.marks(department) if count}
        for mark in marks.keys() | counted.keys():
            if _is_recent(mark, before) and marks.get(mark, 0) != counted.get(mark, 0):
                said = f"{department} {'|'.join(mark)}: {counted.get(mark, 0)}, the log says {marks.get(mark, 0)}"
                result.differs("count", said)


def _compare_orders(
    desks: DeskIndex, department: str, shelf: Any, entries: Iterable[Entry], result: Comparison
) -> None:
    orders: dict[str, set[str]] = {name: set() for name in shelf.orders}
    for entry in entries:
        for name, place in shelf.places(entry).items():
            orders[name].add(place)
    for name, most in shelf.most.items():
        orders[name] = set(sorted(orders[name])[-most:])
    for name, places in orders.items():
        # What is long over may still stand in an order of all, until the sweep comes by.
        found = set(desks.order(department, name))
        for place in places - found if name == "inbox" else places ^ found:
            result.differs(f"order: {name}", f"{department} {place}")


def _is_recent(mark: Mark, before: date) -> bool:
    return not mark.day or mark.day >= before.isoformat()


def _is_elsewhere(entry: Entry) -> bool:
    return isinstance(entry, ClockEntry | LeadEntry) and entry.status == ELSEWHERE


def read_all(records: Iterator[Record], reader: RecordReader, offsets: dict[tuple[str, int], int]) -> LogModel:
    """The model of all these records."""
    model = LogModel(reader, offsets)
    model.add(records)
    return model
