"""Many clocks that fall due soon, what is to be said of them, and what was."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.bus.clients import new_producer, produce
from hub.bus.reader import read_topics
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.view import ClocksView
from hub.clocks.wire import ALERTS
from hub.domain.clock_firing import Alert, fire, next_moment
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Signal
from hub.domain.events import derive_id
from hub.domain.plain import whole_millis
from tests.chaos.clocks_process import RULES
from tests.support_clocks import CALENDARS, DEPARTMENT, SUBJECT, Feed
from tests.support_contracts import catalog

PARTITIONS = 12
PATIENCE_SECONDS = 180.0
_HOUR = timedelta(hours=1)
#: Rule -> how long before the last thing that it says in a test its triggers lie, in hours. The things
#: before that lie an hour or more in the past: a clock is looked at before its last moment, or not.
_KINDS = (("plain", 6), ("warned", 4), ("ladder", 24), ("chased", 9), ("plain", 30))


class Told(NamedTuple):
    """What a clock comes to that is first looked at before its last moment, or only after it."""

    state: ClockState
    alerts: Mapping[str, Alert]


class Load:
    """Clocks made as needed, from one chance; each falls due at a moment of its own."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._feeds = [Feed(partition) for partition in range(PARTITIONS)]
        #: Clock id -> (its signals, when the last thing falls due that a test waits for).
        self.clocks: dict[str, tuple[list[Signal], datetime]] = {}

    def write(self, bootstrap: str, count: int, now: datetime, first: float, last: float) -> None:
        """Starts so many clocks, due between ``first`` and ``last`` seconds from now; one of ten is over at once."""
        producer = new_producer(bootstrap, client_id="test")
        for _ in range(count):
            number = len(self.clocks)
            rule, hours = _KINDS[number % len(_KINDS)]
            moment = whole_millis(now + timedelta(seconds=self._chance.uniform(first, last)))
            is_over = number % 10 == 5
            # What was met has no more to say: its end lies two hours ahead, and nothing before it.
            begun = now - _HOUR if is_over else moment - timedelta(hours=hours)
            signals = [_signal("start", "plain" if is_over else rule, number, whole_millis(begun))]
            if is_over:
                signals.append(_signal(self._chance.choice(("meet", "cancel")), "plain", number, whole_millis(now)))
            self.clocks[signals[0].clock_id] = signals, moment
            for each in signals:
                record = self._feeds[number % PARTITIONS].signal(each)
                produce(
                    producer, record.topic, record.value, record.key, headers=record.headers,
                    partition=record.partition,
                )
        assert producer.flush(60) == 0

    def wanted(self) -> int:
        """Clocks of which at least one thing is said in the end."""
        return sum(len(signals) == 1 for signals, _ in self.clocks.values())

    def told(self, clock_id: str, *, in_time: bool) -> Told:
        """By the domain alone, from the signals."""
        signals, moment = self.clocks[clock_id]
        rule = RULES[signals[0].rule]
        calendar = CALENDARS[rule.calendar]
        state: ClockState | None = None
        for each in signals:
            state, _ = apply(state, each, rule, calendar, clock_id)
        assert state is not None
        alerts: dict[str, Alert] = {}
        looks = [moment - timedelta(milliseconds=1)] if in_time else []
        for now in (*looks, moment + timedelta(minutes=30)):
            while (due := next_moment(state, rule, calendar)) is not None and due <= now:
                state, alert = fire(state, rule, calendar, now)
                if alert is not None:
                    alerts[alert.id] = alert
        return Told(state, alerts)


def _signal(kind: Any, rule: str, number: int, when: datetime) -> Signal:
    return Signal(
        kind=kind, rule=rule, correlation_id=derive_id("entity", str(number)), subject=SUBJECT,
        event_id=derive_id("event", kind, str(number)), occurred_at=when, counts_from=when.date(),
        owner_department=DEPARTMENT,
    )


def read_alerts(bootstrap: str) -> list[dict[str, Any]]:
    """All that was ever said."""
    return [catalog().decode(record.value)[1] for record in read_topics(bootstrap, [ALERTS]) if record.value]


def read_states(bootstrap: str) -> dict[str, ClockState]:
    view = ClocksView.read(KafkaStateLoader(bootstrap), catalog(), RULES, CALENDARS)
    return {state.clock_id: state for state in view.find()}


def is_all_said(load: Load, bootstrap: str) -> bool:
    """Whether every clock stands on the topic as one that has said all that a test waits for."""
    states = read_states(bootstrap)
    return states.keys() >= load.clocks.keys() and all(
        states[clock_id] in (load.told(clock_id, in_time=True).state, load.told(clock_id, in_time=False).state)
        for clock_id in load.clocks
    )


def wait_until(is_so: Callable[[], bool], what: str, pause: float = 0.2) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(pause)


def check(load: Load, alerts: Iterable[Mapping[str, Any]], states: Mapping[str, ClockState]) -> int:
    """Everything was said, nothing else, nothing too early; returns how many records repeat an id.

    A warning that was said just before a kill may be overtaken by the time the clock is looked at again:
    then its state does not tell of it. It alone may stand beside what the state tells of.
    """
    said: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    repeated = 0
    for alert in alerts:
        first = said[alert["clock_id"]].setdefault(alert["alert_id"], alert)
        if first is not alert:
            repeated += 1
            assert {**alert, "raised_at": None} == {**first, "raised_at": None}
    assert said.keys() <= load.clocks.keys()
    assert states.keys() == load.clocks.keys()
    for clock_id, (_, moment) in load.clocks.items():
        in_time, late = load.told(clock_id, in_time=True), load.told(clock_id, in_time=False)
        ids = said[clock_id].keys()
        fitting = [told.alerts.keys() for told in (in_time, late) if told.state == states[clock_id]]
        assert fitting
        # An overtaken escalation is noted in both states: whether it was said, the state does not tell.
        assert set.intersection(*map(set, fitting)) <= ids <= in_time.alerts.keys() | late.alerts.keys()
        for id, alert in said[clock_id].items():
            known = in_time.alerts[id] if id in in_time.alerts else late.alerts[id]
            assert (alert["kind"], alert["level"]) == (known.kind, known.level)
            assert alert["raised_at"] >= known.moment
            if id not in late.alerts:
                assert alert["raised_at"] <= moment
    return repeated
