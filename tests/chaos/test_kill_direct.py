"""Who writes the receipts of directly read inboxes is killed again and again: each commit has its receipts."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hub.bus.commits import GroupOffsets
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.domain.direct import group_of, inbox_of
from tests.chaos.clocks_process import ROOT
from tests.chaos.direct_process import position_group, sharing_group
from tests.chaos.stopping import end
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_groups import delete_groups, remove_members
from tests.support_outlets import notice, notice_id

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
PARTITIONS = 3


@pytest.fixture
def names(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[list[str]]:
    found = [f"direct{number}-{uuid.uuid4().hex[:6]}" for number in range(2)]
    create_topics(*map(inbox_of, found), RECEIPTS_TOPIC, "delivery.dead-letters.v1", partitions=PARTITIONS)
    yield found
    groups = [sharing_group(found), *map(position_group, found), *map(group_of, found)]
    with suppress(Exception):
        delete_groups(kafka.bootstrap, groups)


def receipts(bootstrap: str) -> list[dict[str, Any]]:
    records = sorted(read_topics(bootstrap, [RECEIPTS_TOPIC]), key=lambda each: (each.partition, each.offset))
    return [catalog().decode(record.value or b"")[1] for record in records]


def test_each_commit_has_its_receipts_however_often_the_writer_is_killed(
    kafka: KafkaLike, names: list[str], tmp_path: Path
) -> None:
    kills, subjects, versions = (ROUNDS, 60, 40) if ROUNDS else (4, 20, 10)
    chance, offsets = random.Random(SEED), GroupOffsets(kafka.bootstrap)
    print(f"HUB_CHAOS_SEED={SEED}")
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        for number in range(1, versions + 1):
            publisher.publish([
                Output(each.topic, each.key, each.value, each.headers)
                for name in names for subject in range(subjects)
                for each in [notice(f"{name}-{subject}", number, subscription=name)]
            ])
    places = {
        name: {(inbox_of(name), number): 0 for number in range(PARTITIONS)} for name in names
    }
    ends = {
        place: max((each.offset + 1 for each in read_topics(kafka.bootstrap, [place[0]], place[1])), default=0)
        for name in names for place in places[name]
    }
    command = [sys.executable, "-m", "tests.chaos.direct_process", kafka.bootstrap, *names]
    running: list[subprocess.Popen[bytes]] = []

    def launch() -> None:
        with (tmp_path / f"direct-{len(running)}.log").open("wb") as console:
            running.append(subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console))

    def acknowledge(share: float) -> int:
        """The departments' groups commit a part of what there is; returns how many records that are in all."""
        for name, known in places.items():
            for place in known:
                known[place] = max(known[place], round(ends[place] * share))
            offsets.write(group_of(name), known)
        return sum(at for known in places.values() for at in known.values())

    try:
        for round_ in range(kills):
            before = len({each["receipt_id"] for each in receipts(kafka.bootstrap)})
            launch()
            acknowledge((round_ + 1) / (kills + 1))
            wait_until(lambda before=before: len(receipts(kafka.bootstrap)) > before, "a receipt", 0.01)  # type: ignore[misc]  # a default has no type here
            time.sleep(chance.uniform(0.0, 0.15))
            running[-1].kill()
            running[-1].wait()
            remove_members(kafka.bootstrap, [sharing_group(names)])
        # Two at a time share the partitions.
        launch()
        launch()
        total = acknowledge(1.0)
        assert total == len(names) * subjects * versions
        wait_until(lambda: len({each["notice_id"] for each in receipts(kafka.bootstrap)}) == total, "all receipts", 0.2)
        # Departments that go back to the beginning are told nothing twice.
        count = len(receipts(kafka.bootstrap))
        for name, known in places.items():
            offsets.write(group_of(name), dict.fromkeys(known, 0))
        time.sleep(1.0)
        assert len(receipts(kafka.bootstrap)) == count
        for number in (len(running) - 2, len(running) - 1):
            end(running[number], tmp_path / f"direct-{number}.log")
    finally:
        for process in running:
            process.kill()
            process.wait()

    found = receipts(kafka.bootstrap)
    assert {each["status"] for each in found} == {"delivered"}
    assert {each["receipt_id"]: each["notice_id"] for each in found}.keys().__len__() == total
    in_order: dict[str, list[int]] = defaultdict(list)
    for each in found:
        in_order[each["subject"]].append(each["sequence"])
    for subject, numbers in in_order.items():
        # Some come again after a kill, under their id; what is new comes in order.
        assert list(dict.fromkeys(numbers)) == list(range(1, versions + 1)), subject
    assert {each["notice_id"] for each in found} == {
        notice_id(f"{name}-{subject}", number)
        for name in names for subject in range(subjects) for number in range(1, versions + 1)
    }
    assert list(read_topics(kafka.bootstrap, ["delivery.dead-letters.v1"])) == []
    committed = offsets.read([position_group(name) for name in names])
    assert {place: at for found_ in committed.values() for place, at in found_.items()} == ends
    print(f"{total} notices, {kills} kills, {len(found) - total} receipts again under the same id")
