"""Working days: what counts, when a period ends, and whether that is certain yet.

A calendar is Monday to Friday, corrected by what the State Council publishes each year: days off in
the week, worked weekends (调休); and by what a place adds. Days of years that nobody has published
count Monday to Friday, and every date that rests on one of them is *provisional*.

Periods follow 民法典 201 and 203: the start day does not count, the day after is day 1, the last
moment is 24:00 of the last day. In working days (行政处罚法 85, 行政许可法 82) only working days
count; in calendar days all do, and a last day off moves to the next working day.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple, TypeVar

from hub.errors import ContractError, InputError

#: Asia/Shanghai. The country has kept one offset without summer time since 1991.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
_WEEKDAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
_MAX_ORDINAL = date.max.toordinal()
#: Answers that a calendar keeps, about 100 bytes each.
_REMEMBERED = 100_000
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class DueDate(NamedTuple):
    """The last day of a period, and whether it rests on a year that has not been published."""

    date: date
    is_provisional: bool


class Calendar:
    """One calendar in one version. Immutable; every question costs a bisection, not a walk over days.

    ``off`` maps days off that fall on Monday to Friday to the name of their holiday, ``worked`` the
    worked Saturdays and Sundays; ``first_year`` to ``last_year`` are published without a gap.
    ``version`` is a digest of all of these, with the last year before it for people to read. ``base`` is
    the name of the calendar that this one extends, whose days it holds too.
    """

    def __init__(
        self, name: str, title: str, off: Mapping[date, str], worked: Mapping[date, str],
        first_year: int, last_year: int, base: str | None = None,
    ) -> None:
        self.name = name
        self.base = base
        self.title = title
        self.first_year = first_year
        self.last_year = last_year
        self._off = dict(sorted(off.items()))
        self._worked = dict(sorted(worked.items()))
        content = repr((name, first_year, last_year, self._off, self._worked))
        self.version = f"{name}-{last_year}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        # Ordinals of the working days of the published years; outside of them arithmetic does.
        self._low = date(first_year, 1, 1).toordinal()
        self._high = date(last_year, 12, 31).toordinal()
        removed = {day.toordinal() for day in self._off}
        added = {day.toordinal() for day in self._worked}
        self._table = [
            day for day in range(self._low, self._high + 1)
            if (day not in removed if (day - 1) % 7 < 5 else day in added)
        ]
        self._before = _count_mondays_to_fridays(self._low - 1)
        self._after = self._before + len(self._table)
        self._shift = self._after - _count_mondays_to_fridays(self._high)
        # What was asked before: clocks by the million share few dates.
        self._due: dict[tuple[date, int], DueDate] = {}
        self._days_before: dict[tuple[date, int], date] = {}

    @classmethod
    def from_data(cls, data: Mapping[str, Any], base: Calendar | None = None) -> Calendar:
        """Calendar of a file under ``reference/calendars``; ``base`` is what it ``extends``.

        :raises ContractError: naming the calendar and the day or year that is wrong.
        """
        name = str(data.get("calendar", ""))
        years: Mapping[int, Mapping[str, Any]] = data.get("years") or {}
        if not years or sorted(years) != list(range(min(years), max(years) + 1)):
            raise ContractError(f"calendar {name!r}: years must follow each other without a gap")
        if data.get("extends") != (base.name if base else None):
            raise ContractError(f"calendar {name!r} extends {data.get('extends')!r}, which was not given")
        off: dict[date, str] = dict(base._off) if base else {}
        worked: dict[date, str] = dict(base._worked) if base else {}
        for year, parts in years.items():
            for holiday, days in (parts.get("rest") or {}).items():
                for day in days:
                    _check_day(name, year, day, is_weekend=False)
                    off[day] = holiday
            for holiday, days in (parts.get("work") or {}).items():
                for day in days:
                    _check_day(name, year, day, is_weekend=True)
                    worked[day] = holiday
        first, last = (base.first_year, min(base.last_year, max(years))) if base else (min(years), max(years))
        return cls(
            name, str(data.get("title", name)),
            {day: holiday for day, holiday in off.items() if day.year <= last},
            {day: holiday for day, holiday in worked.items() if day.year <= last},
            first, last, base.name if base else None,
        )

    @property
    def off(self) -> Mapping[date, str]:
        """Days off that fall on Monday to Friday, with the name of their holiday, in their order."""
        return self._off

    @property
    def worked(self) -> Mapping[date, str]:
        """Saturdays and Sundays that are worked, with the name of the holiday that they make up for."""
        return self._worked

    def is_published(self, day: date) -> bool:
        """Whether the day's year is in the table."""
        return self.first_year <= day.year <= self.last_year

    def is_provisional(self, day: date) -> bool:
        """Whether what is known of the day may still change: its year has not been published."""
        return not self.is_published(day)

    def is_working_day(self, day: date) -> bool:
        """Whether the day counts."""
        ordinal = day.toordinal()
        if not self._low <= ordinal <= self._high:
            return day.weekday() < 5
        place = bisect_left(self._table, ordinal)
        return place < len(self._table) and self._table[place] == ordinal

    def due_date(self, start: date, n: int) -> DueDate:
        """Last day of a period of ``n`` >= 1 working days that is counted from ``start``.

        :raises InputError: if ``n`` is below 1 or the end lies beyond the year 9999.
        """
        known = self._due.get((start, n))
        if known is None:
            _check_period(n)
            first = start.toordinal() + 1
            last = self._day_of(self._rank(first - 1) + n)
            is_certain = self._low <= first and last <= self._high
            known = _remember(self._due, (start, n), DueDate(date.fromordinal(last), not is_certain))
        return known

    def due_date_in_calendar_days(self, start: date, n: int) -> DueDate:
        """Last day of a period of ``n`` >= 1 calendar days; a day off moves to the next working day.

        :raises InputError: as :meth:`due_date`.
        """
        _check_period(n)
        nominal = start.toordinal() + n
        if nominal > _MAX_ORDINAL:
            raise InputError(f"{n}日后超出9999年 (beyond the year 9999)")
        return self.rolled(date.fromordinal(nominal))

    def rolled(self, day: date) -> DueDate:
        """The day itself if it counts, else the next that does: the end of a period moves (民法典 203)."""
        nominal = day.toordinal()
        last = self._day_of(self._rank(nominal - 1) + 1)
        return DueDate(date.fromordinal(last), not (self._low <= nominal and last <= self._high))

    def before(self, day: date, n: int) -> date:
        """The working day that lies ``n`` working days before ``day`` (for ``n`` = 0: at or before it)."""
        known = self._days_before.get((day, n))
        if known is None:
            found = date.fromordinal(max(1, self._day_of(self._rank(day.toordinal()) - n)))
            known = _remember(self._days_before, (day, n), found)
        return known

    def count(self, start: date, end: date) -> int:
        """How many working days lie after ``start``, up to and with ``end``; negative if that is earlier."""
        return self._rank(end.toordinal()) - self._rank(start.toordinal())

    def why_off(self, day: date) -> str | None:
        """Why a day does not count, for people; ``None`` if it counts."""
        if self.is_working_day(day):
            return None
        return self._off.get(day) or _WEEKDAYS[day.weekday()]

    def _rank(self, ordinal: int) -> int:
        """How many working days there are up to and with a day, counted from the year 1."""
        if ordinal < self._low:
            return _count_mondays_to_fridays(ordinal)
        if ordinal > self._high:
            return self._shift + _count_mondays_to_fridays(ordinal)
        return self._before + bisect_right(self._table, ordinal)

    def _day_of(self, rank: int) -> int:
        """Ordinal of the working day of a rank: the inverse of :meth:`_rank`."""
        if self._before < rank <= self._after:
            return self._table[rank - self._before - 1]
        weeks, days = divmod((rank if rank <= self._before else rank - self._shift) - 1, 5)
        ordinal = weeks * 7 + days + 1
        if ordinal > _MAX_ORDINAL:
            raise InputError("期限超出9999年 (beyond the year 9999)")
        return ordinal


class PublishedCalendar(NamedTuple):
    """A calendar in force, and the event that put it there: the same for whoever reads the log."""

    calendar: Calendar
    event_id: str
    published_at: datetime


def end_of(day: date) -> datetime:
    """The last moment of a period that ends on ``day``: 24:00 Asia/Shanghai, as an instant in UTC."""
    return datetime(day.year, day.month, day.day, 16, tzinfo=UTC)


def start_of(day: date) -> datetime:
    """0:00 Asia/Shanghai of ``day``, as an instant in UTC."""
    return end_of(day) - timedelta(days=1)


def local_date(moment: datetime) -> date:
    """The day that an aware instant falls on in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).date()


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def last_day_of_month(year: int, month: int) -> int:
    """28 to 31."""
    return monthrange(year, month)[1]


def add_months(day: date, n: int) -> date:
    """The same day ``n`` months later; the last day of the month where it has no such day (民法典 202).

    :raises InputError: beyond the year 9999.
    """
    years, month = divmod(day.month - 1 + n, 12)
    year = day.year + years
    if year > date.max.year:
        raise InputError("期限超出9999年 (beyond the year 9999)")
    return date(year, month + 1, min(day.day, last_day_of_month(year, month + 1)))


def _count_mondays_to_fridays(ordinal: int) -> int:
    # Day 1, 0001-01-01, was a Monday.
    weeks, days = divmod(ordinal, 7)
    return weeks * 5 + min(days, 5)


def _check_period(n: int) -> None:
    if n < 1:
        raise InputError(f"期限应至少为1，实为{n} (a period is at least 1)")


def _check_day(calendar: str, year: int, day: object, *, is_weekend: bool) -> None:
    if not isinstance(day, date) or day.year != year or (day.weekday() >= 5) is not is_weekend:
        wanted = "a Saturday or Sunday" if is_weekend else "a day from Monday to Friday"
        raise ContractError(f"calendar {calendar!r}: {day} is not {wanted} of {year}")
