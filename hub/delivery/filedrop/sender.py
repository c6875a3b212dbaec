"""The sender of a subscription that gets files: its box, its reader and its lock, run together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hub.bus.file_lock import FileLock, LockBusyError
from hub.delivery.answers import AnswerDesk, NoticeReader
from hub.delivery.filedrop.box import MAX_OFFERED, FileBox, Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.reader import FolderReader
from hub.delivery.gate import Gate
from hub.delivery.service import Means, Sender
from hub.delivery.settings import SubscriptionSettings
from hub.domain.circuit import Circuit
from hub.domain.webhook import parse_secret

_log = structlog.get_logger()


@dataclass(frozen=True)
class Drop:
    """What the file drop stands on: its folder, the words of its tables, and who checks answers."""

    root: Path
    columns: Columns
    desk: AnswerDesk
    notices: NoticeReader
    packing: Packing = field(default_factory=Packing)
    timing: Timing = field(default_factory=Timing)


class FileSender(Sender):
    """Puts the notices of one subscription into its folder, and reads what the department puts there.

    One process owns a folder: ``run`` waits for the others to end, and for the folder to be there.
    """

    #: So long until the lock is asked for again.
    LOCK_SECONDS = 2.0

    def __init__(self, subscription: str, means: Means, drop: Drop, *, retry: str = "standard") -> None:
        # Two subjects that cannot be written are the folder's fault; that it is well again shows in a package
        # that was written, since an attempt ends only when the department has spoken.
        circuit = Circuit(threshold=2)
        self._box = FileBox(
            subscription, drop.root, drop.columns, means.now, packing=drop.packing, on_written=circuit.succeeded,
        )
        gate = Gate(means.now, time.monotonic, means.calendar.is_working_day, is_pushed=False)
        super().__init__(
            subscription, means, self._box, gate, method="file", max_open=2 * MAX_OFFERED, retry=retry,
            circuit=circuit,
        )
        self._keys: tuple[Sequence[str], Sequence[str]] = (), ()
        self._reader = FolderReader(
            self._box, drop.columns, drop.desk, drop.notices, self._flow.write, lambda: self._keys, means.now,
            timing=drop.timing,
        )
        self._stopping = threading.Event()
        self._reading: asyncio.Task[None] | None = None

    def run(self) -> None:
        lock = FileLock(self._box.layout.lock)
        if not self._own(lock):
            return
        try:
            self._flow.call_soon(self._start_reading)
            self._flow.run()
        finally:
            lock.release()

    def stop(self) -> None:
        self._stopping.set()
        super().stop()

    def _own(self, lock: FileLock) -> bool:
        """Whether the folder is ours; ``False`` if it was not until ``stop``."""
        said = ""
        while not self._stopping.is_set():
            try:
                self._box.layout.prepare()
                lock.acquire()
                return True
            except (OSError, LockBusyError) as error:
                reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
                if reason != said:
                    _log.warning("filedrop.folder_waits", subscription=self._name, error=reason)
                said = reason
            self._stopping.wait(self.LOCK_SECONDS)
        return False

    def _start_reading(self) -> None:
        # Ended with the loop.
        self._reading = asyncio.get_running_loop().create_task(self._reader.run())

    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        self._box.keys = [parse_secret(text) for text in secrets]
        self._keys = settings.receiver_keys, secrets
