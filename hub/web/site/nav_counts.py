"""The counts beside the navigation, all by one stream: a browser has six connections for us over all its tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.errors import HubError
from hub.web.site.caller import Caller
from hub.web.site.guard import allowed, site_of
from hub.web.site.live import Live, Pace, live_together
from hub.web.site.pages import PageSet

PATH = "/live/nav"
#: They stand beside every page that is open, and nobody needs them to the second.
PACE = Pace(look=5.0)


def nav_counts() -> PageSet:
    """The route of this module."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, _live, methods=["GET"])
    return PageSet(router)


def _live(request: Request, caller: Annotated[Caller, Depends(allowed("profile.use"))]) -> Response:
    counts = {
        entry.path: partial(entry.waiting, request, caller.for_action(entry.action))
        for entry in site_of(request).renderer.registry.nav(caller) if entry.waiting is not None
    }
    return live_together(request, caller, partial(_looks, counts), PACE)


def _looks(counts: Mapping[str, Callable[[], int]]) -> Iterator[Live]:
    """Of each entry an event by its path. A count that cannot be had now stays what it was, and holds up no other."""
    for path, count in counts.items():
        try:
            found = count()
        except HubError:
            continue
        yield Live(str(found), str(found or ""), path)
