"""The senders of subscriptions that get files, always or near the end of a period: box, reader and lock together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from hub.bus.file_lock import FileLock, LockBusyError
from hub.bus.flow import Flow
from hub.bus.outlet import AttemptFailedError
from hub.delivery.answers import AnswerDesk, NoticeReader
from hub.delivery.filedrop.box import MAX_OFFERED, FileBox, Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.layout import Layout
from hub.delivery.filedrop.reader import FolderReader
from hub.delivery.gate import Gate
from hub.delivery.service import Means, Sender, WebhookSender
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.transport import Taken
from hub.domain.circuit import Circuit
from hub.domain.webhook import parse_secret

#: Public keys of the department, and secrets that sign its notices.
Keys = tuple[Sequence[str], Sequence[str]]
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
    lock_seconds: float = 2.0

    def reader(self, box: FileBox, flow: Flow, keys: Callable[[], Keys], now: Callable[[], datetime]) -> FolderReader:
        """The reader of the folder that ``box`` fills; ``keys`` are the department's and the hub's own."""
        return FolderReader(
            box, self.columns, self.desk, self.notices, flow.write, keys, now, timing=self.timing
        )


class _Owner:
    """The lock of a subscription's folder: one process owns it, and the others ask again after ``pause_seconds``."""

    def __init__(self, subscription: str, layout: Layout, pause_seconds: float) -> None:
        self._subscription, self._layout, self._pause_seconds = subscription, layout, pause_seconds
        self._lock = FileLock(layout.lock)
        self._stopping = threading.Event()

    def wait(self) -> bool:
        """Waits for the others to end, and for the folder to be there; ``False`` if it was not ours until ``stop``."""
        said = ""
        while not self._stopping.is_set():
            try:
                self._layout.prepare()
                self._lock.acquire()
                return True
            except (OSError, LockBusyError) as error:
                reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
                if reason != said:
                    _log.warning("filedrop.folder_waits", subscription=self._subscription, error=reason)
                said = reason
            self._stopping.wait(self._pause_seconds)
        return False

    def stop(self) -> None:
        self._stopping.set()

    def release(self) -> None:
        self._lock.release()


class FileSender(Sender):
    """Puts the notices of one subscription into its folder, and reads what the department puts there.

    ``run`` begins when the folder is this process's.
    """

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
        self._keys: Keys = (), ()
        self._owner = _Owner(subscription, self._box.layout, drop.lock_seconds)
        self._reader = drop.reader(self._box, self._flow, lambda: self._keys, means.now)
        self._reading: asyncio.Task[None] | None = None

    def run(self) -> None:
        if not self._owner.wait():
            return
        try:
            self._flow.call_soon(self._start_reading)
            self._flow.run()
        finally:
            self._owner.release()

    def stop(self) -> None:
        self._owner.stop()
        super().stop()

    def _start_reading(self) -> None:
        # Ended with the loop.
        self._reading = asyncio.get_running_loop().create_task(self._reader.run())

    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        self._box.keys = [parse_secret(text) for text in secrets]
        self._keys = settings.receiver_keys, secrets


class _LaterBox(FileBox):
    """A box whose folder may not be this process's yet."""

    is_ours = False

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        if not self.is_ours:
            raise AttemptFailedError("the folder is not this process's yet")
        return await super().attempt(notice_id, body, traceparent)


class WebhookOrFileSender(WebhookSender):
    """Pushes, and puts into the folder what does not get through while its period ends.

    Pushing does not wait for the folder.
    """

    def __init__(self, subscription: str, means: Means, drop: Drop, *, retry: str = "standard") -> None:
        self._box = _LaterBox(subscription, drop.root, drop.columns, means.now, packing=drop.packing)
        super().__init__(subscription, means, retry=retry, other=(self._box, "file"))
        self._keys: Keys = (), ()
        self._owner = _Owner(subscription, self._box.layout, drop.lock_seconds)
        self._reader = drop.reader(self._box, self._flow, lambda: self._keys, means.now)
        self._reading: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._flow.call_soon(self._start_reading)
        try:
            super().run()
        finally:
            self._owner.stop()
            self._owner.release()

    def stop(self) -> None:
        self._owner.stop()
        super().stop()

    def _start_reading(self) -> None:
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        if await asyncio.to_thread(self._owner.wait):
            self._box.is_ours = True
            await self._reader.run()

    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        super()._apply(settings, secrets)
        self._keys = settings.receiver_keys, secrets
