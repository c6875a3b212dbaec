"""The map as it is in force in this process, and every version that was in use: what it changed, by whom and why."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hub.ops.map_log import MapVersion, changes_of
from hub.web.site.caller import not_here
from hub.web.site.console.answers import Fresh, Reader
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

PATH = "/console/map"
VERSIONS = f"{PATH}/versions"


def map_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module. The map itself changes with the process alone: it is read from memory."""
    router, fresh = APIRouter(include_in_schema=False), Fresh()
    found, clocks, topics = desks.hub_map, desks.hub_map.clocks, desks.hub_map.topics

    def versions() -> list[MapVersion]:
        return fresh.get("versions", desks.maps.read)

    def shown(request: Request, caller: Reader) -> Response:
        return site_of(request).renderer.page(
            request, "console-map.html", caller, found=found, clocks=clocks, topics=topics
        )

    def history(request: Request, caller: Reader, after: str = "") -> Response:
        known = versions()
        page = page_of(known[::-1], lambda each: str(each.number), VERSIONS, after)
        changes = {each.number: changes_of(known, each.number) for each in page.items}
        return site_of(request).renderer.page(
            request, "console-map-versions.html", caller, page=page, changes=changes, current=found.version
        )

    def version(request: Request, caller: Reader, number: int) -> Response:
        known = versions()
        chosen = next((each for each in known if each.number == number), None)
        if chosen is None:
            raise not_here()
        return site_of(request).renderer.page(
            request, "console-map-version.html", caller, chosen=chosen, changes=changes_of(known, number),
            current=found.version,
        )

    router.add_api_route(PATH, shown, methods=["GET"])
    router.add_api_route(VERSIONS, history, methods=["GET"])
    router.add_api_route(f"{VERSIONS}/{{number}}", version, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.map", "console.read", 170),))
