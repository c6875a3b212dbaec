"""A desk in memory for the pages of the portal: what lies on it is given by department."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from hub.domain.calendar import Calendar
from hub.domain.desk import Colour, NoticeState, Score
from hub.errors import IndexUnavailableError
from hub.ops.ledger.desk_queries import DeskClock, DeskLead, DeskNotice, DeskPage
from tests.support_contracts import catalog
from tests.support_http_intake import hub_map
from tests.support_ledger import calendars

TODAY = date(2026, 3, 4)  # a Wednesday
#: Valid in form, given to nobody.
ENTERPRISE, PERSON = "91620000MA00000017", "id-0123456789abcdef"


def a_clock(number: int, due: date, colour: Colour, rule: str = "answer-notice", **more: Any) -> DeskClock:
    made = DeskClock(
        f"clock-{number:03d}", rule, hub_map().clocks[rule].title if rule in hub_map().clocks else rule, colour, due,
        datetime(due.year, due.month, due.day, 16, tzinfo=UTC), "running", False, due < TODAY, ENTERPRISE, False,
        "event", "row", None,
    )
    return made._replace(**more)


def a_notice(number: int, state: NoticeState = NoticeState.UNANSWERED, **more: Any) -> DeskNotice:
    made = DeskNotice(
        f"notice-{number:03d}", state, "government-procurement", "政府采购限制", "apply", 1,
        datetime(2026, 3, 2, 1, tzinfo=UTC), "delivered", None, None, None, None, None, None, ENTERPRISE, False,
        "event", "row",
    )
    return made._replace(**more)


def a_lead(number: int, **more: Any) -> DeskLead:
    made = DeskLead(
        f"lead-{number:03d}", "event", "complaint", "received", "623001", date(2026, 3, 2), None, "12345", PERSON, True
    )
    return made._replace(**more)


class MemoryDesk:
    """Cursors are places of the list. ``is_down``: Redis does not answer."""

    def __init__(self) -> None:
        self.of_clocks: dict[str, list[DeskClock]] = defaultdict(list)
        self.of_notices: dict[str, list[DeskNotice]] = defaultdict(list)
        self.of_leads: dict[str, list[DeskLead]] = defaultdict(list)
        self.scores: dict[str, dict[int, list[tuple[str, Score]]]] = {}
        self.is_down, self.has_index = False, True

    def clocks(self, department: str, today: date, cursor: str | None, limit: int) -> DeskPage:
        return self._page(self.of_clocks[department], cursor, limit)

    def notices(self, department: str, is_waiting: bool, cursor: str | None, limit: int) -> DeskPage:
        found = self.of_notices[department]
        shown = [each for each in found if not is_waiting or each.state is not NoticeState.ANSWERED]
        return self._page(shown, cursor, limit)

    def leads(self, department: str, cursor: str | None, limit: int) -> DeskPage:
        return self._page(self.of_leads[department], cursor, limit)

    def scoreboard(self, department: str, today: date) -> dict[int, list[tuple[str, Score]]]:
        self._answers()
        return self.scores.get(department, {30: [], 90: []})

    def calendar_of(self, rule: str) -> Calendar | None:
        return calendars()["gannan"]

    def is_filled(self) -> bool:
        self._answers()
        return self.has_index

    def title_of_code(self, code_list: str, code: str) -> str:
        return catalog().codes[code_list].title_of(code)

    def _page(self, found: Sequence[Any], cursor: str | None, limit: int) -> DeskPage:
        self._answers()
        start = int(cursor or 0)
        rest = str(start + limit) if start + limit < len(found) else None
        return DeskPage(list(found[start : start + limit]), rest, len(found))

    def _answers(self) -> None:
        if self.is_down:
            raise IndexUnavailableError("Redis is away")
