"""Whether something may go out to a department now: its settings, its office hours, its rate."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hub.delivery.settings import SubscriptionSettings
from hub.errors import InputError

SHANGHAI = ZoneInfo("Asia/Shanghai")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
MAX_RATE_PER_MINUTE = 600_000


class Span(NamedTuple):
    """From ``start`` (with it) to ``end`` (without it), in minutes of the day."""

    start: int
    end: int


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


class Gate:
    """The gate of one subscription. Not thread-safe. ``is_working_day`` is the calendar's.

    Without settings it is open: that is a transport which has none. Who fetches does so by office hours and a
    rate of his own, and needs no address: ``is_pushed`` is false for him.
    """

    def __init__(
        self, now: Callable[[], datetime], monotonic: Callable[[], float], is_working_day: Callable[[date], bool],
        *, is_pushed: bool = True,
    ) -> None:
        self._is_pushed = is_pushed
        self._now, self._monotonic, self._is_working_day = now, monotonic, is_working_day
        self.settings: SubscriptionSettings | None = None
        self._spans: tuple[Span, ...] = ()
        self._tokens, self._filled_at = 1.0, monotonic()
        self._gone: str | None = None

    def use(self, settings: SubscriptionSettings) -> None:
        """Goes by ``settings`` from now on."""
        self.settings, self._gone = settings, None
        hours = settings.office_hours if self._is_pushed else None
        self._spans = parse_office_hours(hours) if hours else ()

    def close(self, reason: str) -> None:
        """Stays shut until other settings come."""
        self._gone = reason

    @property
    def reason(self) -> str | None:
        """Why nothing may go out now; ``None`` if the gate is open."""
        if self._gone is not None:
            return self._gone
        if self.settings is None:
            return None
        blocked = self.settings.why_blocked(is_pushed=self._is_pushed)
        return blocked or (None if self._is_office_time() else "outside of office hours")

    def admits(self) -> bool:
        """Whether one more may go now, by the gate and by the rate; counts nothing."""
        return self.reason is None and self._room() >= 1.0

    def count(self) -> None:
        """One went."""
        self._tokens = max(0.0, self._room() - 1.0)
        self._filled_at = self._monotonic()

    def _room(self) -> float:
        rate = self.settings.rate_per_minute if self.settings is not None and self._is_pushed else None
        if rate is None:
            return float("inf")
        # A second's worth may go at once, so that the rate is kept also by whoever looks seldom.
        most = max(1.0, rate / 60)
        return min(most, self._tokens + (self._monotonic() - self._filled_at) * rate / 60)

    def _is_office_time(self) -> bool:
        if not self._spans:
            return True
        local = self._now().astimezone(SHANGHAI)
        minute = _minute_of(local.time())
        return any(span.start <= minute < span.end for span in self._spans) and self._is_working_day(local.date())


def _minute_of(moment: time) -> int:
    return moment.hour * 60 + moment.minute
