"""The file drop killed again and again, before and after packages, acknowledgements and answers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from hub.bus.clients import new_producer, produce
from hub.bus.reader import read_topics
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.service import group_of
from hub.delivery.waits import WAITS_TOPIC
from tests.chaos.clocks_process import ROOT
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_filedrop import KEY, NAME, Department, Package
from tests.support_groups import delete_groups, remove_members
from tests.support_outlets import notice, notice_id, penalty

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, IndexLike, KafkaLike

ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
FEEDBACK = "discipline.feedback.v1"
PARTITIONS = 3


@pytest.fixture
def topics(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[None]:
    create_topics(f"inbox.{NAME}", COMMANDS_TOPIC, partitions=PARTITIONS)
    create_topics(WAITS_TOPIC, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    create_topics(RECEIPTS_TOPIC, FEEDBACK, "delivery.dead-letters.v1", partitions=PARTITIONS)
    yield
    delete_groups(kafka.bootstrap, [group_of(NAME)])


class Clerk:
    """Takes each package that comes, books its notices, and answers them; by hand at times, in pieces at times."""

    def __init__(self, department: Department, seed: int) -> None:
        self._department, self._chance = department, random.Random(seed)
        self._ended, self._thread = threading.Event(), threading.Thread(target=self._work)
        self.packages: dict[str, Package] = {}
        self.error: Exception | None = None

    def __enter__(self) -> Clerk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _work(self) -> None:
        while not self._ended.wait(0.02):
            try:
                for name in self._department.names() if self._department.home.exists() else []:
                    self._take(name)
            except FileNotFoundError:
                continue  # it was filed away just now
            except Exception as error:
                self.error = error
                return

    def _take(self, name: str) -> None:
        if name in self.packages:
            return
        package = self._department.read(name)
        self.packages[name] = package
        fate = self._chance.random()
        if fate < 0.4:
            self._department.put(f"{name}.ack.xlsx", self._department.fill(package, {
                "全部": {"收到情况": "已收到"},
                **{id: {"反馈状态": "已登记", "案件编号": "甘南财采〔2026〕3号"} for id in package.notices},
            }))
            return
        ids = list(package.notices)
        half = len(ids) // 2
        for number, part in enumerate((ids[:half], ids[half:])):
            if part:
                self._department.put(f"{name}-{number}.answers.json", {
                    "answers": [{"notice_id": id, "status": "registered"} for id in part],
                })
                if fate < 0.7:
                    time.sleep(self._chance.uniform(0, 0.2))


def write(bootstrap: str, subjects: int, numbers: range, data: bytes) -> None:
    producer = new_producer(bootstrap, client_id="test")
    for number in numbers:
        for subject in range(subjects):
            record = notice(f"S{subject}", number, data=data)
            produce(producer, record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(60) == 0


def test_each_notice_goes_out_in_one_package_however_often_it_is_killed(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, topics: None, tmp_path: Path
) -> None:
    kills, subjects, versions = (ROUNDS, 100, 12) if ROUNDS else (4, 30, 5)
    chance, data = random.Random(SEED), penalty("partner")
    print(f"HUB_CHAOS_SEED={SEED}")
    ids = {notice_id(f"S{subject}", number) for subject in range(subjects) for number in range(1, versions + 1)}
    root = tmp_path / "drop"
    root.mkdir()
    department = Department(root / NAME)
    write(kafka.bootstrap, subjects, range(1, versions + 1), data)
    command = [sys.executable, "-m", "tests.chaos.filedrop_process", kafka.bootstrap, valkey.url, str(root), KEY]
    running: list[subprocess.Popen[bytes]] = []

    def launch() -> None:
        with (tmp_path / f"filedrop-{len(running)}.log").open("wb") as console:
            running.append(subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console))

    def end() -> None:
        for process in running:
            process.kill()
            process.wait()

    with ExitStack() as stack:
        stack.callback(end)
        clerk = stack.enter_context(Clerk(department, SEED))
        for _ in range(kills):
            before = len(clerk.packages)
            launch()
            # Packages come only while notices are left.
            until = time.monotonic() + 60
            while len(clerk.packages) == before and len(receipts(kafka)) < len(ids) and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.5))
            running[-1].kill()
            running[-1].wait()
            remove_members(kafka.bootstrap, [group_of(NAME)])
        launch()
        wait_until(lambda: clerk.error is not None or set(receipts(kafka)) == ids, "all receipts", 0.3)
        assert clerk.error is None, clerk.error
        wait_until(lambda: department.files("inbox") == [], "all files read", 0.2)
        wait_until(lambda: set(answered(kafka)) == ids, "all answers", 0.3)
        wait_until(lambda: department.names() == [], "all packages filed away", 0.2)

    carried: dict[str, list[str]] = defaultdict(list)
    taken: dict[str, list[int]] = defaultdict(list)
    for name in sorted(clerk.packages, key=lambda name: clerk.packages[name].manifest["created_at"]):
        for id, body in clerk.packages[name].notices.items():
            carried[id].append(name)
            taken[body["data"]["subject"]].append(body["data"]["sequence"])
    assert set(carried) == ids
    assert {id: names for id, names in carried.items() if len(names) > 1} == {}, "each in one package"
    assert all(numbers == list(range(1, versions + 1)) for numbers in taken.values())
    for receipt in receipts(kafka).values():
        assert (receipt["status"], receipt["file"]) == ("delivered", carried[receipt["notice_id"]][0])
    assert list(read_topics(kafka.bootstrap, ["delivery.dead-letters.v1"])) == []
    faults = [department.result(name)["faults"] for name in department.files("done")]
    assert faults == [[]] * len(faults)
    print(f"{len(ids)} notices in {len(clerk.packages)} packages, {kills} kills")


def receipts(kafka: KafkaLike) -> dict[str, Any]:
    found = (catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS_TOPIC]))
    return {receipt["notice_id"]: receipt for receipt in found}


def answered(kafka: KafkaLike) -> dict[str, str]:
    """Notice -> id of its answer, which is one however often it was written."""
    found: dict[str, str] = {}
    for record in read_topics(kafka.bootstrap, [FEEDBACK]):
        value = catalog().decode(record.value or b"")[1]
        assert found.setdefault(value["notice_id"], value["feedback_id"]) == value["feedback_id"]
        assert value["way"] == "file"
    return found
