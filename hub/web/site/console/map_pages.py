"""The map as it is in force in this process: where events go, to whom, under which deadlines, on which ground."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hub.web.site.console.answers import Reader
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet

PATH = "/console/map"


def map_pages(desks: ConsoleDesks) -> PageSet:
    """The route of this module. What is shown changes with the process alone: it is read from memory."""
    router = APIRouter(include_in_schema=False)
    found, clocks, topics = desks.hub_map, desks.hub_map.clocks, desks.hub_map.topics

    def shown(request: Request, caller: Reader) -> Response:
        return site_of(request).renderer.page(
            request, "console-map.html", caller, found=found, clocks=clocks, topics=topics
        )

    router.add_api_route(PATH, shown, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.map", "console.read", 170),))
