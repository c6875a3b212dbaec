"""``/oversight…`` and ``/trace``: what lies on each department's desk and how punctual it is, and the way of an event.

For whoever audits: all of it, nothing to do, and nothing of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.clocks import ClockRule
from hub.ops.ledger.desk_queries import SPANS, DeskPage
from hub.ops.ledger.queries import history, trace
from hub.ops.ledger.view import Ledger
from hub.ops.trace import Step
from hub.web.site.caller import Caller, not_here
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import Page
from hub.web.site.portal.desk import PAGE_SIZE, Desk, time_left
from hub.web.site.portal.notice import Passage, passage_of

PATH = "/oversight"
DEPARTMENT, TRACE = f"{PATH}/departments/{{name}}", "/trace"
LISTS = ("deadlines", "notices", "leads", "scores")
#: Steps of an enterprise that are shown at most, the newest of them.
MOST_STEPS = 500
Reader = Annotated[Caller, Depends(allowed("departments.read"))]


class Ways(Protocol):
    def steps(self, asked: str) -> Sequence[Step]:
        """Of an event, a notice or a fact by its id, or all of an enterprise by its code; none where nobody knows it.

        Raises IndexUnavailableError, BrokerError.
        """

    @property
    def rules(self) -> Mapping[str, ClockRule]: ...


class LedgerWays:
    """Ways out of the ledger's index."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def steps(self, asked: str) -> Sequence[Step]:
        return trace(self._ledger, asked).steps or history(self._ledger, asked).steps

    @property
    def rules(self) -> Mapping[str, ClockRule]:
        return self._ledger.map.clocks


def oversight_pages(
    desk: Desk, ways: Ways, departments: Sequence[str], today: Callable[[], date]
) -> PageSet:
    """The routes of this module. ``departments`` are those of the map."""
    pages = _OversightPages(desk, ways, departments, today)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.all, methods=["GET"])
    router.add_api_route(TRACE, pages.way, methods=["GET"])
    router.add_api_route(DEPARTMENT, pages.one, methods=["GET"])
    return PageSet(router, (
        NavEntry(PATH, "nav.oversight", "departments.read", 780), NavEntry(TRACE, "nav.trace", "departments.read", 790),
    ))


class _OversightPages:
    def __init__(self, desk: Desk, ways: Ways, departments: Sequence[str], today: Callable[[], date]) -> None:
        self._desk, self._ways, self._departments, self._today = desk, ways, departments, today

    def all(self, request: Request, caller: Reader) -> Response:
        rows = [(name, self._desk.totals(name)) for name in self._departments]
        return self._page(request, caller, "oversight.html", rows=rows)

    def one(
        self, request: Request, caller: Reader, name: str, show: str = LISTS[0], after: str = "", days: int = SPANS[0]
    ) -> Response:
        if name not in self._departments:
            raise not_here()
        shown, today = show if show in LISTS else LISTS[0], self._today()
        context: dict[str, Any] = {"name": name, "show": shown, "lists": LISTS}
        if shown == "scores":
            span = days if days in SPANS else SPANS[0]
            rows = self._desk.scoreboard(name, today)[span]
            return self._page(request, caller, "oversight-department.html", **context, scores=rows, days=span,
                              spans=SPANS)
        found = self._list(shown, name, after or None)
        items: Sequence[Any] = found.entries
        if shown == "deadlines":
            items = [
                {"clock": each, "left": time_left(each, today, self._desk.calendar_of(each.rule))} for each in items
            ]
        path = DEPARTMENT.format(name=name)
        following = None if found.cursor is None else f"{path}?{urlencode({'show': shown, 'after': found.cursor})}"
        return self._page(
            request, caller, "oversight-department.html", **context, page=Page(items, following, not after),
            total=found.total, title_of=self._desk.title_of_code,
        )

    def way(self, request: Request, caller: Reader, id: str = "") -> Response:
        asked = id.strip()[:200]
        steps = self._ways.steps(asked) if asked else ()
        passages: list[tuple[Step, Passage]] = [(each, passage_of(each, self._ways.rules)) for each in steps]
        return self._page(
            request, caller, "oversight-trace.html", asked=asked, passages=passages[-MOST_STEPS:],
            left_out=max(len(passages) - MOST_STEPS, 0),
        )

    def _list(self, show: str, name: str, after: str | None) -> DeskPage:
        if show == "notices":
            return self._desk.notices(name, False, after, PAGE_SIZE)
        if show == "leads":
            return self._desk.leads(name, after, PAGE_SIZE)
        return self._desk.clocks(name, self._today(), after, PAGE_SIZE)

    def _page(self, request: Request, caller: Caller, template: str, **context: Any) -> Response:
        return site_of(request).renderer.page(
            request, template, caller, is_filled=self._desk.is_filled(), today=self._today(), **context
        )
