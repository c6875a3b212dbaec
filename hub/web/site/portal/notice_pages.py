"""``/desk/notices/{id}``: what a notice says, why its clock is due when it is, how it came; and the answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from hub.access.refusal import RefusalError
from hub.domain.problem import ProblemError
from hub.errors import InputError
from hub.ops.ledger.desk_queries import NoticeView
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.live import Live, live
from hub.web.site.messages import has, language_of, say
from hub.web.site.pages import PageSet
from hub.web.site.personal import state_purpose
from hub.web.site.portal.answering import Answering
from hub.web.site.portal.desk import Desk, time_left
from hub.web.site.portal.notice import Notices
from hub.web.site.render import LANGUAGE_COOKIE

Reader = Annotated[Caller, Depends(allowed("portal.read"))]
Answerer = Annotated[Caller, Depends(allowed("notices.answer"))]
Looker = Annotated[Caller, Depends(allowed("personal.read"))]
Sent = Annotated[Form, Depends(posted)]
PATH = "/desk/notices/{notice_id}"
_FIELDS = ("choice", "acted_on", "effective_from", "effective_until", "case_number", "reason")
_TEMPLATE = "desk-notice.html"


def notice_pages(notices: Notices, desk: Desk, answering: Answering, today: Callable[[], date]) -> PageSet:
    """The routes of this module."""
    pages = _NoticePages(notices, desk, answering, today)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(f"{PATH}/answer", pages.answer, methods=["POST"])
    router.add_api_route(f"{PATH}/look", pages.look, methods=["POST"])
    router.add_api_route("/live/notices/{notice_id}", pages.live, methods=["GET"])
    return PageSet(router)


class _NoticePages:
    def __init__(self, notices: Notices, desk: Desk, answering: Answering, today: Callable[[], date]) -> None:
        self._notices, self._desk, self._answering, self._today = notices, desk, answering, today

    def show(self, request: Request, caller: Reader, notice_id: str) -> Response:
        return self._page(request, caller, self._view(caller, notice_id))

    def answer(self, request: Request, caller: Answerer, notice_id: str, form: Sent) -> Response:
        view = self._view(caller, notice_id)
        try:
            self._answering.answer(view.notice, form, caller.account.name)
        except ProblemError as problem:
            if problem.status != 422:
                raise
            return self._page(request, caller, view, 422, problem=problem, given=form.shown())
        return go_on(request, f"/desk/notices/{notice_id}", "notice-answered")

    def look(self, request: Request, caller: Looker, notice_id: str, form: Sent) -> Response:
        if caller.scope != "own":
            raise not_here()
        view = self._view(caller, notice_id)
        content = self._notices.content(view)
        try:
            state_purpose(
                site_of(request).acts, caller, notice_id, content.withheld if content else (), form.text("purpose")
            )
        except RefusalError as refusal:
            return self._page(request, caller, view, 422, refusal=refusal)
        return self._page(request, caller, view, is_whole=True)

    def live(self, request: Request, caller: Reader, notice_id: str, clocks: str = "") -> Response:
        ids = [each for each in clocks.split(",")[:10] if each]
        words = partial(say, language_of(request.cookies.get(LANGUAGE_COOKIE)))
        standing = partial(self._notices.standing, caller.account.department, notice_id, ids)
        if standing() is None:
            raise not_here()

        def look() -> Live:
            found = standing()
            state, clocks = found if found is not None else ("unanswered", [])
            told = [words(f"notice-state.{state}")] + [
                words("notice.clock-is", clock=self._desk.title_of_rule(rule), status=words(f"clock.{status}"))
                for rule, status in clocks
            ]
            return Live(f"{state}:{','.join(status for _, status in clocks)}", " · ".join(told))

        return live(request, caller, look)

    def _view(self, caller: Caller, notice_id: str) -> NoticeView:
        try:
            found = self._notices.view(caller.account.department, notice_id, self._today())
        except InputError:
            found = None
        if found is None:
            raise not_here()
        return found

    def _page(
        self, request: Request, caller: Caller, view: NoticeView, status: int = 200, *,
        problem: ProblemError | None = None, refusal: RefusalError | None = None,
        given: Mapping[str, Any] | None = None, is_whole: bool = False,
    ) -> Response:
        today = self._today()
        rows = {
            each.clock_id: {"clock": each, "left": time_left(each, today, self._desk.calendar_of(each.rule))}
            for each in view.clocks
        }
        may_answer = caller.may("notices.answer")
        return site_of(request).renderer.page(
            request, _TEMPLATE, caller, status=status, notice=view.notice, rows=rows,
            content=self._notices.content(view), passages=self._notices.passages(caller.account.department, view),
            explained=self._notices.explained(view), choices=self._answering.choices(view.notice) if may_answer else [],
            problem=problem, refusal=refusal, is_whole=is_whole, known=has,
            given={**dict.fromkeys(_FIELDS, ""), **({"acted_on": today} if given is None else given)},
        )
