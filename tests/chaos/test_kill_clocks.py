"""kill -9 of the clocks stage again and again while its clocks come due: all is said, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from kafka.errors import CoordinatorNotAvailableError

from hub.clocks.wire import ALERTS, INPUTS, SIGNALS, STATES
from tests.chaos.clocks_process import GROUP, ROOT
from tests.support_clock_load import PARTITIONS, Load, check, is_all_said, read_alerts, read_states, wait_until
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
    _remove_members(kafka.bootstrap)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_groups([GROUP])


def _members(bootstrap: str) -> dict[str, int]:
    """Member of the group -> partitions of signals that it has."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        try:
            members = admin.describe_groups([GROUP])[GROUP]["members"]
        except CoordinatorNotAvailableError:  # nobody has ever joined a group on this broker
            return {}
    return {member["member_id"]: _signal_partitions(member["member_assignment"]) for member in members}


def _signal_partitions(assignment: dict[str, Any] | None) -> int:
    assigned = assignment["assigned_partitions"] if assignment else []
    return sum(len(each["partitions"]) for each in assigned if each["topic"] == SIGNALS)


def _remove_members(bootstrap: str) -> None:
    """A group waits ten seconds for a member that was killed; a test of many kills takes it out by hand."""
    members = [MemberToRemove(member_id=id) for id in _members(bootstrap)]
    if members:
        with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.remove_group_members(GROUP, members)


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
            wait_until(lambda before=before: ends.read()[ALERTS] > before, "the first alert", 0.02)  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 1.5))
        else:
            time.sleep(chance.uniform(0.5, 5.0))
        process.kill()
        process.wait()
        _remove_members(kafka.bootstrap)
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
    wait_until(lambda: sorted(_members(kafka.bootstrap).values()) == [6, 6], "two that share the partitions")
    # Of those that come due now each says its part; those after that come due when one is dead already.
    load.write(kafka.bootstrap, 600, datetime.now(UTC), 0.0, 4.0)
    load.write(kafka.bootstrap, 600, datetime.now(UTC), 4.0, 15.0)
    wait_until(lambda: len(read_alerts(kafka.bootstrap)) > 100, "alerts")
    killed.kill()
    killed.wait()
    wait_until(lambda: list(_members(kafka.bootstrap).values()) == [PARTITIONS], "one that has them all")
    wait_until(lambda: is_all_said(load, kafka.bootstrap), "the end of all clocks", 1.0)
    check(load, read_alerts(kafka.bootstrap), read_states(kafka.bootstrap))
