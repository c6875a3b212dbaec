"""One running intake for each source: two would both call their next version the next."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from hub.errors import InfrastructureError


class SourceBusyError(InfrastructureError):
    """Another process is reading this source."""


class SourceLock:
    """A lock file; the system releases it when its holder ends, however it ends."""

    def __init__(self, folder: Path, source: str) -> None:
        self._path = folder / f"{source}.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Takes the lock or raises SourceBusyError at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            message = f"Another process is reading this source (process {holder or 'unknown'})."
            raise SourceBusyError(message) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Gives the lock back; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
