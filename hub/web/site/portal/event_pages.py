"""``/desk/events/{id}``: the way of an event that the department handed in; correcting it, or taking it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.access.refusal import RefusalError
from hub.intake.forms import FormDesk
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.messages import has
from hub.web.site.pages import PageSet
from hub.web.site.personal import state_purpose
from hub.web.site.portal.entry_pages import FormDesks, form_page
from hub.web.site.portal.own_events import Events, OwnEvent

PATH = "/desk/events/{event_id}"
Reader = Annotated[Caller, Depends(allowed("portal.read"))]
Looker = Annotated[Caller, Depends(allowed("personal.read"))]
Sent = Annotated[Form, Depends(posted)]


def event_pages(events: Events, desks: FormDesks) -> PageSet:
    """The routes of this module. ``desks`` are those of entry by hand."""
    pages = _EventPages(events, desks)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(f"{PATH}/correct", pages.correct, methods=["POST"])
    return PageSet(router)


class _EventPages:
    def __init__(self, events: Events, desks: FormDesks) -> None:
        self._events, self._desks = events, desks

    def show(self, request: Request, caller: Reader, event_id: str) -> Response:
        return self._page(request, caller, event_id)

    def correct(self, request: Request, caller: Looker, event_id: str, form: Sent) -> Response:
        """The form with what the record holds: it is shown for a purpose, which is on record first."""
        if caller.scope != "own" or not caller.may("records.enter"):
            raise not_here()
        found = self._events.view(caller.account.department, event_id)
        desk = self._desk(caller, found) if found is not None else None
        wanted = form.text("type", 100)
        if found is None or desk is None or wanted not in _ways(desk, found):
            raise not_here()
        entry = desk.form(wanted)
        try:
            state_purpose(
                site_of(request).acts, caller, found.event_id, [field.name for field in entry.fields],
                form.text("purpose"),
            )
        except RefusalError as refusal:
            return self._page(request, caller, event_id, refusal)
        filled = self._events.filled(found, entry)
        if filled is None:
            return self._page(request, caller, event_id, is_gone=True)
        return form_page(request, caller, found.source, entry, filled)

    def _page(
        self, request: Request, caller: Caller, event_id: str, refusal: RefusalError | None = None, *,
        is_gone: bool = False,
    ) -> Response:
        renderer = site_of(request).renderer
        found = self._events.view(caller.account.department, event_id)
        if found is None:
            # What is another's and what the ledger has not read yet are told alike.
            return renderer.page(request, "desk-event-none.html", caller, status=404)
        desk = self._desk(caller, found)
        return renderer.page(
            request, "desk-event.html", caller, status=422 if refusal or is_gone else 200, found=found,
            ways=_ways(desk, found) if desk is not None else [], refusal=refusal, is_gone=is_gone,
            known=has,
        )

    def _desk(self, caller: Caller, found: OwnEvent) -> FormDesk | None:
        department, desk = self._desks.get(found.source, (None, None))
        may = department == caller.account.department and caller.may("records.enter") and caller.may("personal.read")
        return desk if may else None


def _ways(desk: FormDesk, found: OwnEvent) -> list[str]:
    """Event types by which the record can be corrected or taken back."""
    stem = found.type.rpartition(".")[0]
    ways = [f"{stem}.amended", f"{stem}.withdrawn", f"{stem}.removed"]
    return [each for each in ways if each in desk.types and (each != found.type or each.endswith(".amended"))]
