"""Holdings out of the topic that says who was sent what, and out of the ledger's index what became of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from hub.bus.records import Record
from hub.ops.holdings import DELIVERIES, FEEDBACK, HOLDINGS, INBOX, Held, fold
from hub.ops.holdings_shelf import HoldingsShelf, Line
from hub.ops.ledger.queries import records_of
from hub.ops.ledger.view import Ledger
from hub.web.either import NotHeldError, either
from hub.web.readers import Holdings, Position, holding_position

#: What was sent within so long and is not in the index yet waits; what is older and not there is gone from the log.
_BEHIND = timedelta(days=1)
#: Facts of other versions that are looked at together, and for one question. One that is found to be up to date is not
#: looked at again until it changes, so who asks again and again comes to their end.
_PART, _MOST = 100, 1000


class LedgerHoldings:
    """A page is its lines off the shelf, and the records of their facts."""

    def __init__(
        self, ledger: Ledger, log: Holdings, shelf: HoldingsShelf, now: Callable[[], datetime], *, most: int = _MOST
    ) -> None:
        self._ledger, self._log, self._shelf, self._now, self._most = ledger, log, shelf, now, most

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, only_stale: bool = False,
    ) -> Sequence[Held]:
        def by_index() -> list[Held]:
            known = self._ledger.map.subscriptions
            names = known.keys() if subscriptions is None else subscriptions
            self._shelf.read_on()
            if only_stale:
                return self._stale(names, after, limit)
            return self._told(self._shelf.lines(names, after, limit))

        return either(
            self._ledger, by_index, lambda: self._log.page(subscriptions, after, limit, only_stale=only_stale)
        )

    def _stale(self, names: Collection[str], after: Position | None, limit: int) -> list[Held]:
        found: list[Held] = []
        looked = 0
        while lines := self._shelf.lines(names, after, _PART, only_doubtful=True):
            looked += len(lines)
            if looked > self._most:
                raise NotHeldError
            for line, held in zip(lines, self._told(lines), strict=True):
                if held.stale is not None:
                    found.append(held)
                elif _is_settled(held, self._sequence(line)):
                    self._shelf.settle(line)
            if len(found) >= limit:
                break
            after = lines[-1].position
        return found[:limit]

    def _told(self, lines: Sequence[Line]) -> list[Held]:
        floor = self._ledger.index.floor_ms()
        if floor and any(not self._is_held_whole(line, floor) for line in lines):
            raise NotHeldError
        topics = frozenset((*(INBOX + line.position[2] for line in lines), DELIVERIES, FEEDBACK))
        values = {line.position[:2]: line.value for line in lines}
        facts = [Record(HOLDINGS, 0, 0, 0, repr(fact).encode(), value, []) for fact, value in values.items()]
        records = records_of(self._ledger, (correlation_id for correlation_id, _ in values), topics)
        found = fold(
            [*facts, *records], self._ledger.catalog, self._ledger.map.subscriptions,
            changed_since=self._now() - _BEHIND,
        )
        by_position = {holding_position(each): each for each in found}
        return [by_position[line.position] for line in lines]

    def _is_held_whole(self, line: Line, floor: int) -> bool:
        """Whether the index, which has let go of what is older than ``floor`` (milliseconds), has all of a fact."""
        fact = self._ledger.catalog.decode(line.value)[1]
        return len(fact["routed"]) == 1 and fact["changed_at"].timestamp() * 1000 >= floor

    def _sequence(self, line: Line) -> int:
        """Of the last notice of a subscription."""
        holders = self._ledger.catalog.decode(line.value)[1]["holders"]
        return next(int(each["sequence"]) for each in holders if each["subscription"] == line.position[2])


def _is_settled(held: Held, last: int) -> bool:
    """Whether the last notice was handed over: what else may come of the fact changes its holding first."""
    return held.delivered is not None and held.delivered.sequence >= last
