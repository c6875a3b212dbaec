"""Disclosure killed again and again, with faults and a channel that is down half of the time: the channels end up with
what the log says, each order has one end, and nothing was made public twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hub.bus.clients import new_producer, produce
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.disclosure import PublicRecord
from hub.disclosure.book import fold
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.receipts import RECEIPTS_TOPIC
from hub.disclosure.reconcile import compare
from hub.disclosure.service import group_of
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import Fault, FaultPlan, Faults, Slowness
from hub.sandbox.register import Register
from tests.chaos.clocks_process import ROOT
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_groups import delete_groups, remove_members
from tests.support_outlets import order, order_id, penalty
from tests.support_served import served

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

#: ``make chaos`` sets it: then 50,000 orders and twenty kills at least, else a few.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
#: Subjects, versions of the one record of each, kills; on two channels each.
SUBJECTS, VERSIONS, KILLS = (2_500, 10, max(20, ROUNDS)) if ROUNDS else (60, 5, 2)
CHANNELS = ("creditchina", "gsxt")
GROUPS = [group_of(channel) for channel in CHANNELS]
PARTITIONS = 3
LETTERS = "disclosure.dead-letters.v1"


def faults(*, is_down: bool = False) -> Faults:
    return Faults(
        down=Fault(rate=1.0 if is_down else 0.02), lose_receipt=Fault(rate=0.02), refuse_record=Fault(rate=0.01),
        lose_answer=Fault(rate=0.01), answer_twice=Fault(rate=0.01), slow=Slowness(seconds=0.05, rate=0.05),
        spoiled_subjects=["S7"],
    )  # fmt: skip


@pytest.fixture
def topics(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[None]:
    create_topics(ORDERS_TOPIC, RECEIPTS_TOPIC, partitions=PARTITIONS)
    create_topics(LETTERS, partitions=1)
    yield
    delete_groups(kafka.bootstrap, GROUPS)


def action_of(subject: int, number: int) -> str:
    """Some records are withdrawn at their end, some in between, and come back."""
    is_withdrawn = (number == VERSIONS and subject % 3 == 0) or (number == VERSIONS // 2 and subject % 5 == 0)
    return "withdraw" if is_withdrawn else "publish" if number == 1 else "amend"


def write(bootstrap: str, numbers: range, data: bytes) -> None:
    producer = new_producer(bootstrap, client_id="test")
    for number in numbers:
        for subject in range(SUBJECTS):
            for channel in CHANNELS:
                name = f"{channel}-S{subject}" if subject != 7 else "S7"
                record = order(name, number, action=action_of(subject, number), channel=channel, data=data)
                record = unlike(record, channel)
                produce(producer, record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(60) == 0


def unlike(record: Record, channel: str) -> Record:
    """S7's orders are of both channels: they need ids of their own."""
    if record.key != b"S7":
        return record
    schema, value = catalog().decode(record.value or b"")
    return record._replace(value=schema.encode({**value, "order_id": f"{channel[:4]}{value['order_id'][4:]}"}))


def receipts(bootstrap: str) -> dict[str, set[str]]:
    """Order -> statuses of its receipts."""
    found: dict[str, set[str]] = {}
    for record in read_topics(bootstrap, [RECEIPTS_TOPIC]):
        receipt = catalog().decode(record.value or b"")[1]
        found.setdefault(receipt["order_id"], set()).add(receipt["status"])
    return found


def test_the_channels_have_what_the_log_says_however_often_disclosure_is_killed(
    kafka: KafkaLike, topics: None, tmp_path: Path
) -> None:
    chance, data = random.Random(SEED), penalty("public")
    print(f"HUB_CHAOS_SEED={SEED}")
    plans = {channel: FaultPlan(faults(), seed=SEED + number) for number, channel in enumerate(CHANNELS)}
    total = SUBJECTS * VERSIONS * len(CHANNELS)
    with ExitStack() as stack:
        urls = {
            channel: stack.enter_context(served(create_disclosure_system(tmp_path / channel, plans[channel])))
            for channel in CHANNELS
        }
        command = [sys.executable, "-m", "tests.chaos.disclosure_process", kafka.bootstrap, str(tmp_path),
                   *(f"{channel}={url}" for channel, url in urls.items())]  # fmt: skip
        running: list[subprocess.Popen[bytes]] = []

        def launch() -> None:
            with (tmp_path / f"disclosure-{len(running)}.log").open("wb") as console:
                running.append(subprocess.Popen(command, cwd=ROOT, stdout=console, stderr=console))

        def end() -> None:
            for process in running:
                process.kill()
                process.wait()

        stack.callback(end)
        slices = [round(VERSIONS * each / (KILLS + 1)) for each in range(KILLS + 2)]
        registers = {channel: stack.enter_context(opened(tmp_path / channel)) for channel in CHANNELS}
        for first, last in pairwise(slices[:-1]):
            write(kafka.bootstrap, range(first + 1, last + 1), data)
            before = registers["gsxt"].stats()["requests"]
            launch()
            # Killed in the middle of its work, not before it.
            wait_until(lambda: registers["gsxt"].stats()["requests"] > before or last == first, "work", 0.01)  # noqa: B023  (called now)
            plans["creditchina"].set(faults(is_down=chance.random() < 0.5))
            time.sleep(chance.uniform(0.0, 1.0))
            running[-1].kill()
            running[-1].wait()
            remove_members(kafka.bootstrap, GROUPS)
        write(kafka.bootstrap, range(slices[-2] + 1, VERSIONS + 1), data)
        plans["creditchina"].set(faults())
        launch()
        wait_until(lambda: len(receipts(kafka.bootstrap)) == total, "all receipts", 0.5)

        began = datetime.now(UTC)
        repeats = 0
        for channel, register in registers.items():
            states = fold(read_topics(kafka.bootstrap, [ORDERS_TOPIC, RECEIPTS_TOPIC]), catalog(), channel)
            listed = [PublicRecord(each["correlation_id"], each["sequence"]) for each in everything(register, channel)]
            found = compare(states, listed, began)
            assert (found.differences, found.under_way) == ([], 0)
            assert found.same == len(listed) > 0
            stats = register.stats()
            assert stats["max_publications_per_order"] == 1
            repeats += stats["repeated_orders"]

    ends = receipts(kafka.bootstrap)
    assert all(len(statuses) == 1 for statuses in ends.values()), "each order has one end"
    counts = Counter(status for statuses in ends.values() for status in statuses)
    assert counts["refused"] >= 1 and counts["published"] >= SUBJECTS
    assert ends[order_id("gsxt-S1", 1)] <= {"published", "superseded", "refused"}
    assert list(read_topics(kafka.bootstrap, [LETTERS])) == []
    print(f"{total} orders, {KILLS} kills, {repeats} carried out and asked again; {dict(counts)}")


class opened:
    """A register that the stand-in writes, read beside it."""

    def __init__(self, folder: Path) -> None:
        self._register = Register(folder / "disclosure.sqlite")

    def __enter__(self) -> Register:
        return self._register

    def __exit__(self, *_: object) -> None:
        self._register.close()


def everything(register: Register, channel: str) -> list[dict[str, Any]]:
    """All that is public, page by page."""
    found: list[dict[str, Any]] = []
    while page := register.publications(channel, found[-1]["correlation_id"] if found else "", 100):
        found += page
    return found
