"""Sessions of people at pages, in Redis. Losing them costs a sign-in and no fact.

Of a session's id only the digest is stored, so that who reads Redis can be nobody. A session says which ``epoch`` of
its account it is of: once that moved on (password, roles, state) it is over, whether or not Redis was told.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from hub.access.accounts import Account
from hub.errors import IndexUnavailableError

#: A clerk who goes to lunch signs in again; whoever works is not thrown out before the day is over.
IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=12)
#: So often a session's last use is written down.
_TOUCH_SECONDS = 30
_PREFIX, _OF = "hub:session:", "hub:sessions-of:"


@dataclass(frozen=True, slots=True)
class Session:
    """One session as it stands in Redis. Times are seconds since the epoch, UTC. ``handle`` names it to its owner; the
    id is not to be had from it."""

    handle: str
    account: str
    epoch: int
    created_at: float
    seen_at: float
    address: str
    agent: str

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.created_at, UTC)

    @property
    def seen(self) -> datetime:
        return datetime.fromtimestamp(self.seen_at, UTC)


class Sessions:
    """All methods block and raise IndexUnavailableError when Redis does not answer. Threads may share it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def begin(self, account: Account, address: str, agent: str, now: datetime) -> str:
        """The id of a new session, 256 random bits, which nobody is told but the browser."""
        id_ = secrets.token_urlsafe(32)
        handle, moment = digest_of(id_), now.timestamp()
        session = Session(handle, account.name, account.epoch, moment, moment, address, agent[:200])
        with _answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.set(_PREFIX + handle, _dumped(session), px=_left(session, now))
            pipe.sadd(_OF + account.name, handle)
            pipe.pexpire(_OF + account.name, LONGEST)
            pipe.execute()
        return id_

    def find(self, id_: str, now: datetime) -> Session | None:
        """The session, its idle time begun anew; ``None`` if it ended or never was."""
        session = self.peek(id_, now)
        if session is None or now.timestamp() - session.seen_at < _TOUCH_SECONDS:
            return session
        seen = Session(**{**asdict(session), "seen_at": now.timestamp()})
        with _answering():
            # Only where it still is: one that was ended in this moment does not come back.
            self._client.set(_PREFIX + session.handle, _dumped(seen), px=_left(seen, now), xx=True)
        return seen

    def peek(self, id_: str, now: datetime) -> Session | None:
        """As ``find``, without being a use of it: its idle time runs on."""
        with _answering():
            session = _loaded(self._client.get(_PREFIX + digest_of(id_)))
        return session if session is not None and _left(session, now) > timedelta(0) else None

    def of(self, account: str, now: datetime) -> list[Session]:
        """The sessions of an account, the newest first."""
        with _answering():
            handles = [name.decode() for name in cast("set[bytes]", self._client.smembers(_OF + account))]
            texts = cast("list[Any]", self._client.mget([_PREFIX + each for each in handles])) if handles else []
        found = [session for text in texts if (session := _loaded(text)) and _left(session, now) > timedelta(0)]
        return sorted(found, key=lambda session: -session.created_at)

    def end(self, session: Session) -> None:
        with _answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.delete(_PREFIX + session.handle)
            pipe.srem(_OF + session.account, session.handle)
            pipe.execute()

    def end_all(self, account: str) -> None:
        """Ends every session of an account. One that begins in this moment is of a past epoch and does not count."""
        with _answering():
            handles = [name.decode() for name in cast("set[bytes]", self._client.smembers(_OF + account))]
            self._client.delete(_OF + account, *(_PREFIX + each for each in handles))


def digest_of(id_: str) -> str:
    """What is stored of a session's id. It is random and long: a plain digest tells nothing of it."""
    return hashlib.sha256(id_.encode()).hexdigest()


def form_token(id_: str) -> str:
    """What forms of a session carry, so that no other site can send them. It follows from the id: nothing to store."""
    return hmac.new(id_.encode(), b"hub form token", hashlib.sha256).hexdigest()


def is_form_token(id_: str, token: str) -> bool:
    return hmac.compare_digest(form_token(id_).encode(), token.encode())


def _left(session: Session, now: datetime) -> timedelta:
    return min(session.seen + IDLE, session.began + LONGEST) - now


def _dumped(session: Session) -> str:
    return json.dumps(asdict(session))


def _loaded(text: Any) -> Session | None:
    return None if text is None else Session(**json.loads(text))


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise IndexUnavailableError(f"sessions: {error}") from error
