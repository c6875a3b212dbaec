"""The clocks stage: folds signals into clocks, and says when one is about to run out or has.

Its memory is a copy of ``clock.states.v1``, read when a partition is assigned. Redis holds an index for
those who ask what is due; the stage itself never reads it and goes on without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import structlog

from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.clocks.loader import StateLoader
from hub.clocks.table import ClockTable
from hub.clocks.wire import RECEIPTS, SIGNALS, STATES, SignalReader, StateWriter, state_from_value
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.domain.calendar import Calendar, PublishedCalendar
from hub.domain.clock_firing import fire
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockRule, ClockState, Signal, Status
from hub.domain.events import Envelope
from hub.errors import ContractError, IndexUnavailableError

log = structlog.get_logger()

#: Asked at every tick: the calendars in force by name if they have changed since it was asked last, else ``None``.
CalendarNews = Callable[[], Mapping[str, PublishedCalendar] | None]

#: An index that did not answer is left alone for this long: each try costs its socket timeout.
_INDEX_PAUSE = timedelta(seconds=15)
#: Alerts that can be said again if their writing failed; the lane has no more than a few seconds of
#: outputs on their way, and a mass listing breaches some thousands of clocks at one midnight.
_ALERTS_KEPT = 20_000


class DueIndexWriter(Protocol):
    """What the stage needs of an index; both raise IndexUnavailableError."""

    def put(self, partition: int, moments: Mapping[str, datetime | None]) -> None: ...

    def replace(self, partition: int, moments: Mapping[str, datetime]) -> None: ...


class _Raised(NamedTuple):
    partition: int
    clock_id: str
    output: Output


class ClocksStage(Stage):
    """One stage for any number of partitions.

    ``loader`` reads the states of a partition; it is called before the first record of it is handled
    and may raise a retryable error, which the lane answers by waiting. ``departments`` maps ids of
    departments to codes, for rules that name one as ``owner``. ``now`` is only asked when to try the
    index again; what is due is decided by the ``now`` of ``tick``.
    """

    def __init__(
        self,
        *,
        rules: Mapping[str, ClockRule],
        calendars: Mapping[str, Calendar],
        catalog: Catalog,
        loader: StateLoader,
        index: DueIndexWriter | None,
        now: Callable[[], datetime],
        map_version: str,
        departments: Mapping[str, str] | None = None,
        news: CalendarNews | None = None,
    ) -> None:
        self._rules = rules
        self._calendars = calendars
        self._catalog = catalog
        self._loader = loader
        self._index = index
        self._now = now
        self._news = news
        self._published: dict[str, PublishedCalendar] = {}
        self._log = log.bind(stage="clocks", map_version=map_version)
        self._reader = SignalReader(rules, departments or {})
        self._writer = StateWriter(catalog)
        self._tables: dict[int, ClockTable] = {}
        self._assigned: set[tuple[str, int]] = set()
        self._handled: dict[tuple[str, int], int] = {}
        self._rederived: list[Output] = []
        self._raised: deque[_Raised] = deque(maxlen=_ALERTS_KEPT)
        self._is_repeating = False
        self._last_seen: datetime | None = None
        self._stale: set[int] = set()
        self._index_pause_until: datetime | None = None

    # -- partitions ---------------------------------------------------------------------------

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.update(partitions)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.difference_update(partitions)
        for place in partitions:
            self._handled.pop(place, None)
        kept = {partition for _, partition in self._assigned}
        for partition in self._tables.keys() - kept:
            del self._tables[partition]
            self._stale.discard(partition)
        self._raised = deque((one for one in self._raised if one.partition in kept), _ALERTS_KEPT)

    def states(self, partition: int) -> Mapping[str, ClockState]:
        """The clocks of a partition by id."""
        return self._table(partition).states

    def _table(self, partition: int) -> ClockTable:
        if partition not in self._tables:
            self._restore({partition, *(assigned for _, assigned in self._assigned)} - self._tables.keys())
        return self._tables[partition]

    def _restore(self, partitions: Collection[int]) -> None:
        restored: dict[int, list[tuple[str, ClockState | None]]] = {each: [] for each in partitions}
        for partition, key, value in self._loader(partitions):
            state = None if value is None else state_from_value(self._catalog.decode(value)[1])
            restored[partition].append((key.decode(), state))
        for partition, states in restored.items():
            table = self._tables[partition] = ClockTable(self._rules, self._calendars)
            table.restore(states)
            self._stale.add(partition)
            self._rederive(partition, table)
        clocks = sum(len(self._tables[partition].states) for partition in partitions)
        self._log.info("clocks restored", partitions=len(partitions), clocks=clocks)

    def _rederive(self, partition: int, table: ClockTable) -> None:
        """A calendar that was published since moves every open clock that counts by it."""
        for state in list(table.states.values()):
            after = self._brought_up_to_date(state)
            if after is not None:
                table.put(after)
                self._rederived.append(self._writer.state(after, partition, None, after.history[-1].at))

    def _brought_up_to_date(self, state: ClockState) -> ClockState | None:
        rule, calendar = self._rules.get(state.rule), self._calendars.get(state.calendar)
        if rule is None or calendar is None:
            return None
        return rederive(state, rule, calendar, calendar.version, state.history[-1].at)

    # -- records ------------------------------------------------------------------------------

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        # All or nothing: if one record of the batch is poison, the lane calls again for each, and an
        # effect that was kept but not written would be lost.
        undo: list[tuple[ClockTable, str, ClockState | None]] = []
        try:
            outputs = [self._handle_one(record, undo) for record in records]
        except BaseException:
            for table, clock_id, before in reversed(undo):
                table.remove(clock_id)
                if before is not None:
                    table.put(before)
            raise
        moments: dict[int, dict[str, datetime | None]] = {}
        for record, of_record in zip(records, outputs, strict=True):
            place = (record.topic, record.partition)
            # Seen before in this life: the lane went back because a write failed, perhaps one of ours.
            self._is_repeating |= record.offset <= self._handled.get(place, -1)
            self._handled[place] = max(record.offset, self._handled.get(place, -1))
            table = self._tables[record.partition]
            for output in of_record:
                clock_id = (output.key or b"").decode()
                moments.setdefault(record.partition, {})[clock_id] = table.moment(table.states[clock_id])
        self._update_index(moments)
        return outputs

    def _handle_one(
        self, record: Record, undo: list[tuple[ClockTable, str, ClockState | None]]
    ) -> list[Output]:
        table = self._table(record.partition)
        envelope, signals = self._read(record)
        is_repeat = record.offset <= self._handled.get((record.topic, record.partition), -1)
        outputs: list[Output] = []
        for signal in self._spread(table, signals):
            before = table.states.get(signal.clock_id)
            if before is None and record.topic in RECEIPTS and not self._is_awaited(table, signal):
                continue
            rule = self._rules[signal.rule]
            after, is_changed = apply(before, signal, rule, self._calendar(rule))
            if is_changed:
                undo.append((table, signal.clock_id, before))
                table.put(after)
            # A repeat is written again, unchanged: its first writing may be what failed.
            if is_changed or is_repeat:
                outputs.append(self._writer.state(after, record.partition, envelope, signal.occurred_at))
        return outputs

    def _is_awaited(self, table: ClockTable, signal: Signal) -> bool:
        """Whether what a receipt says of a clock that is not there is to be kept for it."""
        if signal.kind == "meet":
            return table.can_ever_start(signal.correlation_id, signal.rule)
        return signal.kind == "start"

    def _read(self, record: Record) -> tuple[Envelope, list[Signal]]:
        envelope = from_headers(record.headers)
        if record.value is None:
            raise ContractError(f"a record of {record.topic} without a value")
        if record.topic == SIGNALS:
            return envelope, [self._reader.of_signal(self._catalog.decode(record.value)[1])]
        if not self._reader.has_use_for(envelope.type):
            return envelope, []
        return envelope, list(self._reader.of_receipt(envelope, self._catalog.decode(record.value)[1]))

    def _spread(self, table: ClockTable, signals: list[Signal]) -> list[Signal]:
        """A signal without a target, for a rule that has a clock for each: all that there are."""
        spread: list[Signal] = []
        for signal in signals:
            if signal.target is None and self._rules[signal.rule].per != "event":
                states = table.of_entity(signal.correlation_id, signal.rule)
                spread.extend(signal._replace(target=state.target) for state in states)
            else:
                spread.append(signal)
        return spread

    def _calendar(self, rule: ClockRule) -> Calendar:
        try:
            return self._calendars[rule.calendar]
        except KeyError:
            raise ContractError(f"clock rule {rule.id}: no calendar {rule.calendar!r}") from None

    # -- time ---------------------------------------------------------------------------------

    def tick(self, now: datetime) -> Sequence[Output]:
        # A wall clock that was set back must not hold up what is already due.
        now = self._last_seen = max(now, self._last_seen or now)
        missing = {partition for _, partition in self._assigned} - self._tables.keys()
        if missing:
            self._restore(missing)
        outputs, self._rederived = self._rederived, []
        if self._is_repeating:
            outputs.extend(self._say_again())
        moments: dict[int, dict[str, datetime | None]] = {}
        for partition, table in self._tables.items():
            for state in table.pop_due(now):
                outputs.extend(self._fire(partition, table, state, now))
                after = table.states.get(state.clock_id)
                moment = table.moment(after) if after else None
                moments.setdefault(partition, {})[state.clock_id] = moment
        self._update_index(moments)
        return outputs

    def _fire(self, partition: int, table: ClockTable, state: ClockState, now: datetime) -> list[Output]:
        if state.status is Status.AWAITING:
            table.remove(state.clock_id)
            return [Output(STATES, state.clock_id.encode(), None, [], partition)]
        rule = self._rules.get(state.rule)
        after, alert = fire(state, rule, self._calendars.get(state.calendar), now)
        table.put(after)
        if alert is None:
            return []
        raised = self._writer.alert(alert, after, rule, partition, now)
        self._raised.append(_Raised(partition, after.clock_id, raised))
        return [raised, self._writer.state(after, partition, None, alert.moment)]

    def _say_again(self) -> list[Output]:
        """Alerts whose writing may have failed, with the same ids, and their clocks as they are now."""
        self._is_repeating = False
        outputs: list[Output] = []
        for partition, clock_id, alert in self._raised:
            state = self._tables[partition].states.get(clock_id)
            if state is not None:
                outputs += [alert, self._writer.state(state, partition, None, state.history[-1].at)]
        return outputs

    # -- index --------------------------------------------------------------------------------

    def _update_index(self, moments: Mapping[int, Mapping[str, datetime | None]]) -> None:
        if self._index is None:
            return
        now = self._now()
        if self._index_pause_until is not None and now < self._index_pause_until:
            self._stale.update(moments)
            return
        try:
            for partition in sorted(self._stale | moments.keys()):
                if partition in self._stale:
                    table = self._tables[partition]
                    known = ((state.clock_id, table.moment(state)) for state in table.states.values())
                    self._index.replace(partition, {name: at for name, at in known if at is not None})
                    self._stale.discard(partition)
                else:
                    self._index.put(partition, moments[partition])
            self._index_pause_until = None
        except IndexUnavailableError as error:
            self._log.warning("due index not written, going on without it", error=str(error))
            self._stale.update(moments)
            self._index_pause_until = now + _INDEX_PAUSE
