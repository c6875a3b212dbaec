"""What people did with the hub, as it stands on record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.acts import is_same_person, status_of
from hub.web.site.caller import Caller
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

PATH = "/audit"


def audit_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, _list, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.audit", "audit.read", 800),))


def _list(
    request: Request, caller: Annotated[Caller, Depends(allowed("audit.read"))], who: str = "", kind: str = "",
    after: str = "",
) -> Response:
    parts, person, beginning = site_of(request), who.strip(), kind.strip()
    found = [
        each for each in reversed(parts.acts.read())
        if (caller.scope == "all" or each.asked.department == caller.account.department)
        and (not person or any(is_same_person(person, step.actor) for step in each.steps))
        and each.asked.kind.startswith(beginning)
    ]
    page = page_of(found, lambda each: each.asked.request_id, PATH, after, who=who, kind=kind)
    now = parts.now()
    return parts.renderer.page(
        request, "audit.html", caller, page=page, who=who, kind=kind, count=len(found),
        statuses={each.asked.request_id: status_of(each, now) for each in page.items},
    )
