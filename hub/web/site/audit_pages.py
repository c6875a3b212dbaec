"""What people did with the hub, as it stands on record."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.domain.acts import is_same_person, status_of
from hub.domain.calendar import SHANGHAI
from hub.web.site.caller import Caller
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import PAGE_SIZE, page_of

PATH = "/audit"
STATES = ("asked", "approved", "refused", "done", "failed", "expired")
_DAY = timedelta(days=1)


def audit_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, _list, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.audit", "audit.read", 800),))


def _list(
    request: Request, caller: Annotated[Caller, Depends(allowed("audit.read"))], who: str = "", kind: str = "",
    target: str = "", state: str = "", since: str = "", until: str = "", after: str = "",
) -> Response:
    parts, person, beginning, now = site_of(request), who.strip(), kind.strip(), site_of(request).now()
    first, last = _day(since), _day(until)
    found = [
        each for each in reversed(parts.acts.read())
        if (caller.scope == "all" or each.asked.department == caller.account.department)
        and (not person or any(is_same_person(person, step.actor) for step in each.steps))
        and each.asked.kind.startswith(beginning)
        and each.asked.target.startswith(target.strip())
        and (not state or status_of(each, now) == state)
        and (first is None or each.asked.at >= first)
        and (last is None or each.asked.at < last + _DAY)
    ]
    asked = {"who": who, "kind": kind, "target": target, "state": state, "since": since, "until": until}
    page = page_of(found, lambda each: each.asked.request_id, PATH, after, PAGE_SIZE, **asked)
    return parts.renderer.page(
        request, "audit.html", caller, page=page, asked=asked, states=STATES, count=len(found),
        statuses={each.asked.request_id: status_of(each, now) for each in page.items},
    )


def _day(text: str) -> datetime | None:
    """The beginning of a day here. What is no day is no condition: a browser's field gives days alone."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), SHANGHAI)
    except ValueError:
        return None
