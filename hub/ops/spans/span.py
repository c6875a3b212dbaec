"""A span as it leaves the hub: places, times and the hub's own words, nothing of a person or an enterprise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

#: The consumer group that is told how far spans were taken.
GROUP = "hub-spans"


class Place(NamedTuple):
    """Where a span belongs: 32 and 16 hexadecimal digits."""

    trace: str
    span: str


class Span(NamedTuple):
    """One record of the log as a span. Times are milliseconds since the epoch, as the log has them.

    ``parent`` is the span, of the same trace, of the record that caused this one; ``link`` that of a cause in another
    trace. ``service`` is the stage that wrote the record. ``is_error``: it tells of a failure.
    """

    place: Place
    parent: str | None
    link: Place | None
    name: str
    service: str
    start: int
    end: int
    attributes: Mapping[str, str | int]
    is_error: bool = False
