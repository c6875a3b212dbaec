"""Who a key of a program is (``huba_…``): its department, as far as the key's scopes go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from hub.web.readers import Caller
from hub.web.site.parts import KeysInForce


class Department(NamedTuple):
    """Its code (USCC) and the subscriptions that are its own."""

    code: str
    subscriptions: frozenset[str]


class KeyCallers:
    """``departments`` by the ids that keys name; ``now`` gives aware UTC."""

    def __init__(
        self, keys: KeysInForce, departments: Mapping[str, Department], now: Callable[[], datetime]
    ) -> None:
        self._keys, self._departments, self._now = keys, departments, now

    def find(self, token: str) -> Caller | None:
        key = self._keys.find(token, self._now()) if token.startswith("huba_") else None
        # A department that was taken out of the map has nothing to read.
        department = self._departments.get(key.department) if key else None
        if key is None or department is None:
            return None
        return Caller(
            f"key:{key.key_id}", department.code, department.subscriptions, frozenset(key.scopes), key.key_id
        )
