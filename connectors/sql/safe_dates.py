"""Dates of PostgreSQL that Python has no value for (infinity, the year 20000): texts, not errors.

The driver would end the whole read for one of them; as a text it is the fault of its own row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import psycopg
from psycopg.adapt import Loader

_TYPES = ("date", "timestamp", "timestamptz")
#: Days of a column that are remembered; they repeat in nearly every row.
_MOST_KNOWN = 4096


def register_safe_dates(connection: Any) -> None:
    """For a connection of psycopg."""
    for name in _TYPES:
        connection.adapters.register_loader(name, _safe(name))


@lru_cache
def _safe(name: str) -> type[Loader]:
    usual: Any = psycopg.adapters.get_loader(psycopg.adapters.types[name].oid, psycopg.pq.Format.TEXT)

    class SafeLoader(Loader):
        """The driver's loader, with a text where it gives up."""

        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = usual(oid, context).load
            self._known: dict[bytes, Any] = {}

        def load(self, data: Any) -> Any:
            text = bytes(data)
            found = self._known.get(text)
            if found is None:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                found = self._known[text] = self._read(text)
            return found

        def _read(self, text: bytes) -> Any:
            try:
                return self._load(text)
            except psycopg.DataError:
                return text.decode("ascii", "replace")

    return SafeLoader
