"""What can be said of the facts of a batch without asking the book: which they are, and what makes an event the owner
of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from hub.domain.facts import OWN_SYSTEM, FactRule, Way
from hub.intake.facts.claims import Claims, Ends
from hub.intake.facts.columns import FactColumns
from hub.intake.versions import EventWriter, Identified


class EarlyFacts(NamedTuple):
    """Of the rows of a batch that say a code; whether it is a valid one shows later. ``seen`` is, by the id of a row
    of ``rows``, the code and the fact under it."""

    facts: Sequence[bytes]
    rows: Sequence[Identified] = ()
    seen: Mapping[int, tuple[str, bytes]] = {}

    def of(self, items: Sequence[Identified]) -> list[bytes | None]:
        """The fact of each."""
        seen = self.seen
        return [found[1] if (found := seen.get(number)) is not None else None for number in map(id, items)]


class FactMaker:
    """Of one source, which reports by ``way``; used by one thread. ``rules`` are those of the topics that declare
    facts."""

    def __init__(
        self, source: str, rules: Mapping[str, FactRule], writer: EventWriter, way: Way = OWN_SYSTEM
    ) -> None:
        self.source, self.rules, self.writer, self.way = source, rules, writer, way
        # Dates and codes come again and again.
        self.digest = lru_cache(maxsize=1 << 14)(self._digest)
        self._columns: dict[str, FactColumns] = {}
        self.claims = Claims(source, way)

    def _digest(self, text: str) -> str:
        return self.writer.keyed(text, 4).hex()

    def early(self, items: Sequence[object]) -> EarlyFacts | None:
        """``None`` if none of the rows among ``items`` is of a topic that declares facts."""
        rows = [item for item in items if type(item) is Identified]
        seen: dict[int, tuple[str, bytes]] = {}
        is_concerned = False
        for kind in {item.row.kind for item in rows}:
            topic = self.writer.target(kind)[0]
            if topic not in self.rules:
                continue
            is_concerned = True
            asked = [item for item in rows if item.row.kind == kind and item.row.value.get("party_uscc")]
            codes = [item.row.value["party_uscc"] for item in asked]
            facts = self._columns_of(topic).facts([item.row.value for item in asked], codes)
            for item, code, fact in zip(asked, codes, facts, strict=True):
                if fact is not None:
                    seen[id(item)] = (code, fact)
        # Rows are kept so that no other gets the id of one.
        return EarlyFacts([fact for _, fact in seen.values()], rows, seen) if is_concerned else None

    def ends(self, topic: str, items: Sequence[Identified]) -> list[Ends]:
        """What ``claims.make`` needs to know of the content of rows of a topic that declares facts."""
        contents = self._columns_of(topic).contents([item.row.value for item in items])
        return self.claims.ends([item.row.state_type for item in items], contents)

    def _columns_of(self, topic: str) -> FactColumns:
        found = self._columns.get(topic)
        if found is None:
            keyed_all = self.writer.keyed_all(begin_of(topic), 16)
            found = self._columns[topic] = FactColumns(self.rules[topic], keyed_all, self.digest)
        return found


def begin_of(topic: str) -> str:
    """What the text of every fact of a topic begins with."""
    return f"fact\x1f{topic}\x1f"
