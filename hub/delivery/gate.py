"""Whether something may go out to a department now: its settings, its office hours, its rate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from hub.delivery.settings import SubscriptionSettings
from hub.domain.office_hours import Span, is_office_time, parse_office_hours

MAX_RATE_PER_MINUTE = 600_000


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
        return self.shut_by or (None if self._is_office_time() else "outside of office hours")

    @property
    def shut_by(self) -> str | None:
        """Why nothing may go out at any time, whatever the hour; ``None`` if it may."""
        if self._gone is not None or self.settings is None:
            return self._gone
        return self.settings.why_blocked(is_pushed=self._is_pushed)

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

    @property
    def hours(self) -> tuple[Span, ...]:
        """Office hours as the department told them; none if it did not."""
        return self._spans

    def _is_office_time(self) -> bool:
        if not self._spans:
            return True
        return is_office_time(self._now(), self._spans, self._is_working_day)
