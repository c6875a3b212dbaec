"""The whole hub on one machine: broker, index, all stages, and the sandbox where it is asked for."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from hub.embedded.cluster import KafkaCluster
from hub.embedded.folder import choose_port, is_free
from hub.embedded.supervisor import Supervisor
from hub.embedded.valkey import Valkey
from hub.errors import ContractError, InfrastructureError
from hub.settings import Settings, load
from hub.wiring import STAGES, apply_cluster, find_uplinks, open_catalog, open_map

#: How long the stages may take to answer after their start.
READY_SECONDS = 60.0


class House:
    """Starts everything in order and ends it in reverse; a context manager.

    ``run.json`` in the data folder holds the addresses while the hub runs: every command of the same
    data folder finds the hub by it. Not for use from several threads.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        brokers: int = 1,
        with_sandbox: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        self._data = settings.data.resolve()
        self._brokers, self._with_sandbox, self._say = brokers, with_sandbox, say
        self._settings = settings
        # What the brokers of this machine can hold, whatever the map asks of a real cluster.
        self._replication = settings.replication or min(brokers, 3)
        self._cluster = KafkaCluster(self._data / "kafka", brokers, settings.cache)
        self._valkey = Valkey(self._data / "valkey")
        self._stages: Supervisor | None = None
        self._sandbox: Supervisor | None = None
        self.addresses: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Everything up and answering. Raises HubError with what did not start."""
        self._timed("broker", self._cluster.start)
        self._timed("index", self._valkey.start)
        settings = self._settings
        port = self._port("web", settings.web_host, settings.web_port)
        metrics = self._port("metrics", settings.metrics_host, settings.metrics_port)
        self.addresses = {
            "bootstrap": self._cluster.bootstrap,
            "departments_bootstrap": self._cluster.departments,
            "redis_url": self._valkey.url,
            "web": f"http://{settings.web_host}:{port}",
            "metrics": f"http://{settings.metrics_host}:{metrics}/metrics",
        }
        self._timed("topics", self._apply_topics)
        if self._with_sandbox:
            self._timed("sandbox", self._start_sandbox)
        commands = {
            stage: [sys.executable, "-m", "hub.cli.main", "run", stage, "--data", str(self._data)] for stage in STAGES
        }
        if not self._settings.sources.exists():
            commands.pop("intake")
        if not _has_uplink(self._settings):
            commands.pop("uplink")
        if not self._settings.endpoints.exists():
            for stage in ("disclosure", "delivery", "web"):
                commands.pop(stage)
        self._write_run_file()
        listening = {
            "HUB_WEB_PORT": str(port), "HUB_WEB_HOST": settings.web_host,
            "HUB_METRICS_PORT": str(metrics), "HUB_METRICS_HOST": settings.metrics_host,
            # Of several stages on one machine only one could have the port of their health.
            "HUB_HEALTH_PORT": "0",
        }  # fmt: skip
        with _environment(listening):
            self._stages = Supervisor(self._data / "stages", commands)
            self._timed("stages", self._start_stages)

    def stop(self) -> None:
        """Ends what runs, the stages first so that they can still commit."""
        (self._data / "run.json").unlink(missing_ok=True)
        for supervisor in (self._stages, self._sandbox):
            if supervisor is not None:
                supervisor.stop()
        self._valkey.stop()
        self._cluster.stop()

    @property
    def exports(self) -> Path:
        """Where the sandbox's departments put their exports."""
        return self._data / "exports"

    @property
    def restarts(self) -> int:
        return self._stages.restarts if self._stages is not None else 0

    @property
    def pids(self) -> dict[str, int]:
        """Process numbers by part."""
        found = {f"kafka-{number}": pid for number, pid in self._cluster.pids.items()}
        if self._valkey.pid is not None:
            found["valkey"] = self._valkey.pid
        for supervisor in (self._stages, self._sandbox):
            if supervisor is not None:
                found |= {name: child.pid for name, child in supervisor.children.items() if child.pid}
        return found

    def _timed(self, name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        self.seconds[name] = time.perf_counter() - began
        self._say(f"{name} ({self.seconds[name]:.1f} s)")

    def _port(self, name: str, host: str, wanted: int) -> int:
        """The port of the settings, the last one of this folder, or a free one."""
        known = _read_json(self._data / "ports.json")
        others = [port for other, port in known.items() if other != name]
        port = wanted if wanted and is_free(wanted, host) else choose_port(known.get(name), others, host=host)
        (self._data / "ports.json").write_text(json.dumps({**known, name: port}))
        return port

    def _apply_topics(self) -> None:
        settings = load(
            data=self._data, replication=self._replication, bootstrap_servers=self._cluster.bootstrap
        )
        apply_cluster(settings, open_map(self._settings))

    def _start_sandbox(self) -> None:
        hub_map = open_map(self._settings, open_catalog(self._settings))
        folder = self._data / "sandbox"
        command = [
            sys.executable,
            "-m",
            "hub.sandbox.service",
            "--data",
            str(folder),
            "--feedback-url",
            f"{self.addresses['web']}/v1/feedback",
        ]
        for name, channel in hub_map.channels.items():
            command += ["--channel", f"{name}={channel.connector}"]
        for name, subscription in hub_map.subscriptions.items():
            command += ["--department", f"{name}={hub_map.departments[subscription.department]['name']}"]
        answer = folder / "sandbox.json"
        before = answer.stat().st_mtime_ns if answer.exists() else 0
        self._sandbox = Supervisor(self._data / "stages", {"sandbox": command})
        self._sandbox.start()
        _wait_for(lambda: answer.exists() and answer.stat().st_mtime_ns > before, "the sandbox", READY_SECONDS)
        found = _read_json(answer)
        self.addresses["sandbox"] = {
            "disclosure": found["disclosure"]["url"],
            "interface": found["interface"]["url"],
            "national": found["national"]["url"],
            "channels": {name: entry["page"] for name, entry in found["channels"].items()},
            "departments": {name: entry["page"] for name, entry in found["departments"].items()},
        }
        if self._settings.endpoints_file is None:
            _write_private(self._settings.endpoints, _sandbox_endpoints(found))

    def _start_stages(self) -> None:
        assert self._stages is not None
        self._stages.start()
        if "web" in self._stages.children:
            _wait_for(lambda: _answers(f"{self.addresses['web']}/readyz"), "the web side", READY_SECONDS)

    def _write_run_file(self) -> None:
        path = self._data / "run.json"
        found = {**self.addresses, "replication": self._replication, "pid": os.getpid()}
        path.with_suffix(".new").write_text(json.dumps(found, indent=1))
        path.with_suffix(".new").replace(path)


def _has_uplink(settings: Settings) -> bool:
    """Whether a source has a way back up. A faulty ``sources.yaml`` is intake's to name."""
    try:
        return bool(find_uplinks(settings))
    except ContractError:
        return False


def _sandbox_endpoints(found: Mapping[str, Any]) -> dict[str, Any]:
    """The file of endpoints, as the stand-ins say where they are and what a connector has to know of them."""
    return {
        "channels": {name: entry["settings"] for name, entry in found["channels"].items()},
        "subscriptions": {
            name: {"url": entry["url"], "secret": entry["secret"]} for name, entry in found["departments"].items()
        },
    }


def _write_private(path: Path, value: Mapping[str, Any]) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        yaml.safe_dump(dict(value), file)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait_for(is_there: Callable[[], bool], what: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > until:
            raise InfrastructureError(f"After {seconds:.0f} s {what} does not answer.")
        time.sleep(0.1)


class _environment:
    """Settings that child processes inherit, only while they are started."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values, self._before = dict(values), dict[str, str | None]()

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._values}
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
