"""What a deadline of law makes of a retry: as it nears, a notice is tried more often, then goes another way.

    calm ────────▶ near ──────────▶ last ─────────▶ late
    by schedule    every quarter of   another way,    still tried: late
                   an hour in office  a human is      is better than
                   hours              told            never

No clock of its own: the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from hub.domain.calendar import local_date, start_of
from hub.domain.office_hours import DEFAULT_HOURS, Span, next_office_time


class WorkingDays(Protocol):
    """The part of a calendar that urgency needs."""

    def is_working_day(self, day: date) -> bool: ...

    def before(self, day: date, n: int) -> date: ...


class Nearness(StrEnum):
    """How near the end of the period is."""

    CALM = "calm"
    NEAR = "near"
    LAST = "last"
    LATE = "late"


class Urgency(NamedTuple):
    """``near_days`` and ``last_days`` are working days before the last day of the period.

    With the 10 working days of a blacklist notice: from the start of day 7 it is tried every ``every_seconds``
    within ``hours``, from the start of day 9 it goes another way, so that two days are left to fetch it.
    """

    calendar: WorkingDays
    near_days: int = 3
    last_days: int = 1
    every_seconds: float = 900.0
    #: Of ``every_seconds``, so that many that failed together do not come back together.
    jitter: float = 0.2
    hours: Sequence[Span] = DEFAULT_HOURS

    def nearness(self, now: datetime, deliver_by: datetime | None) -> Nearness:
        """``deliver_by`` is the last moment of the period, aware; without one nothing is urgent."""
        if deliver_by is None:
            return Nearness.CALM
        if now >= deliver_by:
            return Nearness.LATE
        # A period that ends with a day ends at 0:00 of the next.
        last_day = local_date(deliver_by - timedelta(milliseconds=1))
        if now >= start_of(self.calendar.before(last_day, self.last_days)):
            return Nearness.LAST
        return Nearness.NEAR if now >= start_of(self.calendar.before(last_day, self.near_days)) else Nearness.CALM

    def delay(
        self, planned: float | None, now: datetime, deliver_by: datetime | None,
        hours: Sequence[Span] | None = None, *, chance: float = 0.5,
    ) -> float | None:
        """Seconds until the next attempt, where the schedule says ``planned`` (``None``: it gives up).

        ``hours`` are the department's own, where it has told them; ``chance`` in [0, 1] places the jitter. A notice
        whose period runs is not given up, and one whose period nears its end is not left until after it.
        """
        if deliver_by is None or now >= deliver_by:
            return planned
        if self.nearness(now, deliver_by) is Nearness.CALM:
            last_day = local_date(deliver_by - timedelta(milliseconds=1))
            wakes_at = start_of(self.calendar.before(last_day, self.near_days))
        else:
            wakes_at = now + timedelta(seconds=self.every_seconds)
        is_open: Callable[[date], bool] = self.calendar.is_working_day
        found = (next_office_time(wakes_at, hours or self.hours, is_open) - now).total_seconds()
        found += self.every_seconds * self.jitter * chance
        return found if planned is None else min(planned, found)
