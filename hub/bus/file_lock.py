"""One owner among the processes that share a folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from hub.errors import InfrastructureError


class LockBusyError(InfrastructureError):
    """Another process holds the lock."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"Another process holds the lock (process {holder or 'unknown'}).")
        self.holder = holder


class FileLock:
    """A lock file; the system releases it when its holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Takes the lock, or raises LockBusyError at once. Raises OSError where no file can be."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise LockBusyError(holder) from None
        try:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        except OSError:
            file.close()
            raise
        self._file = file

    def release(self) -> None:
        """Gives the lock back; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
