"""When keys of programs were used last, in Redis: a hint for whoever ends those that nobody uses, and no fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

log = structlog.get_logger()
_HASH = "hub:key-uses"
_NOTED_SECONDS = 60


class KeyUses:
    """Both methods block; without Redis a use is not noted, which keeps nobody out. Any thread may call them."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._noted: dict[str, float] = {}

    def used(self, key_id: str, now: datetime) -> None:
        """Notes it, once a minute: to whoever asks whether a key is used at all, seconds say nothing."""
        moment = now.timestamp()
        if 0 <= moment - self._noted.get(key_id, 0.0) < _NOTED_SECONDS:
            return
        try:
            self._client.hset(_HASH, key_id, str(int(moment)))
            self._noted[key_id] = moment
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
