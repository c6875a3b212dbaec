"""The ledger killed again and again, its index wiped at random: what it holds in the end is what the log says."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from hub.bench.ledger_traffic import Traffic
from hub.ops.ledger.service import GROUP
from hub.state.ledger_index import LedgerIndex
from tests.chaos.stopping import end
from tests.support_contracts import ROOT, catalog
from tests.support_groups import delete_groups
from tests.support_ledger import contents, has_read, held_against_log, ledger_topics, wait_until, write_events

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

#: ``make chaos`` sets it: so many kills.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))


class Processes:
    """One process of the stage at a time; what still runs is killed in the end."""

    def __init__(self, bootstrap: str, redis_url: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.ledger_process", bootstrap, redis_url]
        self._folder, self._started = folder, list[subprocess.Popen[bytes]]()

    def start(self) -> None:
        with self._console(len(self._started)).open("wb") as console:
            self._started.append(subprocess.Popen(self._command, cwd=ROOT, stdout=console, stderr=console))

    def kill(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()

    def end(self) -> None:
        """Lets it end by itself."""
        end(self._started[-1], self._console(len(self._started) - 1))

    def _console(self, number: int) -> Path:
        return self._folder / f"ledger-{number}.log"


@pytest.fixture
def processes(kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Processes]:
    with ledger_topics(kafka.bootstrap):
        found = Processes(kafka.bootstrap, valkey.url, tmp_path)
        yield found
        found.kill()
        delete_groups(kafka.bootstrap, [GROUP])


def test_what_it_holds_is_what_the_log_says_however_often_it_is_killed_and_wiped(
    kafka: KafkaLike, redis_client: redis.Redis, processes: Processes
) -> None:
    kills, events = (ROUNDS, 20_000) if ROUNDS else (2, 600)
    chance, traffic, index = random.Random(SEED), Traffic(catalog(), salt="chaos"), LedgerIndex(redis_client)
    print(f"HUB_CHAOS_SEED={SEED}")
    written = in_the_midst = wiped = 0
    for round in range(kills):
        written += write_events(kafka.bootstrap, traffic, range(round, events, kills))
        before = sum(index.offsets().values())
        processes.start()
        wait_until(partial(has_read, redis_client, before + 1), "a beginning")
        time.sleep(chance.uniform(0.0, 0.2))
        if round % 2:
            redis_client.flushall()
            wiped += 1
            time.sleep(chance.uniform(0.0, 0.3))
        in_the_midst += 0 < sum(index.offsets().values()) < written
        processes.kill()
    processes.start()
    wait_until(lambda: has_read(redis_client, written), "all of it")
    processes.end()
    print(f"{written} records, {kills} kills, {in_the_midst} in the midst of its work, {wiped} wipes")
    found = held_against_log(kafka.bootstrap, redis_client)
    assert found.is_same, found.examples
    assert found.facts == events
    before_rebuild = contents(redis_client)
    redis_client.flushall()
    processes.start()
    wait_until(lambda: has_read(redis_client, written), "all of it anew")
    processes.end()
    assert contents(redis_client) == before_rebuild
