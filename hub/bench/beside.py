"""Stages that run beside what is measured, as processes of their own: what they cost it, and what they use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hub.embedded.process import ServerProcess, last_lines

_READY_SECONDS = 600.0
#: So long after everything was read they go on as they do on a quiet day.
_QUIET_SECONDS = 3.0


class Used(NamedTuple):
    """CPU seconds by stage, and how many records the ledger has followed, while something else was measured."""

    cpu_seconds: dict[str, float]
    followed: int


class Beside:
    """``commands`` by stage. ``unread`` says how many records the ledger has still to read, ``followed`` how many it
    has read; where it is not among the stages, both are zero."""

    def __init__(
        self, commands: Mapping[str, Sequence[str]], folder: Path, unread: Callable[[], int],
        followed: Callable[[], int], *, quiet_seconds: float = _QUIET_SECONDS,
    ) -> None:
        self._commands, self._folder, self._unread, self._followed = commands, folder, unread, followed
        self._quiet_seconds = quiet_seconds

    @contextmanager
    def running(self) -> Iterator[list[Used]]:
        """Until the end of the block; what they used in it is in the list then.

        The block begins when what was there before has been read. Raises RuntimeError for one that ends by itself.
        """
        processes = {name: ServerProcess(name, self._folder / f"{name}.pid.json") for name in self._commands}
        try:
            for name, process in processes.items():
                process.start(self._commands[name], self._folder / f"{name}.log", Path.cwd())
            self._wait(processes)
            before, read, used = self._cpu(processes), self._followed(), list[Used]()
            yield used
            after = self._cpu(processes)
            used.append(Used({name: after[name] - before[name] for name in after}, self._followed() - read))
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait()

    def _wait(self, processes: Mapping[str, ServerProcess]) -> None:
        until = time.monotonic() + _READY_SECONDS
        quiet_at = time.monotonic() + self._quiet_seconds
        while time.monotonic() < until:
            self._check(processes)
            if self._unread():
                quiet_at = time.monotonic() + self._quiet_seconds
            elif time.monotonic() > quiet_at:
                return
            time.sleep(0.2)
        raise RuntimeError("the ledger does not get through what was there before")

    def _check(self, processes: Mapping[str, ServerProcess]) -> None:
        for name, process in processes.items():
            if process.pid is None:
                raise RuntimeError(f"{name} ended:\n{last_lines(self._folder / f'{name}.log')}")

    def _cpu(self, processes: Mapping[str, ServerProcess]) -> dict[str, float]:
        self._check(processes)
        return {name: process_seconds(process.pid) for name, process in processes.items()}


def process_seconds(pid: int | None) -> float:
    """CPU seconds that another process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
