"""Until when a notice has to arrive: the end of the period of law that its own event starts, as known at its issue.

The clock itself is a function of the log and may move (a suspension, a calendar that is published later); this is
what delivery goes by while it tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from hub.contracts.map_models import ClockModel
from hub.domain.calendar import Calendar, end_of, local_date
from hub.domain.clock_fold import last_day
from hub.domain.clocks import ClockRule, Due
from hub.domain.where import FirstFailing, compile_where

#: What a clock of this kind is met by.
DELIVERED = "delivery.receipt.delivered"


class _Period(NamedTuple):
    counts_from: str | None
    first_failing: FirstFailing | None
    due: Due
    calendar: Calendar


class Deadlines:
    """The periods of notices, by event type and subscription, compiled once from the clocks of the map.

    A clock counts here if it runs for each subscription and is met by delivery. It counts from a date of the event or,
    where it names none or that is empty, from the day on which the event came in, as the clock itself does.
    ``calendars`` are by name; of a clock whose calendar is not among them nothing is known.
    """

    def __init__(
        self, models: Mapping[str, ClockModel], rules: Mapping[str, ClockRule], subscriptions: Mapping[str, Any],
        calendars: Mapping[str, Calendar],
    ) -> None:
        self._periods: dict[tuple[str, str], list[_Period]] = {}
        for name, clock in models.items():
            calendar, rule = calendars.get(clock.calendar), rules[name]
            if clock.per != "subscription" or DELIVERED not in clock.met_by or calendar is None:
                continue
            if rule.due.unit == "hours":
                continue
            period = _Period(clock.counts_from, compile_where(clock.where), rule.due, calendar)
            for event_type in clock.starts_on:
                for subscription in clock.subscriptions or subscriptions:
                    self._periods.setdefault((event_type, subscription), []).append(period)

    def knows(self, event_type: str, subscription: str) -> bool:
        """Whether any period may run: else the event need not be decoded for it."""
        return (event_type, subscription) in self._periods

    def of(
        self, event_type: str, subscription: str, action: str, value: Mapping[str, Any], came_in: datetime
    ) -> datetime | None:
        """The end of the period that ends first, as an instant in UTC; ``None`` if none runs.

        ``action`` is what the notice asks for, ``came_in`` when Kafka took the event, aware.
        """
        found: datetime | None = None
        fields = {**value, "action": action}
        for period in self._periods.get((event_type, subscription), ()):
            if period.first_failing is not None and period.first_failing(fields) is not None:
                continue
            start = value.get(period.counts_from) if period.counts_from else None
            if isinstance(start, datetime) or start is None:
                start = local_date(start or came_in)
            if isinstance(start, date):
                end = end_of(last_day(period.due, start, period.calendar).date)
                found = end if found is None or end < found else found
        return found
