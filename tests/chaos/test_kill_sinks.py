"""Sinks killed again and again: every order has one receipt, and the channel's record is the hub's."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.government_website.site import read_entries
from hub.bus.records import Record
from hub.disclosure import STATUSES
from hub.sandbox.faults import Fault, FaultPlan, Faults
from hub.sandbox.file_channel import CreditChinaChannel, FileChannel, PlatformFileChannel
from hub.sandbox.provincial_system import create_provincial_system
from hub.sandbox.register import Register
from hub.sandbox.row_register import RowRegister
from tests.chaos.sinks_process import CHANNEL, FileLog
from tests.support_contracts import ROOT, catalog
from tests.support_outlets import order, penalty
from tests.support_served import served

#: ``make chaos`` sets it: then 50,000 orders and twenty kills at least, else a few.
ROUNDS = int(os.environ.get("HUB_CHAOS_ROUNDS", "0"))
SEED = int(os.environ.get("HUB_CHAOS_SEED", "20260701"))
ORDERS, KILLS = (50_000, max(20, ROUNDS)) if ROUNDS else (450, 2)
#: In the long form requests fail and receipts are doubled too.
TROUBLE = 0.05 if ROUNDS else 0.02


class Channel(ABC):
    """The other side of a sink, which is never killed."""

    connector: ClassVar[str]

    def __init__(self, base: Path) -> None:
        self.base = base
        self.settings: dict[str, Any] = {}

    @abstractmethod
    def running(self) -> contextlib.AbstractContextManager[None]: ...

    @abstractmethod
    def shown(self) -> dict[str, int]:
        """Record -> version of what is public."""

    def doubled(self) -> int:
        """How often the order that was made public most often was."""
        return 1


class Files(Channel):
    """A stand-in that reads files in a thread of its own."""

    channel: FileChannel

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.settings = {"folder": "share", "max_batch": 100, "settle_seconds": 0, "collect_seconds": 0.05}

    @abstractmethod
    def _open(self, plan: FaultPlan) -> FileChannel: ...

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        plan = FaultPlan(Faults(answer_twice=Fault(rate=TROUBLE), foreign_receipt=Fault(rate=TROUBLE)), seed=SEED)
        self.channel, ends = self._open(plan), threading.Event()

        def serve() -> None:
            while not ends.is_set():
                if not self.channel.turn():
                    ends.wait(0.02)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join(60)
            self.channel.close()


class CreditChina(Files):
    connector = "credit-china"

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.settings["source_code"] = "623000-market"

    def _open(self, plan: FaultPlan) -> FileChannel:
        return CreditChinaChannel(self.base / "share", self.base, plan)

    def shown(self) -> dict[str, int]:
        with contextlib.closing(RowRegister(self.base / "credit-china.sqlite")) as register:
            return {record: version_of(row["CF_WSH"]) for record, row in register.shown().items()}

    def doubled(self) -> int:
        with contextlib.closing(RowRegister(self.base / "credit-china.sqlite")) as register:
            return register.most_publications()


class PlatformFiles(Files):
    connector = "collaboration-platform-files"

    def _open(self, plan: FaultPlan) -> FileChannel:
        # The platform knows its own channels alone; its register takes any.
        return PlatformFileChannel(self.base / "share", self.base, plan)

    def shown(self) -> dict[str, int]:
        found: dict[str, int] = {}
        with contextlib.closing(Register(self.base / "disclosure.sqlite")) as register:
            after = ""
            while page := register.publications(CHANNEL, after, 1000):
                found.update({each["correlation_id"]: each["sequence"] for each in page})
                after = page[-1]["correlation_id"]
        return found

    def doubled(self) -> int:
        with contextlib.closing(Register(self.base / "disclosure.sqlite")) as register:
            return register.stats()["max_publications_per_order"]


class Website(Channel):
    connector = "government-website"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.settings = {"folder": "site", "url": "https://www.example.org/credit"}
        (self.base / "site").mkdir()
        yield

    def shown(self) -> dict[str, int]:
        found = {entry.correlation_id: entry for entry in read_entries(self.base / "site") if entry.is_public}
        lists = "".join(path.read_text() for path in (self.base / "site/lists").glob("*.html"))
        for entry in found.values():
            page = (self.base / "site" / entry.enterprise_path).read_text()
            assert entry.path in page and entry.headline in page and entry.enterprise_path in lists
        filled = {entry.enterprise_path for entry in found.values()}
        for path in (self.base / "site/enterprises").glob("*.html"):
            assert (f"enterprises/{path.name}" in filled) == ("没有公示信息" not in path.read_text())
        return {name: entry.sequence for name, entry in found.items()}


class Uplink(Channel):
    connector = "provincial-uplink"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        plan = FaultPlan(Faults(lose_receipt=Fault(rate=TROUBLE), down=Fault(rate=TROUBLE)), seed=SEED)
        with served(create_provincial_system(self.base, plan)) as url:
            self.settings = {"url": url, "source_code": "623000-market"}
            yield

    def shown(self) -> dict[str, int]:
        with contextlib.closing(RowRegister(self.base / "provincial.sqlite")) as register:
            numbers = register.batches()
            assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)
            return {record: version_of(row["document_number"]) for record, row in register.shown().items()}

    def doubled(self) -> int:
        with contextlib.closing(RowRegister(self.base / "provincial.sqlite")) as register:
            return register.most_publications()


def version_of(document_number: object) -> int:
    return int(str(document_number).rpartition("-")[2])


def orders() -> list[Record]:
    """Records of which half are amended and a fifth withdrawn, their versions some way apart."""
    chance = random.Random(SEED)
    found: list[tuple[float, str, int, str]] = []
    for number in range(ORDERS * 10 // 17):
        subject, at = f"S{number}", float(number)
        found.append((at, subject, 1, "publish"))
        if number % 2 == 0:
            at += chance.random() * 300
            found.append((at, subject, 2, "amend"))
        if number % 5 == 0:
            found.append((at + 0.5 + chance.random() * 300, subject, 3, "withdraw"))
    made = []
    for offset, (_, subject, version, action) in enumerate(sorted(found)):
        data = penalty("public", document_number=f"甘南市监处罚-{subject}-{version}")
        record = order(subject, version, action=action, channel=CHANNEL, data=data)
        made.append(record._replace(partition=0, offset=offset))
    return made


def start(job: dict[str, Any]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.sinks_process"], cwd=ROOT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    json.dump(job, child.stdin)
    child.stdin.close()
    return child


def kill_and_end(job: dict[str, Any], chance: random.Random) -> int:
    """Kills some processes in the middle, then lets one end; how many were killed."""
    killed = 0
    for round_ in range(KILLS):
        child = start(job)
        assert child.stdout is not None
        wanted = chance.randrange(1, max(2, ORDERS // 20 // (KILLS - round_ + 1)))
        for number, _ in enumerate(child.stdout):
            if number >= wanted:
                break
        time.sleep(chance.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        child.stdout.close()
        killed += child.wait(timeout=60) == -signal.SIGKILL
    child = start(job)
    assert child.stdout is not None
    child.stdout.read()
    child.stdout.close()
    assert child.wait(timeout=1200) == 0
    return killed


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return pickle.dumps(orders())


@pytest.mark.parametrize("made", [CreditChina, PlatformFiles, Website, Uplink], ids=lambda made: made.connector)
def test_killed_at_random_every_order_is_done_once(made: type[Channel], log: bytes, tmp_path: Path) -> None:
    channel = made(tmp_path)
    (tmp_path / "orders.pickle").write_bytes(log)
    chance = random.Random(f"{SEED}{made.connector}")
    with channel.running():
        job = {"connector": channel.connector, "settings": channel.settings, "base": str(tmp_path)}
        assert kill_and_end(job, chance), "some were killed in the middle"

    written = FileLog(tmp_path)
    receipts = {receipt["order_id"]: receipt for _, receipt in written.receipts()}
    assert len(receipts) == len(written.receipts()) == len(written.orders), "one receipt for each order"
    statuses = Counter(receipt["status"] for receipt in receipts.values())
    assert "refused" not in statuses and statuses["published"] and statuses["replaced"] and statuses["withdrawn"]
    expected: dict[str, int] = {}
    for number, (offset, receipt) in enumerate(sorted(written.receipts(), key=lambda each: each[0])):
        assert offset == number
        record, version = f"entity-{receipt['subject']}", version_in(written.orders[offset])
        if receipt["status"] != "superseded":
            assert receipt["status"] in STATUSES[receipt["action"]]
            expected.pop(record, None)
            if receipt["action"] != "withdraw":
                expected[record] = version
    assert channel.shown() == expected
    assert channel.doubled() == 1


def version_in(record: Record) -> int:
    return int(catalog().decode(record.value or b"")[1]["sequence"])
