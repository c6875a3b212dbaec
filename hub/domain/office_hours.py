"""The hours of a working day in which somebody sits at the other end. No clock of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hub.domain.calendar import SHANGHAI, start_of
from hub.errors import InputError

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
#: Longer than any holiday, so that a search for the next working day ends.
_MOST_DAYS = 40


class Span(NamedTuple):
    """From ``start`` (with it) to ``end`` (without it), in minutes of the day."""

    start: int
    end: int


#: Office hours in Gansu in summer and winter differ by half an hour; these hold in both.
DEFAULT_HOURS = (Span(8 * 60 + 30, 12 * 60), Span(14 * 60 + 30, 18 * 60))


def parse_office_hours(text: str) -> tuple[Span, ...]:
    """``08:30-12:00,14:30-18:00``. Raises InputError, which says what would be right."""
    spans: list[Span] = []
    for part in text.split(","):
        found = _SPAN.fullmatch(part.strip())
        if found is None:
            raise InputError("office hours are written as 08:30-12:00,14:30-18:00")
        start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
        if not start < end <= 24 * 60 or (spans and start < spans[-1].end):
            raise InputError("office hours go forward within one day and do not overlap, as 08:30-12:00,14:30-18:00")
        spans.append(Span(start, end))
    return tuple(spans)


def is_office_time(moment: datetime, spans: Sequence[Span], is_working_day: Callable[[date], bool]) -> bool:
    """Whether ``moment`` (aware) lies in one of ``spans`` of a working day, by the clocks of Shanghai."""
    local = moment.astimezone(SHANGHAI)
    minute = local.hour * 60 + local.minute
    return any(span.start <= minute < span.end for span in spans) and is_working_day(local.date())


def next_office_time(moment: datetime, spans: Sequence[Span], is_working_day: Callable[[date], bool]) -> datetime:
    """``moment`` itself if it is office time, else when the office opens next."""
    if is_office_time(moment, spans, is_working_day):
        return moment
    day = moment.astimezone(SHANGHAI).date()
    for _ in range(_MOST_DAYS):
        if is_working_day(day):
            for span in spans:
                opens_at = start_of(day) + timedelta(minutes=span.start)
                if opens_at > moment:
                    return opens_at
        day += timedelta(days=1)
    return moment
