"""A drill: a year of a prefecture's traffic through the real stage, on simulated time, in memory."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from random import Random
from typing import NamedTuple

from hub.bus.records import Output
from hub.clocks.drill_traffic import PARTITIONS, Arrival, records, traffic
from hub.clocks.report import Axis, Report, report
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import ALERTS, STATES
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar, local_date, start_of
from hub.domain.clocks import ClockRule, ClockState, Status

_MILLISECOND = timedelta(milliseconds=1)
#: Triggers of the two runs whose results have to agree.
_SMALL = 2000


class Check(NamedTuple):
    """What had to hold, and what was found."""

    name: str
    is_passed: bool
    found: str


class Drilled(NamedTuple):
    """What came of a drill. ``alerts`` counts them by kind; ``digest`` is of all clocks at the end."""

    triggers: int
    signals: int
    clocks: int
    alerts: dict[str, int]
    by_rule: Report
    by_department: Report
    checks: tuple[Check, ...]
    digest: str


class Drill:
    """What a drill runs on. ``departments`` maps ids to codes."""

    def __init__(
        self, rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar], catalog: Catalog,
        departments: Mapping[str, str],
    ) -> None:
        # The calendar begins those per period by itself; nobody sends for them.
        self._rules = {name: rule for name, rule in rules.items() if rule.per != "period"}
        self._calendars = calendars
        self._catalog = catalog
        self._departments = departments

    def run(self, *, seed: int, events: int, first: date, days: int) -> Drilled:
        """A drill of ``days`` days from ``first`` with ``events`` triggers."""
        rules = list(self._rules.values())
        arrivals = traffic(rules, self._departments, seed=seed, events=events, first=first, days=days)
        life = self._live(arrivals, first, days)
        small = traffic(
            rules, self._departments, seed=seed + 1, events=min(events, _SMALL), first=first, days=days
        )
        in_order, in_another = (
            self._live(each, first, days).states for each in (small, _in_another_order(small, seed))
        )
        end = start_of(first) + timedelta(days)
        reports = [
            report(life.states.values(), self._rules, self._calendars, end, by=(axis,))
            for axis in (Axis.RULE, Axis.DEPARTMENT)
        ]
        checks = (
            _breaches(life), _no_id_twice(life), _sums(arrivals, life, reports), _same(in_order, in_another),
        )
        kinds = Counter(kind for kind, _, _ in life.alerts.values())
        return Drilled(
            events, len(arrivals), len(life.states), dict(sorted(kinds.items())), reports[0], reports[1], checks,
            digest_of(life.states),
        )

    def _live(self, arrivals: Sequence[Arrival], first: date, days: int) -> _Life:
        now = start_of(first)
        stage = ClocksStage(
            rules=self._rules, calendars=self._calendars, catalog=self._catalog, loader=lambda _: iter(()),
            index=None, map_version="drill", departments=self._departments,
        )
        stage.on_assigned([("", each) for each in range(PARTITIONS)])
        life = _Life(self._catalog)
        has_hours = any(rule.due.unit == "hours" for rule in self._rules.values())
        step = timedelta(hours=1) if has_hours else timedelta(days=1)
        end, stop = now + timedelta(days), now + _MILLISECOND
        for (at, _), record in zip(arrivals, records(arrivals, self._catalog), strict=True):
            while stop <= at:
                life.look(stage, stop)
                stop += step
            # What came due is said before what is read after it.
            life.look(stage, at)
            life.read(stage.handle([record]))
        while stop <= end:
            life.look(stage, stop)
            stop += step
        life.look(stage, end)
        life.states = {key: state for each in range(PARTITIONS) for key, state in stage.states(each).items()}
        return life


class _Life:
    """What is seen of a stage from outside: its outputs, and what should be among them.

    ``came_due`` is found apart from the stage: each due time that passed while the state said last runs.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._running: dict[str, datetime] = {}
        self._coming: list[tuple[datetime, str]] = []
        self.came_due: set[tuple[str, datetime]] = set()
        #: Alert id -> (kind, clock, due time).
        self.alerts: dict[str, tuple[str, str, datetime]] = {}
        self.alert_ids: Counter[str] = Counter()
        self.states: dict[str, ClockState] = {}

    def look(self, stage: ClocksStage, now: datetime) -> None:
        while self._coming and self._coming[0][0] < now:
            due_at, clock_id = heapq.heappop(self._coming)
            if self._running.get(clock_id) == due_at:
                self.came_due.add((clock_id, due_at))
        for wave in stage.tick(now):
            for output in wave:
                if output.topic == ALERTS and output.value is not None:
                    _, value = self._catalog.decode(output.value)
                    self.alert_ids[value["alert_id"]] += 1
                    self.alerts[value["alert_id"]] = (value["kind"], value["clock_id"], value["due_at"])

    def read(self, outputs: Sequence[Sequence[Output]]) -> None:
        for group in outputs:
            for output in group:
                if output.topic != STATES or output.value is None:
                    continue
                _, value = self._catalog.decode(output.value)
                clock_id, due_at = value["clock_id"], value["due_at"]
                if value["status"] != Status.RUNNING:
                    self._running.pop(clock_id, None)
                elif self._running.get(clock_id) != due_at:
                    self._running[clock_id] = due_at
                    heapq.heappush(self._coming, (due_at, clock_id))


def digest_of(states: Mapping[str, ClockState]) -> str:
    """Of where each clock stands, when it is due and when it was met."""
    lines = (
        repr((state.clock_id, str(state.status), state.due_at, state.met_at))
        for _, state in sorted(states.items())
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _breaches(life: _Life) -> Check:
    said = Counter((clock, due_at) for kind, clock, due_at in life.alerts.values() if kind in ("breached", "expired"))
    missed, unasked = life.came_due - said.keys(), said.keys() - life.came_due
    twice = sum(count > 1 for count in said.values())
    found = f"came due {len(life.came_due)}, said {len(said)}, missed {len(missed)}, unasked {len(unasked)}, "
    return Check("each end that passed is said once", not missed and not unasked and not twice, f"{found}twice {twice}")


def _no_id_twice(life: _Life) -> Check:
    twice = sum(count > 1 for count in life.alert_ids.values())
    return Check("no alert has the id of another", twice == 0, f"alerts {life.alert_ids.total()}, twice {twice}")


def _sums(arrivals: Sequence[Arrival], life: _Life, reports: Sequence[Report]) -> Check:
    heard = {each.signal.clock_id for each in arrivals}
    by_status = Counter(state.status for state in life.states.values())
    stands = by_status[Status.RUNNING] + by_status[Status.SUSPENDED]
    begun = sum(state.due_on is not None for state in life.states.values())
    totals = {each.sum.total for each in reports} | {sum(row.total for row in each.rows) for each in reports}
    is_right = (
        heard == life.states.keys() and by_status.total() == len(heard) and len(totals) == 1 and min(totals) >= begun
        and stands <= sum(reports[0].sum.counts[name] for name in ("running", "suspended", "overdue", "ended"))
    )
    found = f"clocks {len(life.states)} of {len(heard)}, begun {begun}, rounds {sorted(totals)}"
    return Check("every clock is counted, and the counts add up", is_right, found)


def _same(one: Mapping[str, ClockState], other: Mapping[str, ClockState]) -> Check:
    digests = (digest_of(one), digest_of(other))
    return Check("another order within each day changes nothing", digests[0] == digests[1], " ".join(digests))


def _in_another_order(arrivals: Sequence[Arrival], seed: int) -> list[Arrival]:
    """The signals of each day shuffled; the times of reading stay."""
    chance = Random(seed)
    shuffled: list[Arrival] = []
    for _, group in groupby(arrivals, key=lambda each: local_date(each.at)):
        day = list(group)
        signals = [each.signal for each in day]
        chance.shuffle(signals)
        shuffled += [Arrival(each.at, signal) for each, signal in zip(day, signals, strict=True)]
    return shuffled
