"""The clocks of one partition in memory: by id, by entity, and by when each has something to say."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from hub.domain.calendar import Calendar
from hub.domain.clock_firing import next_moment
from hub.domain.clocks import ClockRule, ClockState, Status

#: A clock that was met and whose start never came: an entity that has no such clock. Kept much longer
#: than topics of one subject can be read out of step, then dropped.
AWAITING_KEPT = timedelta(days=60)
#: Types of events that the hub's own stages write; all others tell what kind of thing an entity is.
_STAGE_NOUNS = frozenset(("delivery.receipt", "disclosure.receipt", "discipline.feedback"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ClockTable(Mapping[str, ClockState]):
    """Restored from ``clock.states.v1`` and kept in step with what the stage writes there.

    It holds the values of the topic as they are, a third of what the decoded states would take, and reads one
    when it is asked for it. ``decode`` makes a state of a value.
    """

    def __init__(
        self,
        rules: Mapping[str, ClockRule],
        calendars: Mapping[str, Calendar],
        decode: Callable[[bytes], ClockState],
    ) -> None:
        self._rules = rules
        self._calendars = calendars
        self._decode = decode
        self._nouns = {name: _entity_nouns(rule) for name, rule in rules.items()}
        self._values: dict[str, bytes] = {}
        self._by_entity: dict[str, tuple[str, ...]] = {}
        #: When each clock has to be looked at again, in milliseconds; the heap may hold older moments too.
        self._moments: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __getitem__(self, clock_id: str) -> ClockState:
        return self._decode(self._values[clock_id])

    def __contains__(self, clock_id: object) -> bool:
        return clock_id in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def value(self, clock_id: str) -> bytes | None:
        """The state as it stands on the topic."""
        return self._values.get(clock_id)

    def restore(self, values: Iterable[tuple[str, bytes | None]]) -> list[str]:
        """Takes the records of the topic, oldest first; ``None`` is a tombstone. Returns as ``use_calendars`` does.

        A history only grows. An older state behind a newer one was written late by an owner that had
        lost the partition without knowing, and does not count.
        """
        for clock_id, value in values:
            known = self._values.get(clock_id)
            if value is None:
                self.remove(clock_id)
            elif known is None or len(self._decode(value).history) >= len(self._decode(known).history):
                self._values[clock_id] = value
        outdated: list[str] = []
        for clock_id, value in self._values.items():
            state = self._decode(value)
            self._enter(state)
            self._set_moment(state)
            if self._is_outdated(state):
                outdated.append(clock_id)
        self._heap = [(moment, clock_id) for clock_id, moment in self._moments.items()]
        heapq.heapify(self._heap)
        return outdated

    def use_calendars(self, calendars: Mapping[str, Calendar]) -> list[str]:
        """Counts by these from now on; returns the open clocks that were counted by another version."""
        self._calendars = calendars
        return [clock_id for clock_id, value in self._values.items() if self._is_outdated(self._decode(value))]

    def put(self, state: ClockState, value: bytes) -> int | None:
        """The state of a clock from now on, and its value; returns when to look at it again, as ``moments``."""
        if state.clock_id not in self._values:
            self._enter(state)
        self._values[state.clock_id] = value
        moment = self._set_moment(state)
        if moment is not None:
            heapq.heappush(self._heap, (moment, state.clock_id))
        return moment

    def take_back(self, clock_id: str, value: bytes | None) -> None:
        """Undoes a ``put``: the value as it was, ``None`` if there was none."""
        if value is None:
            self.remove(clock_id)
        else:
            self.put(self._decode(value), value)

    def remove(self, clock_id: str) -> None:
        """Forgets a clock."""
        value = self._values.pop(clock_id, None)
        self._moments.pop(clock_id, None)
        if value is not None:
            correlation_id = self._decode(value).correlation_id
            left = tuple(each for each in self._by_entity.get(correlation_id, ()) if each != clock_id)
            if left:
                self._by_entity[correlation_id] = left
            else:
                self._by_entity.pop(correlation_id, None)

    def moments(self) -> dict[str, int]:
        """Each clock that has to be looked at again, and when: milliseconds since the epoch."""
        return self._moments

    def pop_due(self, now: datetime) -> Iterator[ClockState]:
        """Clocks whose moment has come; each has to be ``put`` or removed by the caller."""
        until = _milliseconds(now)
        while self._heap and self._heap[0][0] <= until:
            moment, clock_id = heapq.heappop(self._heap)
            # Moments of states that have changed since stay in the heap until they come up.
            if self._moments.get(clock_id) == moment:
                yield self._decode(self._values[clock_id])

    def of_entity(self, correlation_id: str, rule: str) -> list[ClockState]:
        """All clocks of a rule for an entity, one for each target, in the order of their ids."""
        clock_ids = sorted(self._by_entity.get(correlation_id, ()))
        return [state for clock_id in clock_ids if (state := self[clock_id]).rule == rule]

    def can_ever_start(self, correlation_id: str, rule: str) -> bool:
        """Whether a clock of ``rule`` may still begin for an entity, as far as is known.

        A receipt does not say of what kind of thing it is. Where another clock runs that only another
        kind of thing starts, this one never will, and need not be awaited.
        """
        nouns = self._nouns.get(rule, frozenset())
        if not nouns:
            return True
        for clock_id in self._by_entity.get(correlation_id, ()):
            state = self[clock_id]
            others = self._nouns.get(state.rule, frozenset())
            if state.trigger_event_id is not None and others and not others & nouns:
                return False
        return True

    def _is_outdated(self, state: ClockState) -> bool:
        calendar = self._calendars.get(state.calendar)
        return state.is_open and calendar is not None and calendar.version != state.calendar_version

    def _enter(self, state: ClockState) -> None:
        others = self._by_entity.get(state.correlation_id, ())
        if state.clock_id not in others:
            self._by_entity[state.correlation_id] = (*others, state.clock_id)

    def _set_moment(self, state: ClockState) -> int | None:
        if state.status is Status.AWAITING:
            moment: datetime | None = state.history[0].at + AWAITING_KEPT
        else:
            moment = next_moment(state, self._rules.get(state.rule), self._calendars.get(state.calendar))
        if moment is None:
            self._moments.pop(state.clock_id, None)
            return None
        found = self._moments[state.clock_id] = _milliseconds(moment)
        return found


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _entity_nouns(rule: ClockRule) -> frozenset[str]:
    """What the rule's clocks are about, e.g. ``inspection.result``; empty if receipts start them."""
    nouns = {type.rpartition(".")[0] for type in rule.starts_on}
    return frozenset() if nouns & _STAGE_NOUNS else frozenset(nouns)
