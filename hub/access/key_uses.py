"""When keys of programs were used last, in Redis: a hint for whoever ends those that nobody uses, and no fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

log = structlog.get_logger()
_HASH = "hub:key-uses"


class KeyUses:
    """Both methods block; without Redis a use is not noted, which keeps nobody out."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def used(self, key_id: str, now: datetime) -> None:
        try:
            self._client.hset(_HASH, key_id, str(int(now.timestamp())))
        except redis.RedisError as error:
            log.warning("use of a key is not noted", error=type(error).__name__)

    def last(self, key_ids: Sequence[str]) -> dict[str, datetime]:
        """Key id -> its last use; those that were not used, or of which nothing is known, are left out."""
        if not key_ids:
            return {}
        try:
            found = cast("list[Any]", self._client.hmget(_HASH, list(key_ids)))
        except redis.RedisError as error:
            log.warning("uses of keys are not known", error=type(error).__name__)
            return {}
        return {
            name: datetime.fromtimestamp(int(text), UTC) for name, text in zip(key_ids, found, strict=True) if text
        }
