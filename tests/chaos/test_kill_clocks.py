"""Killed again and again, its index wiped, its wall clock set: the stage says all that is due, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from hub.bus.clients import new_producer, produce
from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.steady_clock import SteadyClock
from hub.clocks.calendars import CALENDARS as CALENDARS_TOPIC
from hub.clocks.calendars import CalendarReader, publish
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.rebuild import Rebuild
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import ALERTS, INPUTS, SIGNALS, STATES
from hub.domain.calendar import Calendar
from hub.state.due_index import DueIndex
from tests.chaos.clocks_process import GROUP, ROOT, RULES
from tests.support_clock_load import PARTITIONS, Load, check, is_all_said, read_alerts, read_states, wait_until
from tests.support_clocks import CALENDARS, Feed, signal
from tests.support_contracts import catalog
from tests.support_groups import delete_groups, members_of, remove_members
from tests.support_hub import LogEnds

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, IndexLike, KafkaLike

#: ``make chaos`` sets it: so many kills.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
Launch = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def launch(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, create_topics: CreateTopics, tmp_path: Path
) -> Iterator[Launch]:
    """Starts one process of the stage; all that still run are killed after the test, before their topics go."""
    create_topics(*INPUTS, ALERTS, "clocks.dead-letters.v1")
    create_topics(CALENDARS_TOPIC, partitions=1)
    create_topics(STATES, config={"cleanup.policy": "compact"})
    started: list[subprocess.Popen[bytes]] = []
    command = [sys.executable, "-m", "tests.chaos.clocks_process", kafka.bootstrap, valkey.url]

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / f"clocks-{len(started)}.log").open("wb") as console:
            process = subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    delete_groups(kafka.bootstrap, [GROUP])


def _shares(bootstrap: str) -> list[int]:
    """Partitions of signals that each member of the group has, fewest first."""
    members = members_of(bootstrap, [GROUP])[GROUP]
    return sorted(_signal_partitions(member["member_assignment"]) for member in members)


def _has_passed(ends: LogEnds, topic: str, end: int) -> bool:
    return ends.read()[topic] > end


def _has_reached(ends: LogEnds, topic: str, end: int) -> bool:
    return ends.read()[topic] >= end


def _signal_partitions(assignment: dict[str, Any] | None) -> int:
    assigned = assignment["assigned_partitions"] if assignment else []
    return sum(len(each["partitions"]) for each in assigned if each["topic"] == SIGNALS)


def test_nothing_is_lost_or_said_too_early_however_often_it_is_killed(kafka: KafkaLike, launch: Launch) -> None:
    kills, count = (ROUNDS, 20_000) if ROUNDS else (4, 2_000)
    chance, load = random.Random(SEED), Load(SEED)
    ends = LogEnds(kafka.bootstrap, [ALERTS])
    print(f"HUB_CHAOS_SEED={SEED}")
    for round in range(kills):
        load.write(kafka.bootstrap, count // kills, datetime.now(UTC), 0.0, 8.0)
        before = ends.read()[ALERTS]
        process = launch()
        if round % 3:  # in the midst of its work
            wait_until(partial(_has_passed, ends, ALERTS, before), "the first alert", 0.02)
            time.sleep(chance.uniform(0.0, 1.5))
        else:
            time.sleep(chance.uniform(0.5, 5.0))
        process.kill()
        process.wait()
        remove_members(kafka.bootstrap, [GROUP])
    launch()
    wait_until(lambda: is_all_said(load, kafka.bootstrap), "the end of all clocks", 1.0)
    alerts = read_alerts(kafka.bootstrap)
    repeated = check(load, alerts, read_states(kafka.bootstrap))
    print(f"{len(load.clocks)} clocks, {len(alerts)} alerts, {repeated} said again after a kill")
    assert len(alerts) >= load.wanted()


@pytest.mark.slow
def test_another_process_takes_over_from_a_killed_one_by_itself(kafka: KafkaLike, launch: Launch) -> None:
    load = Load(SEED)
    killed = launch()
    launch()
    wait_until(lambda: _shares(kafka.bootstrap) == [6, 6], "two that share the partitions")
    # Of those that come due now each says its part; those after that come due when one is dead already.
    load.write(kafka.bootstrap, 600, datetime.now(UTC), 0.0, 4.0)
    load.write(kafka.bootstrap, 600, datetime.now(UTC), 4.0, 15.0)
    wait_until(lambda: len(read_alerts(kafka.bootstrap)) > 100, "alerts")
    killed.kill()
    killed.wait()
    wait_until(lambda: _shares(kafka.bootstrap) == [PARTITIONS], "one that has them all")
    wait_until(lambda: is_all_said(load, kafka.bootstrap), "the end of all clocks", 1.0)
    check(load, read_alerts(kafka.bootstrap), read_states(kafka.bootstrap))


def test_a_calendar_is_followed_to_the_end_however_often_the_stage_is_killed(kafka: KafkaLike, launch: Launch) -> None:
    count, kills = (200_000, 10) if ROUNDS else (12_000, 2)
    first, last = count // PARTITIONS, count - count // PARTITIONS
    producer, chance = new_producer(kafka.bootstrap, client_id="test"), random.Random(SEED)
    feeds = [Feed(partition) for partition in range(PARTITIONS)]
    for number in range(count):
        started = signal("start", f"e{number}", "2026-09-30T02:00", entity=f"n{number}", rule=RULES["days"],
                         counts_from="2026-09-30")
        record = feeds[number % PARTITIONS].signal(started)
        produce(producer, record.topic, record.value, record.key, headers=record.headers, partition=record.partition)
    assert producer.flush(60) == 0
    ends = LogEnds(kafka.bootstrap, [STATES])
    process = launch()
    wait_until(lambda: ends.read()[STATES] >= count, "all clocks")

    gannan = CALENDARS["gannan"]
    days = {date(2026, 10, 20): "藏历新年", date(2026, 10, 21): "藏历新年"}
    changed = Calendar(
        "gannan", gannan.title, {**gannan.off, **days}, gannan.worked, gannan.first_year, gannan.last_year, "cn"
    )
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        changes = CalendarReader(kafka.bootstrap, catalog()).read().changes_to(
            [CALENDARS["cn"], changed], notice="州政办发〔2026〕3号", by="李四", at=datetime.now(UTC)
        )
        publish(publisher, catalog(), changes)
    in_the_midst = 0
    for _ in range(kills):
        behind = ends.read()[STATES]
        wait_until(partial(_has_reached, ends, STATES, min(behind + first // 2, count + last)), "a part of them", 0.01)
        time.sleep(chance.uniform(0.0, 0.1))
        process.kill()
        process.wait()
        in_the_midst += count < ends.read()[STATES] < 2 * count
        remove_members(kafka.bootstrap, [GROUP])
        process = launch()
    assert in_the_midst, "no kill came while clocks were moved"

    def versions() -> set[str | None]:
        return {state.calendar_version for state in read_states(kafka.bootstrap).values()}

    wait_until(lambda: versions() == {changed.version}, "all clocks by the new calendar", 1.0)
    states = read_states(kafka.bootstrap)
    assert len(states) == count
    due_on = changed.due_date(date(2026, 9, 30), 900).date
    assert due_on > gannan.due_date(date(2026, 9, 30), 900).date
    for state in states.values():
        assert state.due_on == due_on
        assert [line.change for line in state.history] == ["started", "rederived"]
    assert read_alerts(kafka.bootstrap) == []


def _part(load: Load, clock_ids: set[str]) -> Load:
    """The same, as if it were these clocks alone."""
    part = Load(SEED)
    part.clocks = {clock_id: found for clock_id, found in load.clocks.items() if clock_id in clock_ids}
    return part


def _check_part(part: Load, bootstrap: str, alerts: list[dict[str, Any]]) -> int:
    states = read_states(bootstrap)
    return check(
        part, [alert for alert in alerts if alert["clock_id"] in part.clocks],
        {clock_id: states[clock_id] for clock_id in part.clocks},
    )


def test_a_wiped_index_is_made_anew_and_nothing_is_said_for_it(
    kafka: KafkaLike, redis_client: redis.Redis, launch: Launch
) -> None:
    held, due = (200_000, 20_000) if ROUNDS else (5_000, 1_000)
    load, chance, index = Load(SEED), random.Random(SEED), DueIndex(redis_client)
    compare = Rebuild(
        loader=KafkaStateLoader(kafka.bootstrap), index=index, catalog=catalog(), rules=RULES,
        calendars=CALENDARS, is_stage_running=lambda: True,
    )

    def content() -> dict[int, dict[str, int]]:
        return {partition: dict(index.members(partition)) for partition in range(PARTITIONS)}

    # None of these has anything to say for hours: what the index holds of them must come back as it was.
    load.write(kafka.bootstrap, held, datetime.now(UTC) + timedelta(hours=40), 0.0, 3600.0)
    kept, still_open = set(load.clocks), load.wanted()
    launch()
    wait_until(lambda: sum(index.counts(range(PARTITIONS))) == still_open, "an index of all that is open")
    before = content()

    load.write(kafka.bootstrap, due, datetime.now(UTC), 0.0, 8.0)
    falling_due, ends = _part(load, load.clocks.keys() - kept), LogEnds(kafka.bootstrap, [ALERTS])
    for _ in range(3):
        said = ends.read()[ALERTS]
        wait_until(partial(_has_passed, ends, ALERTS, said), "one more alert", 0.02)
        time.sleep(chance.uniform(0.0, 1.0))
        redis_client.flushdb()
    wait_until(lambda: is_all_said(falling_due, kafka.bootstrap), "the end of what falls due", 1.0)
    wait_until(lambda: all(report.is_same for report in compare.verify()), "an index like the topic", 1.0)

    after = content()
    assert {
        partition: {clock_id: moment for clock_id, moment in members.items() if clock_id in kept}
        for partition, members in after.items()
    } == before
    alerts = read_alerts(kafka.bootstrap)
    assert {alert["clock_id"] for alert in alerts} <= falling_due.clocks.keys()
    assert _check_part(falling_due, kafka.bootstrap, alerts) == 0


class _Wall:
    """A wall clock that is off by as much as the test says; counts how often it was asked."""

    def __init__(self, off: timedelta = timedelta()) -> None:
        self.off, self.asked = off, 0

    def __call__(self) -> datetime:
        self.asked += 1
        return datetime.now(UTC) + self.off


@contextmanager
def _running(bootstrap: str, client: redis.Redis, wall: _Wall, now: Callable[[], datetime]) -> Iterator[None]:
    """A lane with the stage, as the hub puts them together, in a thread."""
    stage = ClocksStage(
        rules=RULES, calendars=CALENDARS, catalog=catalog(), loader=KafkaStateLoader(bootstrap),
        index=DueIndex(client), map_version="chaos",
    )
    lane = Lane(
        stage, name="clocks", topics=INPUTS, group=GROUP, bootstrap=bootstrap, tick_seconds=0.25, now=now
    )
    thread = threading.Thread(target=lane.run)
    thread.start()
    try:
        yield
    finally:
        lane.stop()
        thread.join(60)
    assert not thread.is_alive()


def _written_at(bootstrap: str) -> Mapping[str, datetime]:
    """Alert -> when its record was first made, by the true time."""
    found: dict[str, datetime] = {}
    for record in read_topics(bootstrap, [ALERTS]):
        if record.value:
            alert_id = catalog().decode(record.value)[1]["alert_id"]
            at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            found[alert_id] = min(at, found.get(alert_id, at))
    return found


@pytest.mark.usefixtures("launch")
def test_a_wall_clock_that_is_set_makes_nothing_be_said_twice_or_too_early(
    kafka: KafkaLike, redis_client: redis.Redis
) -> None:
    count, load = 20_000 if ROUNDS else 1_000, Load(SEED)
    load.write(kafka.bootstrap, count, datetime.now(UTC) + timedelta(hours=25), 0.0, 60.0)
    tomorrow = _part(load, set(load.clocks))
    load.write(kafka.bootstrap, count, datetime.now(UTC), 0.0, 6.0)
    today = _part(load, load.clocks.keys() - tomorrow.clocks.keys())
    # The first thing that any of tomorrow's says is due in an hour: a day's step would bring it out.
    chance, wall = random.Random(SEED), _Wall()
    steps = (timedelta(hours=-1), timedelta(days=1), timedelta(days=1, hours=-1), timedelta())

    with _running(kafka.bootstrap, redis_client, wall, SteadyClock(wall=wall)):
        until = time.monotonic() + 180
        while not is_all_said(today, kafka.bootstrap):
            assert time.monotonic() < until, "waited in vain for the end of what falls due"
            wall.off = chance.choice(steps)
            time.sleep(0.5)
    alerts = read_alerts(kafka.bootstrap)
    assert {alert["clock_id"] for alert in alerts} <= today.clocks.keys()
    assert _check_part(today, kafka.bootstrap, alerts) == 0
    written_at = _written_at(kafka.bootstrap)
    for clock_id in today.clocks:
        for told in (today.told(clock_id, in_time=True), today.told(clock_id, in_time=False)):
            for id, alert in told.alerts.items():
                assert id not in written_at or written_at[id] >= alert.moment

    # A day has really gone by, as far as anybody can tell: each is said, and once.
    wall = _Wall(timedelta(hours=25, minutes=10))
    with _running(kafka.bootstrap, redis_client, wall, wall):
        wait_until(lambda: is_all_said(tomorrow, kafka.bootstrap), "what falls due in a day", 1.0)
        # And back again while it runs, by a lane that believes whatever it is told.
        wall.off = timedelta(hours=-1)
        asked = wall.asked
        wait_until(lambda: wall.asked > asked + 20, "some looks")
    alerts = read_alerts(kafka.bootstrap)
    assert _check_part(tomorrow, kafka.bootstrap, alerts) == 0

    # The next owner begins in the past.
    wall = _Wall(timedelta(hours=-1))
    with _running(kafka.bootstrap, redis_client, wall, wall):
        wait_until(lambda: wall.asked > 20, "some looks")
    assert len(read_alerts(kafka.bootstrap)) == len(alerts)
