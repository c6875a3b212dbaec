"""Sources whose intake is killed again and again, as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support_databases import PASSWORD
from tests.support_intake import ROOT, records
from tests.support_topics import having

#: ``make chaos`` sets it: then 50,000 rows and twenty kills at least, else a few.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
TOPICS = ("inspection.results.v1", "intake.rejections.v1")


@contextlib.contextmanager
def intake_topics(bootstrap: str) -> Iterator[str]:
    """The topics of inspection results, gone again afterwards."""
    with having(bootstrap, TOPICS) as address:
        yield address


class Killed:
    """A source whose intake is killed at random moments."""

    def __init__(
        self, bootstrap: str, redis_url: str, data: Path, entry: dict[str, Any], chance: random.Random
    ) -> None:
        self._job = {"bootstrap": bootstrap, "redis_url": redis_url, "data": str(data), "entry": entry}
        self._chance = chance
        self.kills = 0

    def run(self, kills: int) -> None:
        """Kills so many processes in the middle, then lets one end."""
        for _ in range(kills):
            child = self._start()
            assert child.stdout is not None
            wanted = self._chance.randrange(0, 6)
            for number, _ in enumerate(child.stdout):
                if number >= wanted:
                    break
            time.sleep(self._chance.random() * 0.3)
            child.send_signal(signal.SIGKILL)
            child.stdout.close()
            self.kills += child.wait(timeout=60) == -signal.SIGKILL
        child = self._start()
        assert child.stdout is not None
        child.stdout.read()
        child.stdout.close()
        assert child.wait(timeout=300) == 0

    def run_killing_readers(self, kills: int) -> None:
        """Lets one process read everything, and kills so many of those that read beside it, some batches each."""
        child = self._start()
        assert child.stdout is not None
        for number, _ in enumerate(child.stdout):
            if self.kills < kills and number >= 1 and self._chance.random() < 0.5:
                for reader in _children(child.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(reader, signal.SIGKILL)
                        self.kills += 1
        child.stdout.close()
        assert child.wait(timeout=300) == 0

    def _start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.source_process"], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_DATABASE_PASSWORD": PASSWORD},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert child.stdin is not None
        json.dump(self._job, child.stdin)
        child.stdin.close()
        return child


def _children(pid: int) -> list[int]:
    """Processes that this one has started, in any of its threads."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for path in found for each in path.read_text().split()]


def expect_told_once(bootstrap: str, source: str, expected: Mapping[str, int]) -> list[dict[str, Any]]:
    """Every row of the source is on the log once for each of its versions, in order, so many by the last word of
    their types, and none was rejected."""
    found = records(bootstrap, TOPICS[0], source)
    assert len({record["ce_id"] for record in found}) == len(found)
    assert Counter(record["ce_type"].rpartition(".")[2] for record in found) == expected
    versions: dict[str, list[int]] = defaultdict(list)
    for record in found:
        versions[record["value"]["behaviour_number"]].append(int(record["ce_sequence"]))
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())
    assert records(bootstrap, TOPICS[1], source) == []
    return found
