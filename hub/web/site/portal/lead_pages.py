"""``/desk/leads/{id}``: one lead, claimed (认领) and closed (办结) by its department, and what that does to clocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.problem import Fault, ProblemError, fault
from hub.intake.forms import Filled
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.live import Live, live
from hub.web.site.messages import language_of, say
from hub.web.site.pages import PageSet
from hub.web.site.portal.desk import Desk
from hub.web.site.portal.entry_pages import FormDesks, hand_in
from hub.web.site.portal.leads import CLAIM, CLOSE, Leads, LeadView, is_due, stands
from hub.web.site.render import LANGUAGE_COOKIE

PATH = "/desk/leads/{correlation_id}"
Reader = Annotated[Caller, Depends(allowed("portal.read"))]
Handler = Annotated[Caller, Depends(allowed("records.enter"))]
Sent = Annotated[Form, Depends(posted)]


def lead_pages(leads: Leads, desk: Desk, desks: FormDesks, today: Callable[[], date]) -> PageSet:
    """The routes of this module. ``desks`` are those of entry by hand."""
    pages = _LeadPages(leads, desk, desks, today)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(f"{PATH}/claim", pages.claim, methods=["POST"])
    router.add_api_route(f"{PATH}/close", pages.close, methods=["POST"])
    router.add_api_route("/live/leads/{correlation_id}", pages.live, methods=["GET"])
    return PageSet(router)


class _LeadPages:
    def __init__(self, leads: Leads, desk: Desk, desks: FormDesks, today: Callable[[], date]) -> None:
        self._leads, self._desk, self._desks, self._today = leads, desk, desks, today

    def show(self, request: Request, caller: Reader, correlation_id: str) -> Response:
        return self._page(request, caller, self._view(caller, correlation_id))

    def claim(self, request: Request, caller: Handler, correlation_id: str, form: Sent) -> Response:
        said = {"status": "accepted", "accepted_date": form.text("on", 10)}
        return self._handed(request, caller, correlation_id, form, CLAIM, said, "lead-claimed")

    def close(self, request: Request, caller: Handler, correlation_id: str, form: Sent) -> Response:
        said = {
            "status": "resolved", "resolved_date": form.text("on", 10), "resolution": form.text("resolution", 2000),
        }
        return self._handed(request, caller, correlation_id, form, CLOSE, said, "lead-closed")

    def live(self, request: Request, caller: Reader, correlation_id: str) -> Response:
        self._view(caller, correlation_id)
        words = partial(say, language_of(request.cookies.get(LANGUAGE_COOKIE)))

        def look() -> Live:
            found = self._leads.view(caller.account.department, correlation_id)
            if found is None:
                return Live("gone", "")
            told = [self._desk.title_of_code("lead-status", found.lead.status), *(
                words("notice.clock-is", clock=self._title(each.rule), status=words(f"clock.{each.status}"))
                for each in found.clocks
            )]
            return Live("|".join(told), " · ".join(told))

        return live(request, caller, look)

    def _handed(
        self, request: Request, caller: Caller, correlation_id: str, form: Form, type_: str, said: Mapping[str, str],
        word: str,
    ) -> Response:
        """The record of the lead with what the click adds: its next version, or what goes back to the platform."""
        view = self._view(caller, correlation_id)
        if view.source is None or view.source not in self._desks:
            raise not_here()
        if not is_due(view, type_):
            if stands(view, said):  # a second click, or another tab that says the same
                return go_on(request, PATH.format(correlation_id=correlation_id), word)
            title = "线索状态已变化，本次操作没有提交；请按本页最新情况办理"
            return self._page(request, caller, view, 409, title=title)
        desk = self._desks[view.source][1]
        entry = desk.form(type_)
        filled = self._leads.filled(view, entry)
        if filled is None:
            raise not_here()
        filled = Filled(filled.number, {**filled.fields, **said})
        faults = self._faults(said)
        try:
            if faults:
                raise ProblemError(422, "invalid", "内容未通过校验", "the form has faults", faults)
            desk.check(type_, filled)
            answer = hand_in(request, caller, view.source, desk, entry, filled, f"lead-{correlation_id}")
        except ProblemError as problem:
            if problem.status >= 500:
                raise
            return self._page(request, caller, view, problem.status, errors=problem.errors, title=problem.title,
                              given=said, wanted=type_)
        told = json.loads(answer.body)
        if answer.status >= 400:
            return self._page(request, caller, view, answer.status, errors=told.get("errors", ()),
                              title=told["title"], given=said, wanted=type_)
        return go_on(request, PATH.format(correlation_id=correlation_id), word)

    def _faults(self, said: Mapping[str, str]) -> list[Fault]:
        faults: list[Fault] = []
        for name in ("accepted_date", "resolved_date"):
            # ISO dates compare as texts; what is no date the schema's check tells of.
            if name in said and not said[name]:
                faults.append(fault(("fields", name), "日期为必填项，但没有内容；应填写实际办理日期"))
            elif name in said and said[name][:1].isdecimal() and said[name] > self._today().isoformat():
                faults.append(fault(("fields", name), "日期晚于今日；应填写实际办理日期"))
        if "resolution" in said and not said["resolution"]:
            faults.append(fault(("fields", "resolution"), "办理结果为必填项，但没有内容；请写明核查处理情况"))
        return faults

    def _view(self, caller: Caller, correlation_id: str) -> LeadView:
        found = self._leads.view(caller.account.department, correlation_id)
        if found is None:
            raise not_here()
        return found

    def _page(
        self, request: Request, caller: Caller, view: LeadView, status: int = 200, *, errors: Any = (),
        title: str = "", given: Mapping[str, str] | None = None, wanted: str = "",
    ) -> Response:
        may = view.source is not None and caller.may("records.enter")
        return site_of(request).renderer.page(
            request, "desk-lead.html", caller, status=status, view=view, title_of=self._desk.title_of_code,
            rule_title=self._title, today=self._today(), errors=errors, problem=title, given=given or {},
            may_claim=may and is_due(view, CLAIM), may_close=may and is_due(view, CLOSE),
            wanted=wanted,
        )

    def _title(self, rule: str) -> str:
        return self._desk.title_of_rule(rule)
