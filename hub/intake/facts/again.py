"""Rows that say what they said before and are judged anew all the same: whoever had the fact has left it.

A witness would be silent for ever else, since its source has nothing to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.errors import InputError
from hub.intake.facts.turn import Turn
from hub.intake.identity.gate import IdentityGate, Uncertain
from hub.intake.rows import RowFault
from hub.intake.tentative import is_tentative
from hub.intake.versions import EventWriter, Identified
from hub.state.seen_index import SeenRow


class Again:
    """Of one source; ``gate`` where it asks the register. Raises IndexUnavailableError."""

    def __init__(self, writer: EventWriter, gate: IdentityGate | None) -> None:
        self._writer, self._gate = writer, gate

    def is_left(self, item: Identified, last: SeenRow, turn: Turn) -> bool:
        """Of a row that says what ``last`` says."""
        fact = self._fact(item, last, turn)
        return fact is not None and turn.is_left(item, last, fact)

    def left(
        self, items: Iterable[tuple[int, Identified]], known: Mapping[bytes, SeenRow], turn: Turn
    ) -> dict[int, SeenRow]:
        """Of the rows of a batch that are left, by their number there, what ``known`` has of them."""
        asked = []
        for number, item in items:
            last = known.get(item.key)
            if last is not None and last.digest == item.digest and (fact := self._fact(item, last, turn)) is not None:
                asked.append((number, item, last, fact))
        turn.ask([fact for _, _, _, fact in asked])
        return {number: last for number, item, last, fact in asked if turn.is_left(item, last, fact)}

    def _fact(self, item: Identified, last: SeenRow, turn: Turn) -> bytes | None:
        """The fact of a row that may be left; of nearly all it shows at once that they are not."""
        row, gate = item.row, self._gate
        if row.is_removed:
            return None
        try:
            if gate is not None and gate.doubts(row):
                if not _may_be(item, last, turn) or gate.waiting(item) is not None:
                    return None
                identity = gate.judge(item)
                if isinstance(identity, RowFault | Uncertain):
                    return None
                topic, subject = self._writer.address(row, identity)
            else:
                topic, subject = self._writer.address(row, None)
                is_by_code = subject == (row.value.get("party_uscc") or "").encode()
                if (is_by_code and not turn.has_others) or not _may_be(item, last, turn):
                    return None
        except InputError:
            return None
        return turn.fact(item, topic, subject)


def _may_be(item: Identified, last: SeenRow, turn: Turn) -> bool:
    return is_tentative(last) or turn.is_lost(item.key)
