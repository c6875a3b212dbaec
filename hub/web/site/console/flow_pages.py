"""The live flow of the hub, and the deadlines that a backlog endangers; both out of the latest snapshot alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from hub.domain.desk import is_person
from hub.web.site.caller import Caller
from hub.web.site.console.answers import Reader
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.console.flow import picture, worst_first
from hub.web.site.guard import site_of
from hub.web.site.live import Live, live
from hub.web.site.pages import NavEntry, PageSet

FLOW, RISKS = "/console/flow", "/console/risks"


def flow_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)

    def flow(request: Request, caller: Reader) -> Response:
        return site_of(request).renderer.page(request, "console-flow.html", caller, **_flow(desks))

    def flow_live(request: Request, caller: Reader) -> Response:
        return live(request, caller, _Look(request, caller, desks))

    def risks(request: Request, caller: Reader) -> Response:
        found = desks.snapshot()
        verdicts = {group.group: group.verdict for group in found.groups} if found else {}
        return site_of(request).renderer.page(
            request, "console-risks.html", caller, found=found, verdicts=verdicts, clocks=desks.clocks,
            is_person=is_person, unseen=[group for group in found.groups if group.unseen] if found else [],
        )

    def at_risk(request: Request, caller: Caller) -> int:
        found = desks.snapshot()
        return found.deadlines_at_risk if found else 0

    router.add_api_route(FLOW, flow, methods=["GET"])
    router.add_api_route("/live/console/flow", flow_live, methods=["GET"])
    router.add_api_route(RISKS, risks, methods=["GET"])
    return PageSet(router, (
        NavEntry(FLOW, "nav.flow", "console.read", 100),
        NavEntry(RISKS, "nav.risks", "console.read", 110, at_risk),
    ))


def _flow(desks: ConsoleDesks) -> Mapping[str, Any]:
    found = desks.snapshot()
    if found is None:
        return {"found": None}
    return {"found": found, "picture": picture(found), "groups": worst_first(found.groups)}


class _Look:
    """What a browser is told: the whole part anew, drawn once for each snapshot."""

    def __init__(self, request: Request, caller: Caller, desks: ConsoleDesks) -> None:
        self._request, self._caller, self._desks = request, caller, desks
        self._last = Live("", "")

    def __call__(self) -> Live:
        found = _flow(self._desks)
        id_ = found["found"].at.isoformat() if found["found"] else "none"
        if id_ != self._last.id:
            page = site_of(self._request).renderer.page(self._request, "console-flow-part.html", self._caller, **found)
            self._last = Live(id_, bytes(page.body).decode())
        return self._last
