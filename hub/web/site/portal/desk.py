"""What the pages of the portal ask, as the wiring gives it to them; and the words for how long is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple, Protocol, TypeVar

from hub.domain.calendar import Calendar
from hub.domain.clocks import ClockRule, Status
from hub.domain.desk import Score
from hub.ops.ledger import desk_queries
from hub.ops.ledger.desk_queries import DeskClock, DeskPage, DeskTotals
from hub.ops.ledger.view import Ledger

T = TypeVar("T")
#: Entries of one page, and how many are looked through at most for those that a filter lets pass.
PAGE_SIZE, LOOKED_THROUGH = 25, 1000


class Desk(Protocol):
    """A department's desk. ``department`` is always the caller's own: that is the routes' to see to.

    Raises IndexUnavailableError where the index does not answer, UsageError for a department that is none.
    """

    def clocks(self, department: str, today: date, cursor: str | None, limit: int) -> DeskPage: ...

    def notices(self, department: str, is_waiting: bool, cursor: str | None, limit: int) -> DeskPage: ...

    def leads(self, department: str, cursor: str | None, limit: int) -> DeskPage: ...

    def totals(self, department: str) -> DeskTotals: ...

    def scoreboard(self, department: str, today: date) -> dict[int, list[tuple[str, Score]]]: ...

    def calendar_of(self, rule: str) -> Calendar | None: ...

    def is_filled(self) -> bool:
        """Whether the index is there at all; an empty desk says something only then."""

    def title_of_code(self, code_list: str, code: str) -> str: ...

    def title_of_rule(self, rule: str) -> str:
        """What a clock is called; its name where the map does not have it any more."""


class LedgerDesk:
    """The desk as the ledger has it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def clocks(self, department: str, today: date, cursor: str | None, limit: int) -> DeskPage:
        return desk_queries.clocks(self._ledger, department, today, cursor=cursor, limit=limit)

    def notices(self, department: str, is_waiting: bool, cursor: str | None, limit: int) -> DeskPage:
        return desk_queries.notices(self._ledger, department, is_waiting=is_waiting, cursor=cursor, limit=limit)

    def leads(self, department: str, cursor: str | None, limit: int) -> DeskPage:
        return desk_queries.leads(self._ledger, department, cursor=cursor, limit=limit)

    def totals(self, department: str) -> DeskTotals:
        return desk_queries.totals(self._ledger, department)

    def scoreboard(self, department: str, today: date) -> dict[int, list[tuple[str, Score]]]:
        return desk_queries.scoreboard(self._ledger, department, today)

    def calendar_of(self, rule: str) -> Calendar | None:
        found: ClockRule | None = self._ledger.map.clocks.get(rule)
        return self._ledger.calendars.get(found.calendar) if found is not None else None

    def is_filled(self) -> bool:
        return self._ledger.index.is_there()

    def title_of_code(self, code_list: str, code: str) -> str:
        return self._ledger.catalog.codes[code_list].title_of(code)

    def title_of_rule(self, rule: str) -> str:
        found: ClockRule | None = self._ledger.map.clocks.get(rule)
        return found.title if found is not None else rule


class Left(NamedTuple):
    """How long is left, as a key of the catalog (``left.<word>``) and its number of working days."""

    word: str
    days: int


def time_left(clock: DeskClock, today: date, calendar: Calendar | None) -> Left:
    """Working days by the calendar of the rule; calendar days where it has none."""
    if clock.status == Status.SUSPENDED:
        return Left("suspended", 0)
    if clock.due_on is None:
        return Left("open-ended", 0)
    days = calendar.count(today, clock.due_on) if calendar is not None else (clock.due_on - today).days
    if clock.due_on == today:
        return Left("today", 0)
    if clock.due_on < today:
        # Over a weekend no working day has gone by yet.
        return Left("overdue", -days) if days else Left("overdue-just", 0)
    return Left("days", days)


def filtered(
    fetch: Callable[[str | None, int], DeskPage], keeps: Callable[[T], bool], cursor: str | None
) -> tuple[list[T], str | None]:
    """Entries that ``keeps`` lets pass, at least a page of them where there are as many behind ``cursor``.

    Looks through LOOKED_THROUGH entries at most; where more lie behind, the cursor goes on there.
    """
    kept: list[T] = []
    for _ in range(LOOKED_THROUGH // PAGE_SIZE):
        page = fetch(cursor, PAGE_SIZE)
        kept += [entry for entry in page.entries if keeps(entry)]
        cursor = page.cursor
        if cursor is None or len(kept) >= PAGE_SIZE:
            break
    return kept, cursor
