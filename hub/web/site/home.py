"""The first pages: ``/`` for departments, ``/console`` for operators and auditors. Parts of the site fill them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from hub.domain.rights import RIGHTS
from hub.web.site.caller import Caller
from hub.web.site.guard import allowed, site_of
from hub.web.site.pages import Home, NavEntry, PageSet, Panel


def home_pages() -> PageSet:
    """The routes of this module, and the panel that says who one is and what one may do."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", _portal, methods=["GET"])
    router.add_api_route("/console", _console, methods=["GET"])
    nav = (NavEntry("/", "nav.portal", "portal.read", 0), NavEntry("/console", "nav.console", "console.read", 0))
    homes: tuple[tuple[Home, str], ...] = (("portal", "portal.read"), ("console", "console.read"))
    panels = (Panel(home, "panel-account.html", action, 900, _account) for home, action in homes)
    return PageSet(router, nav, tuple(panels))


def _portal(request: Request, caller: Annotated[Caller, Depends(allowed("profile.use"))]) -> Response:
    if not caller.may("portal.read"):
        return RedirectResponse("/console", 303)
    return _page(request, caller, "portal")


def _console(request: Request, caller: Annotated[Caller, Depends(allowed("console.read"))]) -> Response:
    return _page(request, caller, "console")


def _page(request: Request, caller: Caller, home: Home) -> Response:
    renderer = site_of(request).renderer
    panels = [(panel.template, panel.load(caller)) for panel in renderer.registry.panels(home, caller)]
    return renderer.page(request, "home.html", caller, home=home, panels=panels)


def _account(caller: Caller) -> dict[str, object]:
    return {"rights": [(action, scope) for action in RIGHTS if (scope := caller.scope_in(action)) != "none"]}
