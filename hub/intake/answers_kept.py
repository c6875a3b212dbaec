"""Answers that were given under an ``Idempotency-Key``, kept for a day in Redis.

A help for callers, no promise: without it a repeat is still found by its content.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple, cast

import redis
import structlog

from hub.domain.problem import ProblemError

KEEP_SECONDS = 24 * 3600
_log = structlog.get_logger()


class Answer(NamedTuple):
    """What a caller is told: HTTP's status and a JSON body."""

    status: int
    body: bytes
    is_replayed: bool = False


class Asked(NamedTuple):
    """A caller's key, and what tells its request from another one under the same key: with ``is_page`` that is no
    fault, and takes the place of the one before it."""

    key: str
    fingerprint: str
    is_page: bool = False


def asked(key: str, *parts: bytes, is_page: bool = False) -> Asked:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return Asked(key, digest.hexdigest(), is_page)


class KeptAnswers:
    """The answers of one source. Threads may share it."""

    def __init__(self, client: redis.Redis, source: str, *, prefix: str = "hub:answers:") -> None:
        self._client, self._prefix = client, f"{prefix}{source}:"

    def get(self, request: Asked) -> Answer | None:
        """Raises ProblemError 422 where the key was used for another request, RedisError."""
        found = cast("bytes | None", self._client.get(self._name(request)))
        if found is None:
            return None
        kept = json.loads(found)
        if kept["fingerprint"] != request.fingerprint:
            if request.is_page:
                return None
            raise ProblemError(
                422, "idempotency-key-reused", "幂等键已用于其他请求",
                "this Idempotency-Key was used for another request",
            )
        return Answer(kept["status"], kept["body"].encode(), True)

    def put(self, request: Asked, answer: Answer) -> None:
        """Keeps it; where Redis does not take it, a repeat is found by its content."""
        kept = {"fingerprint": request.fingerprint, "status": answer.status, "body": answer.body.decode()}
        try:
            self._client.set(self._name(request), json.dumps(kept), ex=KEEP_SECONDS)
        except redis.RedisError as error:
            _log.warning("an answer could not be kept", error=str(error))

    def _name(self, request: Asked) -> str:
        return self._prefix + hashlib.sha256(request.key.encode()).hexdigest()
