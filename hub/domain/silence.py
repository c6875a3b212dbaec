"""When a source has been silent for longer than it may: its rhythm, and the moment by which it has to speak.

A source *speaks* when rows come, or a signed word that there were none; it is *heard* when it was asked and could
answer, also that there is nothing new. Rhythms are ``daily`` (something on every working day of the calendar, weekend
workdays too) and a number of hours (``6h``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.domain.calendar import Calendar, end_of, local_date

_HOURS = re.compile(r"([1-9]\d{0,3})h")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """``hours`` is ``None`` for every working day. ``text`` is as it was written."""

    text: str
    hours: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rhythm:
        """Raises ValueError saying what a rhythm looks like."""
        if text == "daily":
            return cls(text)
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError("a rhythm is `daily` (every working day) or hours like `6h`")
        return cls(text, int(found[1]))

    def speaks_by(self, spoke_at: datetime, calendar: Calendar) -> datetime:
        """The moment by which a source that spoke at ``spoke_at`` has to speak again: 24:00 (Asia/Shanghai) of the
        next working day, or so many hours later. A working day on which it spoke counts as told."""
        if self.hours is not None:
            return spoke_at + timedelta(hours=self.hours)
        return end_of(calendar.due_date(local_date(spoke_at), 1).date)

    def is_silent(self, spoke_at: datetime, now: datetime, calendar: Calendar) -> bool:
        return now >= self.speaks_by(spoke_at, calendar)
