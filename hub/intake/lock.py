"""One running intake for each source: two would both call their next version the next."""

from __future__ import annotations

from pathlib import Path

from hub.bus.file_lock import FileLock, LockBusyError
from hub.errors import InfrastructureError


class SourceBusyError(InfrastructureError):
    """Another process is reading this source."""


class SourceLock(FileLock):
    """The lock of one source, a file in ``folder``."""

    def __init__(self, folder: Path, source: str) -> None:
        super().__init__(folder / f"{source}.lock")

    def acquire(self) -> None:
        """Takes the lock or raises SourceBusyError at once."""
        try:
            super().acquire()
        except LockBusyError as error:
            message = f"Another process is reading this source (process {error.holder or 'unknown'})."
            raise SourceBusyError(message) from None
