"""A calendar as a text that can be sent and kept, and what differs between two of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from hub.domain.calendar import Calendar
from hub.errors import ContractError


class DayChange(NamedTuple):
    """A day that counts in one calendar and not in the other, or that has another name."""

    day: date
    before: str
    after: str


def to_text(calendar: Calendar) -> str:
    """The whole calendar as JSON; :func:`from_text` makes the same version of it."""
    return json.dumps(
        {
            "calendar": calendar.name, "title": calendar.title, "base": calendar.base,
            "first_year": calendar.first_year, "last_year": calendar.last_year,
            "rest": {day.isoformat(): holiday for day, holiday in calendar.off.items()},
            "work": {day.isoformat(): holiday for day, holiday in calendar.worked.items()},
        },
        ensure_ascii=False, separators=(",", ":"),
    )


def from_text(text: str) -> Calendar:
    """The calendar of a text by :func:`to_text`. Raises ContractError."""
    try:
        data: Mapping[str, Any] = json.loads(text)
        return Calendar(
            str(data["calendar"]), str(data["title"]), _days(data["rest"]), _days(data["work"]),
            int(data["first_year"]), int(data["last_year"]), data["base"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"not the text of a calendar: {error!r}") from error


def differences(before: Calendar, after: Calendar) -> list[DayChange]:
    """The days that the two do not agree on, earliest first; a year that only one has published counts too."""
    named = {*before.off, *before.worked, *after.off, *after.worked}
    changes = (DayChange(day, _say(before, day), _say(after, day)) for day in sorted(named))
    return [change for change in changes if change.before != change.after]


def years_published(before: Calendar, after: Calendar) -> tuple[list[int], list[int]]:
    """The years that ``after`` publishes for the first time, and those that it takes back."""
    old = set(range(before.first_year, before.last_year + 1))
    new = set(range(after.first_year, after.last_year + 1))
    return sorted(new - old), sorted(old - new)


def family(calendars: Mapping[str, Calendar], name: str) -> list[str]:
    """What is published together with a calendar: what it extends and all that extend those, bases first."""
    root = name
    while (base := calendars[root].base) is not None and base in calendars:
        root = base
    return list(_with_children(calendars, root))


def _with_children(calendars: Mapping[str, Calendar], name: str) -> Iterator[str]:
    yield name
    for child, calendar in sorted(calendars.items()):
        if calendar.base == name:
            yield from _with_children(calendars, child)


def _say(calendar: Calendar, day: date) -> str:
    if calendar.is_working_day(day):
        holiday = calendar.worked.get(day)
        return f"上班（{holiday}调休）" if holiday else "上班"
    return f"休息（{calendar.why_off(day)}）"


def _days(found: Mapping[str, str]) -> dict[date, str]:
    return {date.fromisoformat(day): str(holiday) for day, holiday in found.items()}
