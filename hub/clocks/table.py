"""The clocks of one partition in memory: by id, by entity, and by when each has something to say."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from hub.domain.calendar import Calendar
from hub.domain.clock_firing import next_moment
from hub.domain.clocks import ClockRule, ClockState, Status

#: A clock that was met and whose start never came: an entity that has no such clock. Kept much longer
#: than topics of one subject can be read out of step, then dropped.
AWAITING_KEPT = timedelta(days=60)
#: Types of events that the hub's own stages write; all others tell what kind of thing an entity is.
_STAGE_NOUNS = frozenset(("delivery.receipt", "disclosure.receipt", "discipline.feedback"))


class ClockTable:
    """Restored from ``clock.states.v1`` and kept in step with what the stage writes there."""

    def __init__(self, rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar]) -> None:
        self._rules = rules
        self._calendars = calendars
        self._nouns = {name: _entity_nouns(rule) for name, rule in rules.items()}
        self.states: dict[str, ClockState] = {}
        self._by_entity: dict[str, set[str]] = defaultdict(set)
        self._heap: list[tuple[datetime, str]] = []

    def restore(self, states: Iterable[tuple[str, ClockState | None]]) -> None:
        """Takes the records of the topic, oldest first; ``None`` is a tombstone.

        A history only grows. An older state behind a newer one was written late by an owner that had
        lost the partition without knowing, and does not count.
        """
        for clock_id, state in states:
            known = self.states.get(clock_id)
            if state is None:
                self.remove(clock_id)
            elif known is None or len(state.history) >= len(known.history):
                self.states[clock_id] = state
        for state in self.states.values():
            self.put(state)

    def put(self, state: ClockState) -> None:
        """The state of a clock from now on."""
        self.states[state.clock_id] = state
        self._by_entity[state.correlation_id].add(state.clock_id)
        moment = self.moment(state)
        if moment is not None:
            heapq.heappush(self._heap, (moment, state.clock_id))

    def remove(self, clock_id: str) -> None:
        """Forgets a clock."""
        state = self.states.pop(clock_id, None)
        if state is not None:
            self._by_entity[state.correlation_id].discard(clock_id)

    def moment(self, state: ClockState) -> datetime | None:
        """When the clock has to be looked at again."""
        if state.status is Status.AWAITING:
            return state.history[0].at + AWAITING_KEPT
        return next_moment(state, self._rules.get(state.rule), self._calendars.get(state.calendar))

    def pop_due(self, now: datetime) -> Iterator[ClockState]:
        """Clocks whose moment has come; each has to be ``put`` or removed by the caller."""
        while self._heap and self._heap[0][0] <= now:
            moment, clock_id = heapq.heappop(self._heap)
            state = self.states.get(clock_id)
            # Entries of states that have changed since stay in the heap until they come up.
            if state is not None and self.moment(state) == moment:
                yield state

    def of_entity(self, correlation_id: str, rule: str) -> list[ClockState]:
        """All clocks of a rule for an entity, one for each target, in the order of their ids."""
        clock_ids = sorted(self._by_entity.get(correlation_id, ()))
        return [state for clock_id in clock_ids if (state := self.states[clock_id]).rule == rule]

    def can_ever_start(self, correlation_id: str, rule: str) -> bool:
        """Whether a clock of ``rule`` may still begin for an entity, as far as is known.

        A receipt does not say of what kind of thing it is. Where another clock runs that only another
        kind of thing starts, this one never will, and need not be awaited.
        """
        nouns = self._nouns.get(rule, frozenset())
        if not nouns:
            return True
        for clock_id in self._by_entity.get(correlation_id, ()):
            state = self.states[clock_id]
            others = self._nouns.get(state.rule, frozenset())
            if state.trigger_event_id is not None and others and not others & nouns:
                return False
        return True


def _entity_nouns(rule: ClockRule) -> frozenset[str]:
    """What the rule's clocks are about, e.g. ``inspection.result``; empty if receipts start them."""
    nouns = {type.rpartition(".")[0] for type in rule.starts_on}
    return frozenset() if nouns & _STAGE_NOUNS else frozenset(nouns)
