"""Records as the stages see them: bytes with a place, no client's classes."""

from __future__ import annotations

from typing import NamedTuple

#: Header names are text, values bytes, in the order in which they were written.
Headers = list[tuple[str, bytes]]


class Record(NamedTuple):
    """One record read from Kafka. ``timestamp`` is milliseconds since the epoch, UTC."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Output(NamedTuple):
    """One record to be written.

    ``partition`` is given where the key is not what decides it, e.g. a compacted state keyed by
    clock on the partition of its subject; ``None`` leaves it to murmur2 of the key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of that name, or ``None``."""
    for key, value in headers:
        if key == name:
            return value
    return None
