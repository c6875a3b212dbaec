"""A case in a process of its own, within bounds: what it costs is measured, and what never ends is ended.

One process with everything imported (this module as a program) forks for each case, so that a case that eats
memory, hangs or crashes takes nothing with it but itself.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

#: Memory that a case may take beyond what the imported hub has, whatever the size of what came in. A workbook of
#: thousands of cells and the web side with its models take 30 to 60 MB; a file of 200 MB held once takes 200.
MAX_GROWTH_BYTES = 128 << 20
#: Beyond it the system itself says no; above the other so that the figure is seen. Threads reserve much and use little.
_MAX_ADDRESSES = 1 << 30
#: A case that computes or waits so long is one that hangs; most take a tenth of a second.
_MAX_CPU_SECONDS, _MAX_SECONDS = 120, 300


class Bounded:
    """The forking process, as a context. ``run`` gives what ``tests.hostile.ways.run`` gave, with ``growth``
    (bytes), or ``died`` with how."""

    def __enter__(self) -> Bounded:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.bounded"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2], env={**os.environ, "MALLOC_ARENA_MAX": "2"}, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, name: str, folder: Path, server: dict[str, Any] | None = None) -> dict[str, Any]:
        """``server`` is where the SFTP server is, for cases that come that way."""
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"name": name, "folder": str(folder), "server": server}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not say how much memory a process had")


def _child(asked: dict[str, Any]) -> None:
    from tests.hostile import ways

    folder = Path(asked["folder"])
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.alarm(_MAX_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + _MAX_ADDRESSES, hard))
    before = _peak()
    try:
        found = ways.run(asked["name"], folder, asked["server"])
    except BaseException:
        found = {"died": traceback.format_exc()}
    found["growth"] = _peak() - before
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")


def _serve() -> None:
    from tests.hostile import ways

    ways.warm_up()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                _child(asked)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        result = Path(asked["folder"]) / "result.json"
        answer = result.read_text(encoding="utf-8") if result.exists() else json.dumps(
            {"died": f"the process ended by itself: {os.waitstatus_to_exitcode(status)}"}
        )
        print(answer, flush=True)


if __name__ == "__main__":
    _serve()
