"""What disclosure leaves in Redis for the console: how each sender stands, and what the last reconciliation found.

Notes alone: where there is no Redis, disclosure goes on without them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Protocol

import redis
import structlog

from hub.disclosure.status import ChannelStatus, Reconciled
from hub.errors import HubError
from hub.settings import Settings
from hub.state.snapshot_store import SnapshotStore
from hub.wiring.parts import open_redis

#: A note is renewed every two seconds, and is none any more after ten: its process has stopped.
_RENEW_SECONDS, _GOOD_SECONDS = 2.0, 10.0
#: A reconciliation is made by a person, now and then.
_KEPT_SECONDS = 400 * 86_400.0
_log = structlog.get_logger()


class Sends(Protocol):
    @property
    def status(self) -> ChannelStatus: ...


class ChannelNotes:
    """Reads and writes the notes. Methods raise IndexUnavailableError where Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put_status(self, channel: str, status: ChannelStatus) -> None:
        self._store("status", channel).put(status._asdict(), seconds=_GOOD_SECONDS)

    def status(self, channel: str) -> ChannelStatus | None:
        found = self._store("status", channel).get()
        return None if found is None else ChannelStatus(**found)

    def put_reconciled(self, channel: str, found: Reconciled) -> None:
        self._store("reconciled", channel).put(found.as_dict(), seconds=_KEPT_SECONDS)

    def reconciled(self, channel: str) -> Reconciled | None:
        found = self._store("reconciled", channel).get()
        return None if found is None else Reconciled.from_dict(found)

    def _store(self, kind: str, channel: str) -> SnapshotStore:
        return SnapshotStore(self._client, key=f"hub:disclosure:{kind}:{channel}")


class StatusNotes:
    """A service that says how the senders of this process stand."""

    def __init__(self, senders: Mapping[str, Sends], notes: ChannelNotes) -> None:
        self._senders, self._notes, self._stopping = senders, notes, threading.Event()

    def run(self) -> None:
        is_said = False
        while not self._stopping.is_set():
            try:
                for name, sender in self._senders.items():
                    self._notes.put_status(name, sender.status)
                is_said = False
            except HubError as error:
                if not is_said:
                    _log.warning("the state of the channels cannot be noted", error=str(error))
                is_said = True
            self._stopping.wait(_RENEW_SECONDS)

    def stop(self) -> None:
        self._stopping.set()


def note_reconciled(settings: Settings, channel: str, found: Reconciled) -> None:
    """Keeps it for the console; says so where it cannot."""
    try:
        with open_redis(settings) as client:
            ChannelNotes(client).put_reconciled(channel, found)
    except HubError as error:
        _log.warning("the reconciliation is not noted for the console", channel=channel, error=str(error))
