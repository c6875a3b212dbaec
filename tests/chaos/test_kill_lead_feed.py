"""The national feed with both of its ends killed again and again: no task lost, none twice, and what went back up
is what the platform has."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.domain.events import output_id
from hub.sandbox.faults import Fault
from hub.sandbox.generate.tasks import NationalTask, make_tasks
from hub.sandbox.national_platform import PlatformFaults
from hub.uplink.receipts import RECEIPTS_TOPIC
from tests.chaos.stopping import end
from tests.conftest import CreateTopics, IndexLike, KafkaLike
from tests.support_clock_load import wait_until
from tests.support_groups import delete_groups, remove_members
from tests.support_intake import ROOT, catalog, records
from tests.support_lead_feed import NAME, TOKEN, Platform, feed_config, lead_output

#: ``make chaos`` sets it: then 50,000 tasks and twenty kills of each at least, else a few.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
TASKS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (1_000, 1)
LEADS, REJECTIONS = "complaint.leads.v1", "intake.rejections.v1"
#: Every so many-th task is distributed twice, and every so many-th accepted, resolved by its department.
TWICE, ACCEPTED, RESOLVED = 25, 5, 10
#: The platform loses answers, is away for moments, and gives pages twice.
FAULTS = PlatformFaults(lose_receipt=Fault(rate=0.02), down=Fault(rate=0.01), twice=Fault(rate=0.05))


@pytest.fixture
def group(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[str]:
    create_topics(LEADS, REJECTIONS, RECEIPTS_TOPIC, "uplink.dead-letters.v1")
    name = f"chaos-uplink-{uuid.uuid4().hex[:8]}"
    yield name
    with suppress(Exception):
        delete_groups(kafka.bootstrap, [name])


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "platform") as made:
        yield made


def kill_intake(job: dict[str, Any], chance: random.Random, kills: int) -> int:
    """Kills processes of intake in the middle until so many were killed alive; gives their number. One that ends
    before, because the platform was away just then, does not count."""

    def start() -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.source_process"], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        json.dump(job, child.stdin)
        child.stdin.close()
        return child

    killed = 0
    for _ in range(3 * kills):
        if killed == kills:
            break
        child = start()
        assert child.stdout is not None and child.stderr is not None
        wanted = chance.randrange(0, 5 if ROUNDS else 2)
        for number, _ in enumerate(child.stdout):
            if number >= wanted:
                break
        time.sleep(chance.random() * (0.3 if ROUNDS else 0.05))
        child.send_signal(signal.SIGKILL)
        killed += child.wait(timeout=60) == -signal.SIGKILL
        child.stdout.close()
        child.stderr.close()
    return killed


def finish_intake(job: dict[str, Any]) -> None:
    """Runs intake until nothing waits; a moment in which the platform is away ends a process, not the work."""
    for _ in range(200):
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.source_process"], cwd=ROOT, text=True, input=json.dumps(job),
            capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        assert "FeedError" in done.stderr, done.stderr
    pytest.fail("the platform was away in every run")


def receipts(bootstrap: str) -> list[dict[str, Any]]:
    return [catalog().decode(record.value or b"")[1] for record in read_topics(bootstrap, [RECEIPTS_TOPIC])]


def expected_answers(made: Sequence[NationalTask]) -> dict[tuple[str, str], int]:
    """(task, status) that has to be at the platform."""
    ours = [task for task in made if task.is_ours]
    answers = [(task.task_no, "退回") for task in made if not task.is_ours]
    answers += [(task.task_no, "认领") for task in ours[::ACCEPTED]]
    answers += [(task.task_no, "结束") for task in ours[::RESOLVED]]
    return Counter(answers)


def test_no_task_is_lost_none_doubled_and_what_went_up_is_there(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, group: str, platform: Platform, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance, bootstrap = random.Random(SEED), kafka.bootstrap
    print(f"HUB_CHAOS_SEED={SEED}")
    made = list(make_tasks(SEED, TASKS))
    distributed = [task for task in made for _ in range(2 if int(task.task_no[-6:]) % TWICE == 0 else 1)]
    chance.shuffle(distributed)
    platform.book.distribute(task.blocks for task in distributed)
    platform.faults.set(FAULTS)

    # Down: intake is killed, and ends.
    more = {"portion_tasks": max(TASKS // 5, 500), "token": None, "token_env": "TEST_FEED_TOKEN"}
    entry = feed_config(platform.url, **more).flat()
    monkeypatch.setenv("TEST_FEED_TOKEN", TOKEN)
    job = {"bootstrap": bootstrap, "redis_url": valkey.url, "data": str(tmp_path / "data"), "entry": entry}
    killed = kill_intake(job, chance, KILLS)
    finish_intake(job)
    assert killed == KILLS
    found = records(bootstrap, LEADS, NAME)
    assert len({record["ce_id"] for record in found}) == len(found), "none is there twice"
    assert Counter(record["ce_type"] for record in found) == {"complaint.lead.received": len(found)}
    ours = [task for task in made if task.is_ours]
    told = Counter(record["value"]["record_unique_identity"] for record in found)
    assert told == Counter(task.task_no for task in ours), "each of ours is one event, however often it came"
    anonymous = {r["value"]["record_unique_identity"] for r in found if r["value"]["is_anonymous"]}
    assert anonymous == {task.task_no for task in ours if task.is_anonymous}
    refused = {record["value"]["sheet"] for record in records(bootstrap, REJECTIONS, NAME)}
    assert refused == {task.task_no for task in made if not task.is_ours}

    # Up: departments have acted; the uplink is killed, and ends.
    outputs = [lead_output(0, "accepted", task_no=task.task_no) for task in ours[::ACCEPTED]]
    outputs += [lead_output(0, "resolved", task_no=task.task_no) for task in ours[::RESOLVED]]
    with closing(KafkaPublisher(bootstrap, client_id="test")) as publisher:
        publisher.publish(outputs)
    wanted = expected_answers(made)
    command = [sys.executable, "-m", "tests.chaos.uplink_process", bootstrap, platform.url, group]
    running: list[subprocess.Popen[bytes]] = []

    def launch() -> None:
        with (tmp_path / f"uplink-{len(running)}.log").open("wb") as console:
            running.append(subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console))

    try:
        for _ in range(KILLS):
            before = platform.book.stats()["answers"]
            launch()
            wait_until(
                lambda before=before: platform.book.stats()["answers"] > before  # type: ignore[misc]  # a default has no type here
                or len(platform.book.answers()) == len(wanted), "an answer", 0.01,
            )  # fmt: skip
            time.sleep(chance.uniform(0.0, 0.4))
            running[-1].kill()
            assert running[-1].wait() == -signal.SIGKILL
            remove_members(bootstrap, [group])
        launch()
        wait_until(lambda: len({each["answer_id"] for each in receipts(bootstrap)}) >= len(wanted), "all receipts", 0.3)
        end(running[-1], tmp_path / f"uplink-{len(running) - 1}.log")
    finally:
        for process in running:
            process.kill()
            process.wait()

    answers = platform.book.answers()
    assert Counter((each["task_no"], each["status"]) for each in answers) == wanted, "none lost, none twice"
    there = {each["answer_id"]: (each["task_no"], each["status"]) for each in answers}
    actions = {"return": "退回", "claim": "认领", "end": "结束"}
    on_log = receipts(bootstrap)
    assert {each["answer_id"]: (each["task_number"], actions[each["action"]]) for each in on_log} == there
    assert {each["status"] for each in on_log} == {"delivered"}
    assert all(each["receipt_id"] == output_id(each["answer_id"], "receipt") for each in on_log)
    assert list(read_topics(bootstrap, ["uplink.dead-letters.v1"])) == []
    again = sum(each["times"] - 1 for each in answers)
    print(f"{len(distributed)} distributed, {len(found)} leads, {len(refused)} refused, {killed} kills of intake, "
          f"{KILLS} of the uplink; {len(answers)} answers, {again} sent again, {len(on_log)} receipts")  # fmt: skip
