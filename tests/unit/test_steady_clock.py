"""A wall clock that steps: nothing is said twice, nothing too early, and what was meant is believed in the end."""

from __future__ import annotations

from datetime import datetime, timedelta

from hub.bus.steady_clock import PATIENCE, SteadyClock
from hub.clocks.stage import ClocksStage
from tests.support_clocks import CALENDARS, RULES, Feed, StatesTopic, at, signal
from tests.support_contracts import catalog

START = at("2026-10-20T00:00")


class Machine:
    """True time, and a wall clock that is off by as much as the test says."""

    def __init__(self) -> None:
        self.seconds, self.off = 0.0, timedelta()

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def clock(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.now + self.off, elapsed=lambda: self.seconds)


def test_it_goes_with_a_wall_clock_that_is_slewed() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.seconds += 60
        machine.off += timedelta(seconds=2)
        assert clock() == machine.now + machine.off


def test_a_step_is_not_believed_before_it_has_lasted() -> None:
    for step in (timedelta(days=1), timedelta(hours=-1)):
        machine = Machine()
        clock = machine.clock()
        machine.off = step
        while machine.seconds < PATIENCE.total_seconds():
            assert clock() == machine.now
            machine.seconds += 30
        machine.seconds += 30
        assert clock() == machine.now + step


def test_a_step_that_is_taken_back_leaves_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    for off in (timedelta(days=1), timedelta(), timedelta(hours=-1), timedelta()):
        machine.off = off
        for _ in range(5):
            machine.seconds += 60
            assert clock() == machine.now


def test_clocks_say_each_thing_once_and_none_too_early_whatever_the_wall_clock_does() -> None:
    machine, topic = Machine(), StatesTopic()
    clock = machine.clock()
    stage = ClocksStage(
        rules=RULES, calendars=CALENDARS, catalog=catalog(), loader=topic, index=None,
        map_version="m1",
    )
    stage.on_assigned([("clock.signals.v1", 3)])
    feed = Feed()
    days = ["2026-09-24", "2026-09-25", "2026-09-28", "2026-09-29", "2026-09-30"]
    stage.handle([
        feed.signal(signal("start", f"v-{day}", f"{day}T01:00", counts_from=day, entity=f"e-{day}")) for day in days
    ])
    # Forward a day for some minutes, back an hour for some, again and again, over three weeks.
    steps = [timedelta(), timedelta(days=1), timedelta(), timedelta(hours=-1)]
    raised: list[tuple[str, datetime]] = []
    while machine.seconds < 21 * 86400:
        machine.off = steps[int(machine.seconds // 300) % 4]
        for wave in stage.tick(clock()):
            for output in wave:
                if output.topic == "clock.alerts.v1":
                    value = catalog().decode(output.value or b"")[1]
                    raised.append((value["alert_id"], machine.now))
                    level = int(value["level"] or 0)
                    assert machine.now >= _moment(value["due_at"], value["kind"], level)
        machine.seconds += 300
    assert len(raised) == len({alert for alert, _ in raised}) == 3 * len(days)


def _moment(due_at: datetime, kind: str, level: int) -> datetime:
    if kind == "breached":
        return due_at
    day = (due_at - timedelta(hours=1)).date()
    return at(str(CALENDARS["gannan"].before(day, level))) - timedelta(hours=8)

