"""Sources: whether they speak, what is the matter with them, and portions that wait for a person."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from hub.domain.characters import mask_personal
from hub.errors import ContractError, InputError, UsageError
from hub.intake.held import Verdict
from hub.web.site.answers import go_on
from hub.web.site.caller import not_here
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

PATH = "/console/sources"
MANIFESTS = f"{PATH}/manifests"
_VERDICTS: Mapping[str, Verdict] = {"release": "released", "discard": "discarded"}
#: The worst first.
_ORDER = ("silent", "never", "unwatched", "ok")


def source_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module."""
    router, fresh, desk = APIRouter(include_in_schema=False), Fresh(), desks.sources

    def listed(request: Request, caller: Reader) -> Response:
        try:
            (found, alerts), held, fault = fresh.get("status", desk.status), fresh.get("held", desk.held), ""
        except ContractError as error:  # the file of sources is faulty: it says where
            found, alerts, held, fault = (), (), (), mask_personal(str(error))
        found = sorted(found, key=lambda each: (_ORDER.index(each.verdict), each.source))
        return site_of(request).renderer.page(
            request, "console-sources.html", caller, found=found, alerts=alerts, held=held, fault=fault,
        )

    def manifests(request: Request, caller: Reader, after: str = "") -> Response:
        try:
            found, fault = fresh.get("manifests", desk.manifests), ""
        except ContractError as error:
            found, fault = (), mask_personal(str(error))
        ordered = sorted(found, key=lambda each: (each.day, each.source), reverse=True)
        page = page_of(ordered, lambda each: f"{each.day}:{each.source}", MANIFESTS, after)
        return site_of(request).renderer.page(request, "console-manifests.html", caller, page=page, fault=fault)

    def decide(
        request: Request, caller: Changer, source: str, id_: str, what: str, form: Posted
    ) -> Response:
        if what not in _VERDICTS or (source, id_) not in {(name, each.id) for name, each in desk.held()}:
            raise not_here()
        try:
            desk.decide(source, id_, _VERDICTS[what], caller.actor, form.text("reason"))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        finally:
            fresh.forget()
        return go_on(request, PATH, f"held-{what}")

    router.add_api_route(PATH, listed, methods=["GET"])
    router.add_api_route(MANIFESTS, manifests, methods=["GET"])
    router.add_api_route(f"{PATH}/{{source}}/held/{{id_}}/{{what}}", decide, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.sources", "console.read", 160),))
