"""Clocks that no event starts: one for each department and each year or month, begun by the calendar itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from hub.domain.calendar import local_date, start_of
from hub.domain.clocks import ClockRule, Signal
from hub.domain.events import derive_id


def department_entity(code: str) -> str:
    """What the clocks of a department have as their correlation id."""
    return derive_id("department", code)


def period_starts(rule: ClockRule, departments: Mapping[str, str], now: datetime) -> Iterator[Signal]:
    """The starts of the period that ``now`` lies in, for every department that the rule is for.

    ``departments`` maps ids to codes. The same signals whoever asks, and whenever in the period.
    """
    today = local_date(now)
    if rule.every == "month":
        label, first = f"{today.year}-{today.month:02}", today.replace(day=1)
    else:
        label, first = str(today.year), date(today.year, 1, 1)
    for name in rule.departments or tuple(departments):
        code = departments[name]
        yield Signal(
            "start", rule.id, department_entity(code), code, derive_id("period", rule.id, code, label),
            start_of(first), label, first, code,
        )
