"""Delivery killed again and again, with an endpoint that is down half of the time: all arrives, in order."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks

from hub.bus.clients import new_producer, produce
from hub.bus.reader import read_topics
from hub.bus.table_loader import TableLoader
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.waits import WAITS_TOPIC, WaitLog
from tests.chaos.clocks_process import ROOT
from tests.chaos.delivery_process import group_of
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_groups import delete_groups, remove_members
from tests.support_outlets import OutletServer, Reply, Seen, notice, notice_id, penalty

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

#: ``make chaos`` sets it: so many kills.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NAMES = [f"endpoint{number}" for number in range(5)]
GROUPS = [group_of(name) for name in NAMES]
PARTITIONS = 3


class Department:
    """One endpoint: notes what came, answers with faults of its own, may be down altogether."""

    def __init__(self, seed: int) -> None:
        self.is_down = False
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        #: Subject -> numbers of its notices in the order in which they were taken, repeats among them.
        self.taken: dict[str, list[int]] = defaultdict(list)
        self.ids: dict[tuple[str, int], set[str]] = defaultdict(set)

    def respond(self, seen: Seen, before: int) -> Reply:
        standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers)
        data = json.loads(seen.body)["data"]
        with self._lock:
            self.ids[data["subject"], data["sequence"]].add(seen.headers["webhook-id"])
            fate = self._chance.random()
            if self.is_down or fate < 0.02:
                return Reply(503)
            self.taken[data["subject"]].append(data["sequence"])
            # Done, but the sender does not hear of it: it must come again under the same id.
            return Reply(204, "", is_dropped=fate > 0.99)


@pytest.fixture
def groups(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[None]:
    create_topics(*(f"inbox.{name}" for name in NAMES), COMMANDS_TOPIC, partitions=PARTITIONS)
    create_topics(WAITS_TOPIC, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    create_topics(RECEIPTS_TOPIC, "delivery.dead-letters.v1", partitions=PARTITIONS)
    yield
    delete_groups(kafka.bootstrap, GROUPS)


def write(bootstrap: str, subjects: int, numbers: range, data: bytes) -> None:
    producer = new_producer(bootstrap, client_id="test")
    for number in numbers:
        for subject in range(subjects):
            for name in NAMES:
                record = notice(f"{name}-{subject}", number, subscription=name, data=data)
                produce(producer, record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(60) == 0


def test_all_arrives_in_order_however_often_delivery_is_killed(
    kafka: KafkaLike, groups: None, tmp_path: Path
) -> None:
    kills, subjects, versions = (ROUNDS, 200, 20) if ROUNDS else (3, 40, 6)
    chance, data = random.Random(SEED), penalty("partner")
    print(f"HUB_CHAOS_SEED={SEED}")
    departments = {name: Department(SEED + number) for number, name in enumerate(NAMES)}
    wanted = set(range(1, versions + 1))

    def arrived(name: str) -> int:
        return sum(len(set(numbers)) for numbers in departments[name].taken.values())

    def has(name: str, count: int) -> bool:
        return arrived(name) >= count

    def has_exactly(name: str, count: int) -> bool:
        return arrived(name) == count

    with ExitStack() as stack:
        urls = {name: stack.enter_context(OutletServer(each.respond)).url for name, each in departments.items()}
        command = [sys.executable, "-m", "tests.chaos.delivery_process", kafka.bootstrap, SECRET,
                   *(f"{name}={url}/hook" for name, url in urls.items())]
        running: list[subprocess.Popen[bytes]] = []

        def launch() -> None:
            with (tmp_path / f"delivery-{len(running)}.log").open("wb") as console:
                running.append(subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console))

        def end() -> None:
            for process in running:
                process.kill()
                process.wait()

        stack.callback(end)
        slices = [round(versions * each / (kills + 1)) for each in range(kills + 2)]
        for first, last in pairwise(slices[:-1]):
            write(kafka.bootstrap, subjects, range(first + 1, last + 1), data)
            before = arrived(NAMES[1]) + (last > first)
            launch()
            wait_until(partial(has, NAMES[1], before), "one more", 0.01)
            departments[NAMES[0]].is_down = chance.random() < 0.5
            time.sleep(chance.uniform(0.0, 1.0))
            running[-1].kill()
            running[-1].wait()
            remove_members(kafka.bootstrap, GROUPS)
        write(kafka.bootstrap, subjects, range(slices[-2] + 1, versions + 1), data)
        departments[NAMES[0]].is_down = True
        launch()
        total = subjects * versions
        for name in NAMES[1:]:
            wait_until(partial(has_exactly, name, total), f"all of {name}")
        departments[NAMES[0]].is_down = False
        wait_until(partial(has_exactly, NAMES[0], total), "all of the one that was down")
        wait_until(lambda: receipts(kafka.bootstrap).keys() == {
            notice_id(f"{name}-{subject}", number)
            for name in NAMES for subject in range(subjects) for number in wanted
        }, "all receipts", 0.5)
        waits = TableLoader(kafka.bootstrap, topic=WAITS_TOPIC)
        wait_until(lambda: not list(WaitLog(catalog()).load(waits, range(PARTITIONS))), "that nothing waits", 0.5)

    repeats = 0
    for department in departments.values():
        for subject, numbers in department.taken.items():
            # Repeats of what was taken may come after a kill; what is new comes in order.
            assert list(dict.fromkeys(numbers)) == sorted(wanted), subject
            repeats += len(numbers) - len(wanted)
        for (subject, number), ids in department.ids.items():
            assert ids == {notice_id(subject, number)}
    assert set(receipts(kafka.bootstrap).values()) == {"delivered"}
    assert list(read_topics(kafka.bootstrap, ["delivery.dead-letters.v1"])) == []
    print(f"{total * len(NAMES)} notices, {kills} kills, {repeats} taken again under the same id")


def receipts(bootstrap: str) -> dict[str, Any]:
    """Notice -> its end."""
    found = (catalog().decode(record.value or b"")[1] for record in read_topics(bootstrap, [RECEIPTS_TOPIC]))
    return {receipt["notice_id"]: receipt["status"] for receipt in found}
