"""``/`` and ``/desk…``: what is to be done today by deadline, notices to answer, leads, and punctuality (考核).

Each page reads one order of the own department's desk, a page at a time; nothing is folded for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.calendar import local_date
from hub.domain.desk import Colour, NoticeState
from hub.errors import IndexUnavailableError
from hub.ops.ledger.desk_queries import SPANS, DeskClock, DeskLead, DeskNotice, DeskPage
from hub.web.site.caller import Caller
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import NavEntry, PageSet, Panel
from hub.web.site.paging import Page
from hub.web.site.portal.desk import Desk, filtered, time_left

Reader = Annotated[Caller, Depends(allowed("portal.read"))]
T = TypeVar("T")
CLOCKS, NOTICES, LEADS, SCORES = "/desk/deadlines", "/desk/notices", "/desk/leads", "/desk/scoreboard"
#: What the first page shows of each, and out of how many deadlines it counts the urgent ones.
_FIRST, _COUNTED = 8, 200


def desk_pages(desk: Desk, now: Callable[[], date]) -> PageSet:
    """The routes of this module. ``now`` is today in Gannan."""
    pages = _DeskPages(desk, now)
    router = APIRouter(include_in_schema=False)
    for path, page in ((CLOCKS, pages.clocks), (NOTICES, pages.notices), (LEADS, pages.leads), (SCORES, pages.scores)):
        router.add_api_route(path, page, methods=["GET"])
    nav = tuple(
        NavEntry(path, key, "portal.read", order) for path, key, order in (
            (CLOCKS, "nav.deadlines", 10), (NOTICES, "nav.notices", 20), (LEADS, "nav.leads", 30),
            (SCORES, "nav.scoreboard", 40),
        )
    )
    return PageSet(router, nav, (Panel("portal", "panel-desk.html", "portal.read", 100, pages.panel),))


class _DeskPages:
    def __init__(self, desk: Desk, today: Callable[[], date]) -> None:
        self._desk, self._today = desk, today

    def panel(self, caller: Caller) -> Mapping[str, Any]:
        own, today = caller.account.department, self._today()
        try:
            clocks = self._desk.clocks(own, today, None, _COUNTED)
            waiting = self._desk.notices(own, True, None, _FIRST)
            leads = self._desk.leads(own, None, 1)
            is_filled = self._desk.is_filled()
        except IndexUnavailableError:
            # The rest of the first page needs no index.
            return {"is_here": False}
        colours = [each.colour for each in clocks.entries]
        return {
            "is_here": True, "is_filled": is_filled, "rows": self._rows(clocks.entries[:_FIRST], today),
            "waiting": waiting.entries, "counts": {"clocks": clocks.total, "notices": waiting.total,
                                                   "leads": leads.total},
            "red": colours.count(Colour.RED), "amber": colours.count(Colour.AMBER),
            "has_more": clocks.cursor is not None,
        }

    def clocks(
        self, request: Request, caller: Reader, colour: str = "", rule: str = "", after: str = ""
    ) -> Response:
        own, today = caller.account.department, self._today()

        def keeps(each: DeskClock) -> bool:
            return colour in ("", each.colour) and rule in ("", each.rule)

        totals: list[int] = []

        def fetch(cursor: str | None, limit: int) -> DeskPage:
            page = self._desk.clocks(own, today, cursor, limit)
            totals.append(page.total)
            return page

        entries, cursor = filtered(fetch, keeps, after or None)
        return self._page(
            request, caller, "desk-deadlines.html",
            page=_page(self._rows(entries, today), cursor, CLOCKS, after, colour=colour, rule=rule),
            total=totals[0], colour=colour, rule=rule, colours=list(Colour),
            rules=sorted({(each.rule, each.title) for each in entries}),
        )

    def notices(self, request: Request, caller: Reader, show: str = "waiting", after: str = "") -> Response:
        own, is_waiting = caller.account.department, show != "all"
        page = self._desk.notices(own, is_waiting, after or None, 25)
        found: Sequence[DeskNotice] = page.entries
        show = "waiting" if is_waiting else "all"
        return self._page(
            request, caller, "desk-notices.html", page=_page(found, page.cursor, NOTICES, after, show=show),
            total=page.total, show=show, states=NoticeState,
        )

    def leads(self, request: Request, caller: Reader, kind: str = "", after: str = "") -> Response:
        own = caller.account.department
        totals: list[int] = []

        def fetch(cursor: str | None, limit: int) -> DeskPage:
            page = self._desk.leads(own, cursor, limit)
            totals.append(page.total)
            return page

        def keeps(each: DeskLead) -> bool:
            return kind in ("", each.kind)

        entries, cursor = filtered(fetch, keeps, after or None)
        return self._page(
            request, caller, "desk-leads.html", page=_page(entries, cursor, LEADS, after, kind=kind), total=totals[0],
            kind=kind, kinds=("complaint", "report", "risk-warning"), title_of=self._desk.title_of_code,
        )

    def scores(self, request: Request, caller: Reader, days: int = SPANS[0]) -> Response:
        shown = days if days in SPANS else SPANS[0]
        rows = self._desk.scoreboard(caller.account.department, self._today())[shown]
        return self._page(request, caller, "desk-scoreboard.html", rows=rows, days=shown, spans=SPANS)

    def _rows(self, clocks: Sequence[DeskClock], today: date) -> list[dict[str, Any]]:
        return [
            {"clock": each, "left": time_left(each, today, self._desk.calendar_of(each.rule))} for each in clocks
        ]

    def _page(self, request: Request, caller: Caller, template: str, **context: Any) -> Response:
        return site_of(request).renderer.page(
            request, template, caller, is_filled=self._desk.is_filled(), today=self._today(), **context
        )


def _page(items: Sequence[T], cursor: str | None, path: str, after: str, **filters: str) -> Page[T]:
    asked = {name: value for name, value in filters.items() if value}
    following = None if cursor is None else f"{path}?{urlencode({**asked, 'after': cursor})}"
    return Page(items, following, not after)


def gannan_today(now: Callable[[], Any]) -> Callable[[], date]:
    """Today in Gannan, by a clock of aware moments."""
    return lambda: local_date(now())
