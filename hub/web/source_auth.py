"""Who asks: the source whose key a request carries (``Authorization: Bearer hubk_…``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from fastapi import Request

from hub.domain.problem import ProblemError
from hub.intake.http_sources import HttpSource
from hub.intake.source_keys import SourceKey


class Keys(Protocol):
    def find(self, text: str, now: datetime) -> tuple[str, SourceKey] | None: ...


def source_of(
    request: Request, keys: Keys, sources: Mapping[str, HttpSource], now: datetime
) -> tuple[HttpSource, SourceKey]:
    """Raises ProblemError: 401 without a valid key, 403 for one that was made for another department."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    found = keys.find(text.strip(), now) if scheme.lower() == "bearer" else None
    # A source that was taken out of the file fails like a wrong key.
    source = sources.get(found[0]) if found else None
    if found is None or source is None:
        raise ProblemError(
            401, "unauthenticated", "密钥无效", "a valid key of a source is needed",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not found[1].fits(source):
        raise ProblemError(403, "forbidden", "无权提交此事件", "the key was made for another department or region")
    return source, found[1]
