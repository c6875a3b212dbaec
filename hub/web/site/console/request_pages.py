"""Requests that wait for a second person: approving, refusing, and carrying out what was approved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from hub.domain.acts import Actor, is_same_person, status_of
from hub.domain.acts import Request as ActRequest
from hub.errors import InputError, UsageError
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.carrying import Carrier
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.live import Live, live
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

PATH = "/console/requests"


def request_pages(desks: ConsoleDesks, fresh: Fresh) -> PageSet:
    """The routes of this module."""
    router, desk, carrier = APIRouter(include_in_schema=False), desks.requests, Carrier(fresh.forget)

    def seconded() -> list[ActRequest]:
        return fresh.get("requests", lambda: [each for each in desk.read() if each.asked.needs_second][::-1])

    def find(request_id: str) -> ActRequest:
        for each in seconded():
            if each.asked.request_id == request_id:
                return each
        raise not_here()

    def listed(request: Request, caller: Reader, after: str = "") -> Response:
        parts, now = site_of(request), site_of(request).now()
        found = sorted(seconded(), key=lambda each: not each.waits(now))
        page = page_of(found, lambda each: each.asked.request_id, PATH, after)
        return parts.renderer.page(
            request, "console-requests.html", caller, page=page, waiting=sum(each.waits(now) for each in found),
            statuses={each.asked.request_id: status_of(each, now) for each in page.items},
        )

    def one(request: Request, caller: Reader, request_id: str) -> Response:
        return site_of(request).renderer.page(
            request, "console-request.html", caller, **_shown(request, caller, find(request_id))
        )

    def _shown(request: Request, caller: Caller, found: ActRequest) -> dict[str, Any]:
        status, asked = status_of(found, site_of(request).now()), found.asked
        may = caller.may("console.change")
        is_running = carrier.is_running(asked.request_id)
        return {
            "found": found, "word": status, "is_running": is_running,
            "is_own": is_same_person(asked.actor, caller.account.name),
            "may_decide": may and status == "asked",
            "may_carry": may and not is_running and asked.kind in desks.carries and (
                status == "approved" or (status == "failed" and found.approved_by is not None)
            ),
        }

    def _decided(
        request: Request, caller: Caller, request_id: str, decide: Callable[[str, Actor, str], ActRequest],
        reason: str, word: str,
    ) -> Response:
        path = f"{PATH}/{find(request_id).asked.request_id}"
        try:
            decide(request_id, caller.actor, reason)
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, path)
        finally:
            fresh.forget()
        return go_on(request, path, word)

    def approve(request: Request, caller: Changer, request_id: str, form: Posted) -> Response:
        return _decided(request, caller, request_id, desk.approve, form.text("reason"), "request-approved")

    def refuse(request: Request, caller: Changer, request_id: str, form: Posted) -> Response:
        return _decided(request, caller, request_id, desk.refuse, form.text("reason"), "request-refused")

    def carry(request: Request, caller: Changer, request_id: str, form: Posted) -> Response:
        fresh.forget()
        found = find(request_id)
        if not _shown(request, caller, found)["may_carry"]:
            error = InputError(f"{request_id} may not be carried out: it is {status_of(found, site_of(request).now())}")
            return desk_refused(request, caller, error, f"{PATH}/{request_id}")
        carrier.start(found, caller.actor, desks.carries[found.asked.kind])
        return go_on(request, f"{PATH}/{request_id}", "request-begun")

    def one_live(request: Request, caller: Reader, request_id: str) -> Response:
        find(request_id)

        def look() -> Live:
            shown = _shown(request, caller, find(request_id))
            page = site_of(request).renderer.page(request, "console-request-state.html", caller, **shown)
            return Live(f"{shown['word']}-{shown['is_running']}", bytes(page.body).decode())

        return live(request, caller, look)

    def waiting(request: Request, caller: Caller) -> int:
        now = site_of(request).now()
        return sum(each.waits(now) for each in seconded())

    router.add_api_route(PATH, listed, methods=["GET"])
    router.add_api_route(f"{PATH}/{{request_id}}", one, methods=["GET"])
    router.add_api_route(f"{PATH}/{{request_id}}/approve", approve, methods=["POST"])
    router.add_api_route(f"{PATH}/{{request_id}}/refuse", refuse, methods=["POST"])
    router.add_api_route(f"{PATH}/{{request_id}}/carry-out", carry, methods=["POST"])
    router.add_api_route("/live/console/requests/{request_id}", one_live, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.requests", "console.read", 140, waiting),))
