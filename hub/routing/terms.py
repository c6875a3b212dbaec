"""Until when a record may be public on a channel: the end of the term that the map sets for what it publishes.

The clock of the term says when it is over, and its end withdraws what is public. An order carries the day as well, so
that what is over is shown by nobody, however far behind the clocks are. It is a function of the event and of the map:
the same event gives the same day, whenever it is routed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from hub.contracts.map_models import ClockModel, RouteModel
from hub.domain.calendar import local_date
from hub.domain.clock_fold import nominal_day
from hub.domain.clocks import ClockRule, Due
from hub.domain.where import FirstFailing, compile_where
from hub.errors import InputError
from hub.routing.event import day_of

#: What a clock whose term ended says.
EXPIRED = "clock.term.expired"


class _Term(NamedTuple):
    counts_from: str | None
    until: str | None
    due: Due
    first_failing: FirstFailing | None


class PublicationTerms:
    """The terms of what is published, by event type and channel, compiled once from the clocks and routes of the map.

    A term counts for the channels of the routes that withdraw at its end: what is reported to the government has
    none. One that can stand still, or that counts working days, which a calendar may move, is left to its clock.
    """

    def __init__(
        self, models: Mapping[str, ClockModel], rules: Mapping[str, ClockRule], routes: Mapping[str, RouteModel]
    ) -> None:
        self._terms: dict[tuple[str, str], list[_Term]] = {}
        for name, clock in models.items():
            due = rules[name].due
            if clock.on_due != "expire" or clock.suspended_by or nominal_day(due, date(2000, 1, 1)) is None:
                continue
            term = _Term(clock.counts_from, clock.until, due, compile_where(clock.where))
            for channel in _ended_channels(name, routes):
                for event_type in clock.starts_on:
                    self._terms.setdefault((event_type, channel), []).append(term)

    def knows(self, event_type: str, channel: str) -> bool:
        """Whether any term may run: else the event need not be decoded for it."""
        return (event_type, channel) in self._terms

    def of(self, event_type: str, channel: str, value: Mapping[str, Any], came_in: datetime) -> date | None:
        """The last day of the term that ends first; ``None`` if none runs. ``came_in`` is when Kafka took the event."""
        return min(
            (
                day for term in self._terms.get((event_type, channel), ())
                if (term.first_failing is None or term.first_failing(value) is None)
                and (day := _last_day(term, value, came_in)) is not None
            ),
            default=None,
        )


def _ended_channels(rule: str, routes: Mapping[str, RouteModel]) -> set[str]:
    found: set[str] = set()
    for route in routes.values():
        first_failing = compile_where(route.where)
        if EXPIRED in route.events and (first_failing is None or first_failing({"rule": rule}) is None):
            found.update(route.channels)
    return found


def _last_day(term: _Term, value: Mapping[str, Any], came_in: datetime) -> date | None:
    until = day_of(value, term.until)
    if until is not None:
        return until
    try:
        return nominal_day(term.due, day_of(value, term.counts_from) or local_date(came_in))
    except (InputError, OverflowError):
        return None  # beyond the year 9999: it ends never
