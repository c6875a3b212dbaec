"""One child process: started so that it cannot outlive us, ended politely, then firmly.

Beside it lies a pid file with the process's number *and* its time of birth. A later start that
finds the file ends exactly that process and never another one that got the same number since.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue

from hub.embedded import child
from hub.errors import InfrastructureError

#: How long a server may take to close its files before it is killed.
STOP_SECONDS = 15.0

#: Variables that would change what the child runs, whoever set them for their own Java.
_FOREIGN_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")

_Spawn = tuple[Future["subprocess.Popen[bytes]"], Sequence[str], Path, Path]


class _Spawner:
    """Starts every child from one thread that lives as long as the interpreter.

    The kernel's "kill me with my parent" means the parent *thread*: a child that was started
    from a passing worker thread would be killed when that worker ends.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Spawn] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def spawn(self, command: Sequence[str], console: Path, cwd: Path) -> subprocess.Popen[bytes]:
        with self._lock:
            # After a fork the thread is gone in the copy, hence the question each time.
            if self._thread is None or not self._thread.is_alive():
                self._queue = SimpleQueue()
                self._thread = threading.Thread(
                    target=self._work, args=(self._queue,), name="hub-spawner", daemon=True
                )
                self._thread.start()
            future: Future[subprocess.Popen[bytes]] = Future()
            self._queue.put((future, command, console, cwd))
        return future.result()

    @staticmethod
    def _work(queue: SimpleQueue[_Spawn]) -> None:
        while True:
            future, command, console, cwd = queue.get()
            try:
                shim = [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), "--"]
                environment = {k: v for k, v in os.environ.items() if k not in _FOREIGN_VARIABLES}
                with console.open("wb") as output:
                    process = subprocess.Popen(
                        [*shim, *command],
                        cwd=cwd,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        # Ctrl-C goes to the hub alone, which drains its stages before it stops the broker.
                        start_new_session=True,
                    )
                future.set_result(process)
            except BaseException as error:  # handed to the caller, this thread has to live on
                future.set_exception(error)


_spawner = _Spawner()


def spawn(command: Sequence[str], console: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start ``command`` (absolute path first), its output into ``console``; it dies with us (Linux).

    Raises ``InfrastructureError`` when the system does not start it.
    """
    try:
        return _spawner.spawn(command, console, cwd)
    except OSError as error:
        raise InfrastructureError(f"{command[0]} could not be started: {error}.") from error


def birth_of(pid: int) -> str | None:
    """What tells this process from a later one of the same number; ``None`` if it does not live."""
    if sys.platform == "linux":
        try:
            # The name (field 2) may hold spaces and brackets: count from behind it.
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    question = ["ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(question, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


class ServerProcess:
    """A server under our care: its pid file, its end.

    Not for use from several threads at once. ``pid_file`` exists while the server runs.
    """

    def __init__(self, name: str, pid_file: Path) -> None:
        self.name = name
        self._pid_file = pid_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the running process, ``None`` if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How the process ended (minus the signal's number), ``None`` while it runs or never did."""
        return None if self._process is None else self._process.poll()

    def start(self, command: Sequence[str], console: Path, cwd: Path) -> None:
        """Start it; ends first what an earlier owner of the same data folder left behind."""
        self.end_leftover()
        self._process = spawn(command, console, cwd)
        known = {"pid": self._process.pid, "birth": birth_of(self._process.pid)}
        self._pid_file.write_text(json.dumps(known), "ascii")

    def terminate(self) -> None:
        """Ask it to stop; ``wait`` sees it through."""
        if self.pid is not None and self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float = STOP_SECONDS) -> None:
        """Wait ``deadline`` seconds for its end, then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL, as a crash would do it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    def end_leftover(self, deadline: float = STOP_SECONDS) -> bool:
        """End the process that the pid file names, if it is still that same one.

        Returns whether there was one.
        """
        try:
            known = json.loads(self._pid_file.read_text("ascii"))
            pid, birth = int(known["pid"]), known["birth"]
        except (OSError, ValueError, KeyError, TypeError):
            return False  # none, or half written by a start that was killed: its child died with it
        found = birth is not None and birth_of(pid) == birth
        if found:
            for number, seconds in ((signal.SIGTERM, deadline), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                end = time.monotonic() + seconds
                while birth_of(pid) == birth and time.monotonic() < end:
                    time.sleep(0.05)
                if birth_of(pid) != birth:
                    break
        self._pid_file.unlink(missing_ok=True)
        return found


def last_lines(*files: Path, count: int = 12) -> str:
    """The last lines of these logs, indented for an error message; missing files are left out."""
    lines: list[str] = []
    for file in files:
        with contextlib.suppress(OSError):
            lines += file.read_text("utf-8", "replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"
