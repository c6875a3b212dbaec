"""The clocks stage: folds signals into clocks, and says when one is about to run out or has.

Its memory is a copy of ``clock.states.v1``, read when a partition is assigned, and after a write that failed. A
state that says that an alert was raised is written only when the alert is acknowledged: whoever reads it back
after a kill raises again what may not have been said, under the same id, and nothing is left unsaid. Redis
holds an index for those who ask what is due; the stage itself never reads it and goes on without it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

import structlog

from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.clocks.loader import StateLoader
from hub.clocks.periods import period_starts
from hub.clocks.table import ClockTable
from hub.clocks.wire import RECEIPTS, SIGNALS, STATES, Cause, SignalReader, StateWriter, state_from_value
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.domain.calendar import Calendar, PublishedCalendar, local_date
from hub.domain.clock_firing import fire
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockRule, ClockState, Signal, Status
from hub.domain.murmur2 import partition_of
from hub.errors import ContractError, IndexUnavailableError

log = structlog.get_logger()

#: Asked at every tick: the calendars in force by name if they have changed since it was asked last, else ``None``.
CalendarNews = Callable[[], Mapping[str, PublishedCalendar] | None]

#: An index that did not answer is left alone for this long: each try costs its socket timeout.
_INDEX_PAUSE_SECONDS = 15.0
#: How often the stage looks whether its index is still there.
_INDEX_LOOK_SECONDS = 5.0
#: Clocks that a tick derives anew by another calendar.
_SLICE = 10_000


class DueIndexWriter(Protocol):
    """What the stage needs of an index; all raise IndexUnavailableError."""

    def put(self, partition: int, moments: Mapping[str, int | None]) -> None: ...

    def replace(self, partition: int, moments: Mapping[str, int]) -> None: ...

    def counts(self, partitions: Sequence[int]) -> list[int]: ...


#: Partition -> clock -> when it has to be looked at again, in milliseconds since the epoch.
_Moments = dict[int, dict[str, int | None]]


class ClocksStage(Stage):
    """One stage for any number of partitions.

    ``loader`` reads the states of a partition; it is called before the first record of it is handled
    and may raise a retryable error, which the lane answers by waiting. ``departments`` maps ids of
    departments to codes, for rules that name one as ``owner`` or run for each. ``monotonic`` (seconds) is only
    asked when to try the index again; what is due is decided by the ``now`` of ``tick``. ``news`` tells of
    calendars that were published. ``partitions`` is how many the topics have: without it no clock per period begins.
    """

    def __init__(
        self,
        *,
        rules: Mapping[str, ClockRule],
        calendars: Mapping[str, Calendar],
        catalog: Catalog,
        loader: StateLoader,
        index: DueIndexWriter | None,
        map_version: str,
        monotonic: Callable[[], float] = time.monotonic,
        departments: Mapping[str, str] | None = None,
        news: CalendarNews | None = None,
        partitions: int | None = None,
    ) -> None:
        self._rules = rules
        self._calendars = calendars
        self._catalog = catalog
        self._loader = loader
        self._index = index
        self._monotonic = monotonic
        self._news = news
        self._published: dict[str, PublishedCalendar] = {}
        self._log = log.bind(stage="clocks", map_version=map_version)
        self._departments = departments or {}
        self._partitions = partitions
        self._reader = SignalReader(rules, self._departments)
        self._writer = StateWriter(catalog)
        self._tables: dict[int, ClockTable] = {}
        self._assigned: set[tuple[str, int]] = set()
        self._outdated: deque[tuple[int, str]] = deque()
        self._periods_looked_at: tuple[date, frozenset[int]] | None = None
        self._last_seen: datetime | None = None
        self._stale: set[int] = set()
        #: Partition -> how many members its index has, by all that was written.
        self._written: dict[int, int] = {}
        self._index_looked_at: float | None = None
        self._index_pause_until: float | None = None

    # -- partitions ---------------------------------------------------------------------------

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.update(partitions)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.difference_update(partitions)
        kept = {partition for _, partition in self._assigned}
        for partition in self._tables.keys() - kept:
            del self._tables[partition]
            self._stale.discard(partition)
            self._written.pop(partition, None)

    def states(self, partition: int) -> Mapping[str, ClockState]:
        """The clocks of a partition by id."""
        return self._table(partition)

    def _table(self, partition: int) -> ClockTable:
        if partition not in self._tables:
            self._restore({partition, *(assigned for _, assigned in self._assigned)} - self._tables.keys())
        return self._tables[partition]

    def _restore(self, partitions: Collection[int]) -> None:
        restored: dict[int, list[tuple[str, bytes | None]]] = {each: [] for each in partitions}
        for partition, key, value in self._loader(partitions):
            restored[partition].append((key.decode(), value))
        for partition, values in restored.items():
            table = self._tables[partition] = ClockTable(self._rules, self._calendars, self._decode)
            # Another calendar may have been published while nobody looked.
            self._outdated.extend((partition, clock_id) for clock_id in table.restore(values))
            self._stale.add(partition)
        clocks = sum(len(self._tables[partition]) for partition in partitions)
        self._log.info("clocks restored", partitions=len(partitions), clocks=clocks)

    def _decode(self, value: bytes) -> ClockState:
        return state_from_value(self._catalog.decode(value)[1])

    # -- records ------------------------------------------------------------------------------

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        # All or nothing: if one record of the batch is poison, the lane calls again for each, and an
        # effect that was kept but not written would be lost.
        undo: list[tuple[ClockTable, str, bytes | None]] = []
        moments: _Moments = {}
        try:
            outputs = [self._handle_one(record, undo, moments) for record in records]
        except BaseException:
            for table, clock_id, before in reversed(undo):
                table.take_back(clock_id, before)
            raise
        self._update_index(moments)
        return outputs

    def _handle_one(
        self, record: Record, undo: list[tuple[ClockTable, str, bytes | None]], moments: _Moments
    ) -> list[Output]:
        table = self._table(record.partition)
        cause, signals = self._read(record)
        outputs: list[Output] = []
        for signal in self._spread(table, signals):
            clock_id = signal.clock_id
            before = table.value(clock_id)
            if before is None and record.topic in RECEIPTS and not self._is_awaited(table, signal):
                continue
            after, is_changed = self._apply(table, signal, clock_id)
            if is_changed:
                output = self._writer.state(after, record.partition, cause, signal.occurred_at)
                outputs.append(output)
                undo.append((table, clock_id, before))
                self._keep(table, after, output, moments)
        return outputs

    def _apply(self, table: ClockTable, signal: Signal, clock_id: str) -> tuple[ClockState, bool]:
        rule = self._rules[signal.rule]
        state = table.get(clock_id)
        if state is not None:
            # Else the move by a new calendar would go into the clock without a word of it.
            state = self._brought_up_to_date(state) or state
        return apply(state, signal, rule, self._calendar(rule), clock_id)

    def _keep(self, table: ClockTable, state: ClockState, output: Output, moments: _Moments) -> None:
        assert output.value is not None and output.partition is not None
        moments.setdefault(output.partition, {})[state.clock_id] = table.put(state, output.value)

    def _is_awaited(self, table: ClockTable, signal: Signal) -> bool:
        """Whether what a receipt says of a clock that is not there is to be kept for it."""
        if signal.kind == "meet":
            return table.can_ever_start(signal.correlation_id, signal.rule)
        return signal.kind == "start"

    def _read(self, record: Record) -> tuple[Cause, list[Signal]]:
        if record.value is None:
            raise ContractError(f"a record of {record.topic} without a value")
        if record.topic == SIGNALS:
            cause = Cause.of_signal(record.headers)
            return cause, [self._reader.of_signal(self._catalog.decode(record.value)[1], cause.sequence)]
        envelope = from_headers(record.headers)
        cause = Cause(envelope.id, envelope.traceparent)
        if not self._reader.has_use_for(envelope.type):
            return cause, []
        return cause, list(self._reader.of_receipt(envelope, self._catalog.decode(record.value)[1]))

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

    def tick(self, now: datetime) -> Sequence[Sequence[Output]]:
        # A wall clock that was set back must not hold up what is already due.
        now = self._last_seen = max(now, self._last_seen or now)
        self._take_news()
        missing = {partition for _, partition in self._assigned} - self._tables.keys()
        if missing:
            self._restore(missing)
        moments: _Moments = {}
        first = [*self._rederive(moments), *self._begin_periods(now, moments)]
        second: list[Output] = []
        for partition, table in self._tables.items():
            # More than one thing may be due of a clock: those that say something come up again.
            for state in table.pop_due(now):
                said, output = self._fire(partition, table, state, now, moments)
                first += said
                second.append(output)
        self._update_index(moments)
        return first, second

    def _fire(
        self, partition: int, table: ClockTable, state: ClockState, now: datetime, moments: _Moments
    ) -> tuple[list[Output], Output]:
        """(what is said, state after it)."""
        if state.status is Status.AWAITING:
            table.remove(state.clock_id)
            moments.setdefault(partition, {})[state.clock_id] = None
            return [], Output(STATES, state.clock_id.encode(), None, [], partition)
        rule = self._rules.get(state.rule)
        state = self._brought_up_to_date(state) or state
        after, alert = fire(state, rule, self._calendars.get(state.calendar), now)
        output = self._writer.state(after, partition, None, alert.moment if alert else after.history[-1].at)
        self._keep(table, after, output, moments)
        if alert is None:
            return [], output
        said = [] if alert.is_again else [self._writer.alert(alert, after, rule, partition, now)]
        if alert.kind == "expired" and rule is not None:
            said.append(self._writer.term(alert, after, rule, partition))
        return said, output

    def _begin_periods(self, now: datetime, moments: _Moments) -> list[Output]:
        looked_at = (local_date(now), frozenset(self._tables))
        if self._partitions is None or looked_at == self._periods_looked_at:
            return []
        self._periods_looked_at = looked_at
        outputs: list[Output] = []
        for rule in self._rules.values():
            if rule.per != "period":
                continue
            for signal in period_starts(rule, self._departments, now):
                partition = partition_of(signal.subject.encode(), self._partitions)
                if partition not in self._tables:
                    continue
                table = self._tables[partition]
                after, is_changed = self._apply(table, signal, signal.clock_id)
                # A period that was over before anybody looked is not judged.
                if is_changed and after.due_at is not None and (now <= after.due_at or after.met_at is not None):
                    output = self._writer.state(after, partition, None, signal.occurred_at)
                    self._keep(table, after, output, moments)
                    outputs.append(output)
        return outputs

    # -- calendars ----------------------------------------------------------------------------

    def _take_news(self) -> None:
        published = self._news() if self._news is not None else None
        if published is None:
            return
        self._published = dict(published)
        self._calendars = {**self._calendars, **{name: each.calendar for name, each in published.items()}}
        for partition, table in self._tables.items():
            self._outdated.extend((partition, clock_id) for clock_id in table.use_calendars(self._calendars))
        versions = sorted(each.version for each in self._calendars.values())
        self._log.info("calendars in force", versions=versions, clocks=len(self._outdated))

    def _rederive(self, moments: _Moments) -> list[Output]:
        """A slice of the clocks that another calendar may move: records go on meanwhile.

        What is left when the stage ends is found by the next one: each state names its calendar.
        """
        outputs: list[Output] = []
        for _ in range(min(_SLICE, len(self._outdated))):
            partition, clock_id = self._outdated.popleft()
            table = self._tables.get(partition)
            state = table.get(clock_id) if table is not None else None
            after = self._brought_up_to_date(state) if state is not None else None
            if table is not None and after is not None:
                output = self._writer.state(after, partition, None, after.history[-1].at)
                self._keep(table, after, output, moments)
                outputs.append(output)
        return outputs

    def _brought_up_to_date(self, state: ClockState) -> ClockState | None:
        rule, calendar = self._rules.get(state.rule), self._calendars.get(state.calendar)
        if rule is None or calendar is None or calendar.version == state.calendar_version:
            return None
        known = self._published.get(calendar.name)
        if known is not None and known.calendar.version == calendar.version:
            return rederive(state, rule, calendar, known.event_id, known.published_at)
        # Of a calendar that came as a file nobody knows when: the time of the clock's last line, for
        # the reader's own would make another state of every reading.
        return rederive(state, rule, calendar, calendar.version, state.history[-1].at)

    # -- index --------------------------------------------------------------------------------

    def _update_index(self, moments: _Moments) -> None:
        if self._index is None:
            return
        now = self._monotonic()
        if self._index_pause_until is not None and now < self._index_pause_until:
            self._stale.update(moments)
            return
        try:
            self._find_lost(now)
            for partition in sorted(self._stale | moments.keys()):
                if partition in self._stale:
                    table = self._tables[partition]
                    self._index.replace(partition, table.moments())
                    self._stale.discard(partition)
                else:
                    self._index.put(partition, moments[partition])
                self._written[partition] = len(self._tables[partition].moments())
            self._index_pause_until = None
        except IndexUnavailableError as error:
            self._log.warning("due index not written, going on without it", error=str(error))
            self._stale.update(moments)
            self._index_pause_until = now + _INDEX_PAUSE_SECONDS

    def _find_lost(self, now: float) -> None:
        """An index that was wiped, or came back old, is found by its size and written anew."""
        assert self._index is not None
        if self._index_looked_at is not None and now - self._index_looked_at < _INDEX_LOOK_SECONDS:
            return
        self._index_looked_at = now
        # Before what this call brings is written: an index that holds less than its table then is not ours.
        partitions = sorted(self._written)
        for partition, count in zip(partitions, self._index.counts(partitions), strict=True):
            if count != self._written[partition]:
                self._log.warning("due index lost, writing it anew", partition=partition, found=count)
                self._stale.add(partition)
