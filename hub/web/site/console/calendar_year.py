"""A year of a calendar as a wall calendar: months of weeks, each day with what it is. Pure."""

from __future__ import annotations

from calendar import Calendar as Weeks
from collections.abc import Collection
from datetime import date
from typing import Literal, NamedTuple

from hub.domain.calendar import Calendar

#: ``worked``: a Saturday or Sunday that makes up for a day off (调休).
DayKind = Literal["working", "weekend", "rest", "worked"]
_WEEKS = Weeks(firstweekday=0)


class Day(NamedTuple):
    """``title`` names the holiday of a day off or a worked weekend day; ``is_to_change`` is announced otherwise."""

    day: date
    kind: DayKind
    title: str
    is_to_change: bool


class Month(NamedTuple):
    """Weeks from Monday on; ``None`` stands for a day of another month. ``working`` counts those that count."""

    number: int
    weeks: tuple[tuple[Day | None, ...], ...]
    working: int


class Holiday(NamedTuple):
    """A holiday of the year: its days off in the week, and the weekend days that are worked for it."""

    title: str
    rest: tuple[date, ...]
    worked: tuple[date, ...]


def months_of(calendar: Calendar, year: int, to_change: Collection[date] = ()) -> list[Month]:
    """The twelve months of a year from 1 to 9999."""
    found = []
    for number in range(1, 13):
        weeks = tuple(
            tuple(_day(calendar, day, to_change) if day.month == number and day.year == year else None for day in week)
            for week in _WEEKS.monthdatescalendar(year, number)
        )
        days = [day for week in weeks for day in week if day is not None]
        found.append(Month(number, weeks, sum(calendar.is_working_day(each.day) for each in days)))
    return found


def holidays_of(calendar: Calendar, year: int) -> list[Holiday]:
    """The holidays of a year in their order."""
    titles: dict[str, tuple[list[date], list[date]]] = {}
    for at, days in enumerate((calendar.off, calendar.worked)):
        for day, title in days.items():
            if day.year == year:
                titles.setdefault(title, ([], []))[at].append(day)
    found = [Holiday(title, tuple(rest), tuple(worked)) for title, (rest, worked) in titles.items()]
    return sorted(found, key=lambda each: min((*each.rest, *each.worked)))


def _day(calendar: Calendar, day: date, to_change: Collection[date]) -> Day:
    kind: DayKind = "working" if day.weekday() < 5 else "weekend"
    title = calendar.off.get(day, "")
    if title:
        kind = "rest"
    elif day in calendar.worked:
        kind, title = "worked", calendar.worked[day]
    return Day(day, kind, title, day in to_change)
