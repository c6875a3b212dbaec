"""A data folder has one owner at a time, and remembers the ports that it was given."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hub.errors import InfrastructureError, MissingMeansError, UsageError

try:
    import fcntl
except ImportError:  # Windows, for which neither Valkey's wheel nor these locks exist
    fcntl = None  # type: ignore[assignment]  # asked for in _lock, which says so in one sentence

#: Below the range that systems hand out to outgoing connections (from 32768 on Linux, 49152 elsewhere),
#: so that no client takes a server's port in the moment between choosing and binding it.
PORTS = range(20_000, 32_000)


def _lock(file: IO[str], *, wait: bool) -> bool:
    if fcntl is None:
        raise MissingMeansError("The embedded broker and index need Linux or macOS: name outside ones.")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``; waits while another process (or thread) holds it."""
    with path.open("a") as file:
        _lock(file, wait=True)
        yield


class OwnedFolder:
    """A data folder that one live process owns. The lock ends with the process, however it ends."""

    def __init__(self, path: Path, part: str) -> None:
        self.path = path.resolve()
        self._part = part
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Create and own the folder. Raises ``UsageError`` if another one owns it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / f"{self._part}.lock").open("a+", encoding="ascii")
        except OSError as error:
            raise UsageError(f"The data folder {self.path} cannot be used: {error.strerror}.") from error
        try:
            is_ours = _lock(file, wait=False)
        except BaseException:
            file.close()
            raise
        if not is_ours:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise UsageError(
                f"The data folder {self.path} is in use by process {owner}: "
                "stop that one or name another folder."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the folder back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def load_json(path: Path) -> dict[str, Any]:
    """What ``save_json`` wrote; empty if there is nothing yet."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Restore it, or take an empty folder.") from error
    return found if isinstance(found, dict) else {}


def save_json(path: Path, content: dict[str, Any]) -> None:
    """Replace the file in one step."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(content, indent=2), "utf-8")
    os.replace(draft, path)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server may listen on this port of ``host``."""
    with socket.socket() as probe:
        # As the servers do: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_port(remembered: int | None = None, taken: Iterable[int] = (), *, host: str = "127.0.0.1") -> int:
    """``remembered`` if it is free, else any free port of ``PORTS`` that is not in ``taken``."""
    avoid = set(taken)
    if remembered is not None and remembered not in avoid and is_free(remembered, host):
        return remembered
    for _ in range(200):
        port = random.choice(PORTS)
        if port not in avoid and is_free(port, host):
            return port
    raise InfrastructureError(f"No free port of {host} between {PORTS.start} and {PORTS.stop - 1}.")
