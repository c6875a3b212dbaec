"""Keeps a set of processes alive: starts them, starts again what died, ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from hub.embedded.process import ServerProcess

log = structlog.get_logger()

#: A process that dies at once is not started again at once: waits double up to the last.
_FIRST_WAIT, _LAST_WAIT = 0.5, 15.0
#: A process that lived this long is taken as healthy again.
_HEALTHY_SECONDS = 10.0


class Child:
    """One process under care."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, stop_seconds: float) -> None:
        self.name, self.restarts = name, 0
        self._command, self._folder, self._stop_seconds = list(command), folder, stop_seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.console = folder / f"{name}.log"
        self._process = ServerProcess(name, folder / f"{name}.pid.json")
        self._started, self._wait, self._next = 0.0, _FIRST_WAIT, 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def start(self) -> None:
        self._process.start(self._command, self.console, Path.cwd())
        self._started = time.monotonic()

    def look(self) -> None:
        """Starts it again, after a wait, if it has ended."""
        now = time.monotonic()
        if self._process.pid is not None:
            if now - self._started > _HEALTHY_SECONDS:
                self._wait = _FIRST_WAIT
            self._next = 0.0
            return
        if self._next == 0.0:
            log.warning("process ended", name=self.name, exit_code=self._process.exit_code, log=str(self.console))
            self._next, self._wait = now + self._wait, min(self._wait * 2, _LAST_WAIT)
        elif now >= self._next:
            self._next = 0.0
            self.restarts += 1
            self.start()

    def terminate(self) -> None:
        self._process.terminate()

    def join(self) -> None:
        self._process.wait(self._stop_seconds)


class Supervisor:
    """Children by name, started in the order given and ended in the reverse one.

    ``folder`` takes each child's log and pid file. Children die with this process (Linux) or are ended
    by the next start on the same folder.
    """

    def __init__(self, folder: Path, commands: Mapping[str, Sequence[str]], stop_seconds: float = 30.0) -> None:
        self.children = {name: Child(name, command, folder, stop_seconds) for name, command in commands.items()}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        for child in self.children.values():
            child.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends all: asks every one first, then waits for each, and kills what outstays its time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for child in reversed(self.children.values()):
            child.terminate()
        for child in reversed(self.children.values()):
            child.join()

    @property
    def restarts(self) -> int:
        return sum(child.restarts for child in self.children.values())

    def _watch(self) -> None:
        while not self._stopping.wait(0.25):
            for child in self.children.values():
                child.look()
