"""A hub as its users have it: the command ``hub`` in processes of its own, on a data folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported untyped

from connectors.government_website.site import read_entries
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.domain.events import entity_id, event_id
from hub.embedded.folder import choose_port
from hub.embedded.process import birth_of
from hub.sandbox.generate.manifest import Entity, Manifest
from hub.sandbox.row_register import RowRegister

#: A start on a cold and busy machine; none of the tests measures it.
START_SECONDS = 150.0
#: How long the tests wait for anything that the hub has to come to by itself.
PATIENCE_SECONDS = 180.0

#: Kind of an export -> topic of its events.
TOPICS = {
    "inspection-results": "inspection.results.v1",
    "penalties": "enforcement.penalties.v1",
    "blacklist-notices": "blacklist.notices.v1",
    "complaint-leads": "complaint.leads.v1",
}
_GONE = (".removed", ".withdrawn")


def environment(data: Path, **more: str) -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PYTEST_"))}
    return kept | {"HUB_DATA": str(data)} | more


def hub(data: Path, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """One command of the hub, to its end."""
    command = [sys.executable, "-m", "hub.cli.main", *arguments]
    return subprocess.run(
        command,
        env=environment(data, HUB_LOG_LEVEL="error", HUB_WEB_PORT=str(choose_port())),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def hub_json(data: Path, *arguments: str, code: int = 0) -> Any:
    """What a command prints with ``--json``, after a look at its exit code."""
    done = hub(data, *arguments, "--json")
    assert done.returncode == code, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


class HubProcess:
    """``hub up`` on a data folder; what it prints goes to ``console``."""

    def __init__(self, data: Path, console: Path) -> None:
        self.data, self.console = data, console
        self._port = choose_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def addresses(self) -> dict[str, Any]:
        """``run.json`` of the running hub; empty until it is written."""
        try:
            found = json.loads((self.data / "run.json").read_text())
        except (OSError, ValueError):
            return {}
        # A hub that was killed leaves its file behind.
        return found if self._process is not None and found.get("pid") == self._process.pid else {}

    @property
    def bootstrap(self) -> str:
        return str(self.addresses["bootstrap"])

    def launch(self) -> None:
        """Starts it and returns at once."""
        assert not self.is_running
        command = [sys.executable, "-m", "hub.cli.main", "up", "--data", str(self.data)]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                command,
                env=environment(self.data, HUB_WEB_PORT=str(self._port), PYTHONUNBUFFERED="1"),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Starts it and waits until everything answers."""
        said = self.console.stat().st_size if self.console.exists() else 0
        self.launch()
        self.wait_until(lambda: b"the hub is up" in self.console.read_bytes()[said:], "the hub", START_SECONDS)

    def wait_until(self, is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for the hub; fails with the end of its console if it ends, or takes too long."""
        until = time.monotonic() + seconds
        while not is_so():
            assert self.is_running, f"hub up ended while waiting for {what}:\n{self._last_words()}"
            assert time.monotonic() < until, f"after {seconds:.0f} s still waiting for {what}:\n{self._last_words()}"
            time.sleep(0.05)

    def terminate(self, seconds: float) -> int:
        """SIGTERM; returns the exit code. Raises TimeoutExpired if it takes longer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def kill_all(self) -> None:
        """SIGKILL to the hub and in the same breath to every process that it started."""
        assert self._process is not None
        children = children_of(self.data)
        self._process.kill()
        for pid, birth in children:
            kill(pid, birth)
        self._process.wait()
        wait_for_nothing_left(self.data)

    def close(self) -> None:
        """For the end of a test, however it went."""
        if self.is_running:
            try:
                self.terminate(60)
            except subprocess.TimeoutExpired:
                self.kill_all()

    def _last_words(self) -> str:
        return self.console.read_text("utf-8", "replace")[-3000:]


def stage_of(data: Path, name: str) -> tuple[int, str] | None:
    """Process number and birth of a part that runs under the supervisor."""
    return _read_pid(data / "stages" / f"{name}.pid.json")


def children_of(data: Path) -> list[tuple[int, str]]:
    """Broker, index and stages, as their pid files name them, if they live."""
    files = [*data.glob("stages/*.pid.json"), *data.glob("kafka/broker-*/pid.json"), data / "valkey/valkey-pid.json"]
    return [found for file in files if (found := _read_pid(file)) is not None]


def kill(pid: int, birth: str) -> None:
    """SIGKILL to exactly this process."""
    if birth_of(pid) == birth:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read_pid(file: Path) -> tuple[int, str] | None:
    try:
        known = json.loads(file.read_text())
        pid, birth = int(known["pid"]), str(known["birth"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (pid, birth) if birth_of(pid) == birth else None


def processes_of(data: Path) -> list[str]:
    """Processes, besides this one and its parents, that name the folder: argument, environment or cwd."""
    wanted, found = os.fsencode(data.resolve()), list[str]()
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) in _ourselves():
            continue
        try:
            texts = [(folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()]
            texts.append(os.fsencode(os.readlink(folder / "cwd")))
        except OSError:  # ended meanwhile, or somebody else's
            continue
        if any(wanted in text for text in texts):
            found.append(f"{folder.name} {texts[0].replace(bytes(1), b' ').decode('utf-8', 'replace')[:200]}")
    return found


def _ourselves() -> set[int]:
    pids, pid = set[int](), os.getpid()
    while pid > 1:
        pids.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    return pids


def wait_for_nothing_left(data: Path, seconds: float = 15.0) -> None:
    """The kernel ends the children of a killed process by itself, but not before we look."""
    until = time.monotonic() + seconds
    while left := processes_of(data):
        assert time.monotonic() < until, "still running: " + "; ".join(left)
        time.sleep(0.05)


class LogEnds:
    """How many records were ever written to each topic; one question for all of them."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        known = self._admin.list_topics(timeout=30).topics
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        self._latest = {TopicPartition(topic, number): latest for topic in topics for number in known[topic].partitions}

    def read(self) -> dict[str, int]:
        """The counts of now. A partition that has no leader yet, as just after a start, is asked again."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = Counter[str]()
                for place, answer in self._admin.list_offsets(self._latest, request_timeout=15).items():
                    found[place.topic] += max(answer.result().offset, 0)
                return found
            except KafkaException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=15) as answer:
        return json.load(answer)


def department_stats(addresses: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each department's stand-in says of itself, by subscription."""
    pages = addresses["sandbox"]["departments"]
    return {name: get_json(f"{page.rstrip('/')}/stats") for name, page in pages.items()}


def is_at_rest(hub_process: HubProcess) -> bool:
    """Whether no group has anything to read and no department anything to answer."""
    if hub(hub_process.data, "lag", "--json").returncode != 0:
        return False
    return not any(stats["pending"] for stats in department_stats(hub_process.addresses).values())


def read_events(bootstrap: str) -> list[Record]:
    """All records on the topics of the season's facts."""
    return list(read_topics(bootstrap, list(TOPICS.values())))


def ids_on_topics(records: Sequence[Record]) -> dict[str, Counter[str]]:
    """Topic -> how often each event id stands on it."""
    found: dict[str, Counter[str]] = {topic: Counter() for topic in TOPICS.values()}
    for record in records:
        found[record.topic][dict(record.headers)["ce_id"].decode()] += 1
    return found


def ids_of(manifest: Manifest) -> dict[str, Counter[str]]:
    """The same as the season's truth has it: each version of each natural key once."""
    found: dict[str, Counter[str]] = {topic: Counter() for topic in TOPICS.values()}
    for entity in manifest.entities:
        for version in range(1, entity.version + 1):
            found[TOPICS[entity.kind]][event_id(*_identity(entity), version)] += 1
    return found


def public_of(manifest: Manifest) -> set[tuple[str, str]]:
    """(channel, entity) of everything that has to be public when the season is over."""
    return {(channel, entity_id(*_identity(entity))) for entity in manifest.entities for channel in _channels(entity)}


def shown_to_the_public(data: Path) -> set[tuple[str, str]]:
    """(channel, entity) that anybody can look up, out of what the stand-ins keep and the website's own pages."""
    sandbox = data / "sandbox"
    with contextlib.closing(sqlite3.connect(sandbox / "disclosure.sqlite")) as register:
        found = set(register.execute("SELECT channel, correlation_id FROM record WHERE is_public").fetchall())
    with contextlib.closing(RowRegister(sandbox / "channels/creditchina/credit-china.sqlite")) as rows:
        found |= {("creditchina", record) for record in rows.shown()}
    return found | {
        ("website", entry.correlation_id) for entry in read_entries(sandbox / "channels/website/site")
        if entry.is_public
    }


def reported_to_the_province(data: Path) -> dict[str, dict[str, object]]:
    """Record -> row of every act that stands in the provincial system."""
    path = data / "sandbox/channels/province/provincial.sqlite"
    with contextlib.closing(RowRegister(path)) as register:
        assert register.most_publications() == 1
        return register.shown()


def _identity(entity: Entity) -> tuple[str, str]:
    """Source and natural key, as ids derive from them: a number of a penalty is not one of an inspection."""
    return f"/sources/{entity.source}", f"{TOPICS[entity.kind]}|{entity.natural_key}"


def _channels(entity: Entity) -> tuple[str, ...]:
    """Channels that the law wants it on: what topics.yaml says, said a second time on purpose."""
    if entity.kind == "complaint-leads" or "not-public" in entity.traits or entity.state.endswith(_GONE):
        return ()
    if entity.kind == "penalties":
        # 令45: decisions by the ordinary procedure, unless they only warn.
        return () if {"summary", "warning-only"} & set(entity.traits) else ("gsxt", "creditchina", "website")
    return ("gsxt", "website") if entity.kind == "inspection-results" else ("gsxt",)
