"""Changes of who answers for a department, as reported to the lead agency, which takes note of each."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from hub.access.keys import ApiKey
from hub.access.refusal import RefusalError
from hub.access.reports import Report
from hub.domain.plain import to_plain
from hub.web.problem import problems
from hub.web.site.answers import again, go_on
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import allowed, keyed, posted, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

Reader = Annotated[Caller, Depends(allowed("reports.read"))]
Taker = Annotated[Caller, Depends(allowed("reports.acknowledge"))]
PATH = "/reports"


def reports_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter()
    router.add_api_route(PATH, _list, methods=["GET"], include_in_schema=False)
    router.add_api_route(f"{PATH}/{{report_id}}/acknowledge", _acknowledge, methods=["POST"], include_in_schema=False)
    router.add_api_route(
        "/v1/reports", _as_json, methods=["GET"], tags=["access"], responses=problems(401, 403),
        summary="Changes of the own department's administrators and leaders (key with reports.read)",
    )
    return PageSet(router, (NavEntry(PATH, "nav.reports", "reports.read", 710, _waiting),))


def _list(request: Request, caller: Reader, after: str = "") -> Response:
    return site_of(request).renderer.page(request, "reports.html", caller, **_context(request, caller, after))


def _acknowledge(
    request: Request, caller: Taker, report_id: str, form: Annotated[Form, Depends(posted)]
) -> Response:
    parts = site_of(request)
    found = parts.reports.get(report_id)
    caller.must_see(found.department if found else None)
    try:
        parts.note(parts.desk.acknowledge(report_id, by=caller.person, note=form.text("reason")))
    except RefusalError as refusal:
        return again(request, "reports.html", caller, refusal, _context(request, caller))
    return go_on(request, PATH, "report-acknowledged")


def _waiting(request: Request, caller: Caller) -> int:
    return sum(report.is_open for report in _seen(request, caller))


def _as_json(request: Request, key: Annotated[ApiKey, Depends(keyed("reports.read"))]) -> dict[str, Any]:
    names = ("report_id", "account", "changes", "made_at", "acknowledged_by")
    return {
        "reports": [
            to_plain({name: getattr(each, name) for name in names})
            for each in site_of(request).reports.all() if each.department == key.department
        ]
    }


def _seen(request: Request, caller: Caller) -> list[Report]:
    return [report for report in site_of(request).reports.all() if caller.sees(report.department)]


def _context(request: Request, caller: Caller, after: str = "") -> dict[str, Any]:
    reports = _seen(request, caller)
    page = page_of(reports, lambda each: each.report_id, PATH, after)
    return {"page": page, "open_count": sum(report.is_open for report in reports), "refusal": None}
