"""Where the stand-ins listen and what they are known by: ports and secrets that stay over restarts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hub.errors import InfrastructureError, UsageError

HOST = "127.0.0.1"
#: Below the range that systems hand out to outgoing connections: no client sits on a server's port.
PORTS = range(20_000, 32_000)
_BACKLOG = 2048


@contextlib.contextmanager
def owned(data: Path) -> Iterator[None]:
    """Two senders on one book would answer twice. The lock ends with the process, however it ends."""
    with (data / "sandbox.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"Another sandbox runs on {data}: stop it or name another folder.") from None
        yield


def bind(wanted: int | None, remembered: int | None) -> socket.socket:
    """A socket that listens: on ``wanted`` or not at all, else on ``remembered``, else on any free port.

    It listens at once, for two sockets that only are bound may share a port: the second would find out when it serves.
    Who connects before that waits.
    """
    candidates = [wanted] if wanted is not None else [
        *([remembered] if remembered else []), *random.sample(PORTS, 100)
    ]
    for port in candidates:
        bound = socket.socket()
        # As every server does: a port whose last connections still linger is free.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            continue
        return bound
    if wanted is not None:
        raise UsageError(f"Port {wanted} of {HOST} is taken.")
    raise InfrastructureError(f"No free port of {HOST} between {PORTS.start} and {PORTS.stop - 1}.")


def load_identity(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        found = {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Restore it, or take an empty folder.") from error
    return {"ports": dict(found.get("ports", {})), "secrets": dict(found.get("secrets", {}))}


def save_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step; it is never readable by others, not even for a moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
    os.replace(draft, path)


def url_of(bound: socket.socket) -> str:
    return f"http://{HOST}:{bound.getsockname()[1]}"
