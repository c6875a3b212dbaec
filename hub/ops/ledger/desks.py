"""Brings desk facts into the index: reads what stands there, joins, and says what is to be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from hub.domain.calendar import local_date
from hub.domain.desk import KEPT, ClockEntry, Counted, LeadEntry, NoticeEntry
from hub.domain.disclosed import ChannelEntry
from hub.ops.ledger.desk_facts import ELSEWHERE, FactKey, joined
from hub.state.desk_index import LEADS, Command, DeskIndex, Entry


class Desks:
    """For the owner of the ledger alone: between reading and writing nobody else changes anything."""

    def __init__(self, index: DeskIndex) -> None:
        self._index = index
        self._sweeps: Iterator[list[Command]] | None = None
        #: Those that have a desk, and those whose desk was taken away since; ``None`` until the index was asked.
        self._departments: set[str] | None = None

    def begin(self) -> None:
        """From now on nobody else writes; what somebody else wrote before is there."""
        self._sweeps = self._departments = None

    def commands(self, facts: Mapping[FactKey, Entry]) -> list[Command]:
        """What the facts change of what the index keeps."""
        facts = {key: fact for key, fact in facts.items() if key.shelf in self._index.shelves}
        if not facts:
            return []
        wanted: dict[tuple[str, str], list[str]] = defaultdict(list)
        leads = [key.id for key in facts if key.shelf == LEADS.name]
        homes = self._index.homes(leads)
        all_facts = dict(facts) | dict(moved_leads(facts, homes))
        for key in all_facts:
            wanted[key.department, key.shelf].append(key.id)
        known = self._index.many(wanted)
        if self._departments is not None:
            self._departments |= {department for department, _ in wanted}
        found: list[Command] = []
        counted: dict[str, list[tuple[Counted | None, Counted | None]]] = defaultdict(list)
        for key, fact in all_facts.items():
            old = known.get(key)
            new = joined(key.shelf, old, fact)
            found += self._index.commands(key.department, self._index.shelves[key.shelf], key.id, old, new)
            if isinstance(new, Counted) and isinstance(old, Counted | None):
                counted[key.department].append((old, new))
            if isinstance(new, LeadEntry) and new.status != ELSEWHERE and new != old:
                found.append(self._index.home_command(key.id, key.department))
        for department, changes in counted.items():
            found += self._index.score_commands(department, changes)
        return found

    def sweep(self, now: datetime) -> list[Command]:
        """The next part of what is long over and leaves the desks; goes round and round."""
        if self._sweeps is None:
            self._sweeps = self._round(local_date(now) - KEPT)
        found = next(self._sweeps, None)
        if found is None:
            self._sweeps = None
        return found or []

    def _round(self, before: date) -> Iterator[list[Command]]:
        if self._departments is None:
            # Looks through all keys of the index, which is why it is asked once.
            self._departments = self._index.departments()
        for department in sorted(self._departments):
            yield self._index.empty_marks(department)
            for shelf in self._index.shelves.values():
                cursor = 0
                while True:
                    cursor, entries = self._index.part(department, shelf, cursor)
                    found: list[Command] = []
                    left: list[tuple[ClockEntry | None, ClockEntry | None]] = []
                    for id, entry in entries.items():
                        if is_over(entry, before):
                            found += self._index.commands(department, shelf, id, entry, None)
                            if isinstance(entry, ClockEntry):
                                left.append((entry, None))
                            elif isinstance(entry, LeadEntry) and entry.status != ELSEWHERE:
                                found.append(self._index.home_command(id, None))
                    yield found + self._index.score_commands(department, left)
                    if cursor == 0:
                        break


def moved_leads(facts: Mapping[FactKey, Entry], homes: Mapping[str, str]) -> Iterator[tuple[FactKey, Entry]]:
    """Of leads that somebody else handles now: what stands on the desk of who had them before."""
    latest: dict[str, tuple[LeadEntry, FactKey]] = {}
    places: dict[str, set[FactKey]] = defaultdict(set)
    for key, entry in facts.items():
        if isinstance(entry, LeadEntry):
            places[key.id].add(key)
            latest[key.id] = max(latest.get(key.id, (entry, key)), (entry, key), key=lambda each: each[0].sequence)
    for id, (entry, owner) in latest.items():
        if id in homes:
            places[id].add(FactKey(homes[id], LEADS.name, id))
        for key in places[id] - {owner}:
            yield key, entry._replace(status=ELSEWHERE, closed_on=entry.received_on)


def is_over(entry: Entry, before: date) -> bool:
    """Whether it ended before that day and nobody waits for it any more."""
    if isinstance(entry, ChannelEntry):
        return False  # what is public is so until it is withdrawn, and what was withdrawn may come again
    if isinstance(entry, ClockEntry):
        if entry.is_open:
            return False
        said_on = local_date(datetime.fromtimestamp(entry.stamp / 1000, UTC))
        last = max((day for day in (entry.ended_on, entry.breached_on) if day), default="")
        return said_on < before and last < before.isoformat()
    if isinstance(entry, NoticeEntry):
        return not entry.is_waiting and local_date(datetime.fromtimestamp(entry.last_ms / 1000, UTC)) < before
    return entry.closed_on is not None and entry.closed_on < before.isoformat()
