"""The latest snapshot of the hub in Redis: for whoever shows it, and gone by itself when nobody makes it any more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import redis

from hub.errors import IndexUnavailableError

KEY = "hub:ops:snapshot"


class SnapshotStore:
    """Both methods raise IndexUnavailableError when Redis does not answer. Whoever made the client closes it."""

    def __init__(self, client: redis.Redis, *, key: str = KEY) -> None:
        self._client, self._key = client, key

    def put(self, snapshot: Mapping[str, Any], *, seconds: float) -> None:
        """Keeps it for so long, instead of the one before."""
        try:
            self._client.set(self._key, json.dumps(snapshot, ensure_ascii=False), px=max(1, round(seconds * 1000)))
        except (redis.RedisError, OSError) as error:
            raise IndexUnavailableError(f"the snapshot cannot be kept: {type(error).__name__}") from error

    def get(self) -> dict[str, Any] | None:
        """The latest one, ``None`` where there is none that is still good."""
        try:
            found = self._client.get(self._key)
        except (redis.RedisError, OSError) as error:
            raise IndexUnavailableError(f"the snapshot cannot be read: {type(error).__name__}") from error
        value = json.loads(found) if found else None
        return value if isinstance(value, dict) else None
