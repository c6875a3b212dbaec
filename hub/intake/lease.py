"""Whose turn it is to number a source's versions: one process at a time, on one machine and over several.

Two parts. A lock file in the data folder, which the system takes from a process that ends, however it
ends; and a lease in Redis, which holds off processes with other data folders. Whoever has the lock may
take a lease over that its own folder left behind: its holder is dead. A lease of another folder is
waited for, until it was given back or its time is over.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path

import redis

from hub.errors import IndexUnavailableError
from hub.intake.lock import SourceBusyError, SourceLock

#: Longer than a record may be on its way (the client gives it up after 60 s) and the work before it.
LEASE_SECONDS = 150
#: A lease that has less left than this is renewed before anything is published.
SAFE_SECONDS = 90
_POLL_SECONDS = 0.01
#: Who waits says so again and again; a wish of one that gave up is over after this.
_WISH_SECONDS = 2
_TAKE = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_GIVE_BACK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class SourceLease:
    """The turn of one source. Used by one thread; all methods raise IndexUnavailableError when Redis is away."""

    def __init__(
        self, client: redis.Redis, folder: Path, source: str, *, prefix: str = "hub:turn:",
        lease_seconds: float = LEASE_SECONDS, safe_seconds: float = SAFE_SECONDS,
    ) -> None:
        self._lock, self._folder, self._key = SourceLock(folder, source), folder, f"{prefix}{source}"
        self._client, self._wish, self._wished_at = client, f"{prefix}{source}:wanted", 0.0
        self._owner = f"{uuid.uuid4().hex}"
        self._lease_seconds, self._safe_seconds = lease_seconds, safe_seconds
        self._take, self._renew, self._give_back = (
            client.register_script(script) for script in (_TAKE, _RENEW, _GIVE_BACK)
        )
        self._until = 0.0
        self._token = ""

    def acquire(self, patience_seconds: float) -> None:
        """Takes the turn; waits while another has it. Raises SourceBusyError after ``patience_seconds``."""
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                self._lock.acquire()
                break
            except SourceBusyError:
                if time.monotonic() > deadline:
                    raise
                self._say_wanted()
                time.sleep(_POLL_SECONDS)
        try:
            while not self._try_lease():
                if time.monotonic() > deadline:
                    raise SourceBusyError("Another machine takes in events of this source.")
                self._say_wanted()
                time.sleep(_POLL_SECONDS * 5)
        except BaseException:
            self._lock.release()
            raise

    def is_wanted(self) -> bool:
        """Whether somebody waits for the turn. Raises IndexUnavailableError."""
        try:
            return bool(self._client.exists(self._wish))
        except redis.RedisError as error:
            raise IndexUnavailableError(f"Redis did not answer: {error}") from error

    def keep(self) -> None:
        """Makes sure that the turn lasts for what is published next. Raises IndexUnavailableError if it was lost."""
        if time.monotonic() < self._until - self._safe_seconds:
            return
        began = time.monotonic()
        try:
            is_ours = self._renew(keys=[self._key], args=[self._token, int(self._lease_seconds * 1000)])
        except redis.RedisError as error:
            raise IndexUnavailableError(f"Redis did not answer: {error}") from error
        if not is_ours:
            raise IndexUnavailableError("The turn of this source was lost.")
        self._until = began + self._lease_seconds

    def release(self) -> None:
        """Gives the turn back. A lease that Redis does not take back now ends by itself."""
        with contextlib.suppress(redis.RedisError):
            self._give_back(keys=[self._key], args=[self._token])
        self._lock.release()

    def _say_wanted(self) -> None:
        now = time.monotonic()
        if now - self._wished_at < _WISH_SECONDS / 4:
            return
        self._wished_at = now
        with contextlib.suppress(redis.RedisError):  # a wish that is not heard costs a moment
            self._client.set(self._wish, b"1", px=_WISH_SECONDS * 1000)

    def _try_lease(self) -> bool:
        began = time.monotonic()
        folder = folder_id(self._folder)
        self._token = f"{folder}:{self._owner}"
        try:
            taken = self._take(
                keys=[self._key], args=[f"{folder}:", self._owner, int(self._lease_seconds * 1000)]
            )
        except redis.RedisError as error:
            raise IndexUnavailableError(f"Redis did not answer: {error}") from error
        self._until = began + self._lease_seconds
        return bool(taken)


def folder_id(folder: Path) -> str:
    """What tells this data folder from that of another machine; made once."""
    path = folder / "folder.id"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"folder.id.{os.getpid()}.{uuid.uuid4().hex}"
    draft.write_text(uuid.uuid4().hex)
    try:
        # A link is there whole or not at all, and only once.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text()
