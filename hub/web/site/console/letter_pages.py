"""Dead letters: by class, a look into one with its purpose on record, and putting them back where they came from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.access.refusal import RefusalError
from hub.errors import InputError, UsageError
from hub.ops.dead_letters import Preview, Wanted
from hub.ops.letters import Letter, groups_of
from hub.web.site.answers import go_on, seen_otherwise
from hub.web.site.caller import Caller
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of
from hub.web.site.personal import LEAST_PURPOSE

PATH = "/console/letters"
Looker = Annotated[Caller, Depends(allowed("letters.look"))]


def letter_pages(desks: ConsoleDesks, fresh: Fresh) -> PageSet:
    """The routes of this module; ``fresh`` also holds the requests, which redriving makes."""
    router, desk = APIRouter(include_in_schema=False), desks.letters

    def all_letters() -> list[Letter]:
        return fresh.get("letters", desk.letters)

    def by_class(request: Request, caller: Reader) -> Response:
        found = all_letters()
        return site_of(request).renderer.page(
            request, "console-letters.html", caller, groups=groups_of(found),
            open_count=sum(each.status != "redriven" for each in found),
        )

    def of_class(request: Request, caller: Reader, name: str, after: str = "") -> Response:
        found = [each for each in all_letters() if each.class_name == name]
        caller.must_see(caller.account.department if found else None)
        path = f"{PATH}/class/{name}"
        page = page_of(found, lambda each: str(each.spot), path, after)
        return site_of(request).renderer.page(
            request, "console-letters-class.html", caller, page=page, name=name, base=path, group=groups_of(found)[0],
        )

    def one(request: Request, caller: Reader, place: str = "") -> Response:
        return _one(request, caller, place)

    def look(request: Request, caller: Looker, form: Posted) -> Response:
        place, purpose = form.text("place", 300), " ".join(form.text("purpose").split())
        if len(purpose) < LEAST_PURPOSE:
            return _one(request, caller, place, RefusalError("purpose-missing", least=LEAST_PURPOSE))
        try:
            # The narrowest view: what a person needs to tell a cause. It is on record before anything is shown.
            content = desk.look(place, caller.actor, purpose, "public")
            letter = desk.find(place)[0]
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        return site_of(request).renderer.page(
            request, "console-letter.html", caller, letter=letter, content=content, refusal=None
        )

    def _one(request: Request, caller: Caller, place: str, refusal: RefusalError | None = None) -> Response:
        try:
            letter = desk.find(place)[0]
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        return site_of(request).renderer.page(
            request, "console-letter.html", caller, status=422 if refusal else 200, letter=letter, content=None,
            refusal=refusal,
        )

    def preview(
        request: Request, caller: Reader, name: str = "", place: str = "", every: bool = False
    ) -> Response:
        wanted = _wanted(name, place, every)
        try:
            found = desk.preview(wanted)
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        return _previewed(request, caller, wanted, found)

    def _previewed(
        request: Request, caller: Caller, wanted: Wanted, found: Preview, was: int | None = None
    ) -> Response:
        return site_of(request).renderer.page(
            request, "console-redrive.html", caller, status=200 if was is None else 409, found=found, wanted=wanted,
            was=was,
        )

    def redrive(request: Request, caller: Changer, form: Posted) -> Response:
        wanted = _wanted(form.text("name", 300), form.text("place", 300), form.text("every") == "yes")
        try:
            found = desk.preview(wanted)
            if (seen := seen_otherwise(form, found.count)) is not None:
                return _previewed(request, caller, wanted, found, seen)
            asked = desk.ask(wanted, found, caller.actor, form.text("reason"))
            if not found.needs_second:
                desk.redrive(asked, caller.actor)
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        finally:
            fresh.forget()
        if found.needs_second:
            return go_on(request, f"/console/requests/{asked.asked.request_id}", "request-waits")
        return go_on(request, PATH, "letters-redriven")

    router.add_api_route(PATH, by_class, methods=["GET"])
    router.add_api_route(f"{PATH}/class/{{name}}", of_class, methods=["GET"])
    router.add_api_route(f"{PATH}/one", one, methods=["GET"])
    router.add_api_route(f"{PATH}/one", look, methods=["POST"])
    router.add_api_route(f"{PATH}/redrive", preview, methods=["GET"])
    router.add_api_route(f"{PATH}/redrive", redrive, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.letters", "console.read", 130),))


def _wanted(name: str, place: str, every: bool) -> Wanted:
    return Wanted(place or None, name or None, every)
