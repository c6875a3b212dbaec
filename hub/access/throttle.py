"""Slows down whoever tries passwords, by account and by address. Counts stand in Redis."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import redis

from hub.errors import IndexUnavailableError

#: NIST SP 800-63B (5.2.2) allows 100 in a row; a person who knows his password needs few of these.
ACCOUNT_TRIES = 10
#: Offices share an address: more than an account's, and still 2,880 a day.
ADDRESS_TRIES = 30
WINDOW = timedelta(minutes=15)


class Throttle:
    """A try counts before it is judged, so that many at once do not pass together. An account counts by the name that
    was typed, whether there is one or not: the refusal tells nothing. Raises IndexUnavailableError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def wait(self, account: str, address: str) -> timedelta | None:
        """Counts one try; how long to wait if there were too many, else ``None``."""
        waits = [
            left for key, most in (
                (_key("account", account), ACCOUNT_TRIES), (_key("address", address), ADDRESS_TRIES),
            ) if (left := self._count(key, most)) is not None
        ]
        return max(waits, default=None)

    def forgive(self, account: str, address: str) -> None:
        """Whoever came in is counted no more; of his address, only this try is taken back."""
        try:
            self._client.delete(_key("account", account))
            if self._client.decr(_key("address", address)) <= 0:
                self._client.delete(_key("address", address))
        except redis.RedisError as error:
            raise IndexUnavailableError(f"sign-ins: {error}") from error

    def _count(self, key: str, most: int) -> timedelta | None:
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.incr(key)
                pipe.pexpire(key, WINDOW, nx=True)
                pipe.pttl(key)
                count, _, left = pipe.execute()
        except redis.RedisError as error:
            raise IndexUnavailableError(f"sign-ins: {error}") from error
        return timedelta(milliseconds=max(left, 1000)) if count > most else None


def _key(kind: str, name: str) -> str:
    # A digest: what is typed into the field of the name may be a password.
    return f"hub:tries:{kind}:{hashlib.sha256(name.encode()).hexdigest()}"
