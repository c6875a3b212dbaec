"""What parts of the site tell the shell of themselves, so that they are added without touching each other.

A part is a PageSet: its routes, what of it stands in the navigation, and its panels on the first pages. The wiring
lists the parts; each is shown to whoever has its right, in the order that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request

from hub.domain.rights import RIGHTS
from hub.web.site.caller import Caller

Home = Literal["portal", "console"]


class NavEntry(NamedTuple):
    """One line of the navigation. ``key`` is of the catalog; ``waiting``, where given, counts what stands beside it. It
    runs in a thread, again and again, for a caller of ``action``."""

    path: str
    key: str
    action: str
    order: int
    waiting: Callable[[Request, Caller], int] | None = None


class Panel(NamedTuple):
    """One part of a first page. ``load`` gives what its template is filled with; it runs in a thread."""

    home: Home
    template: str
    action: str
    order: int
    load: Callable[[Caller], Mapping[str, Any]]


class PageSet(NamedTuple):
    router: APIRouter
    nav: tuple[NavEntry, ...] = ()
    panels: tuple[Panel, ...] = ()


class Registry:
    """All parts of the site. KeyError at start for an action that the table does not have."""

    def __init__(self, parts: Iterable[PageSet]) -> None:
        self.parts = tuple(parts)
        self._nav = sorted((entry for part in self.parts for entry in part.nav), key=lambda entry: entry.order)
        self._panels = sorted((panel for part in self.parts for panel in part.panels), key=lambda panel: panel.order)
        for action in (*(entry.action for entry in self._nav), *(panel.action for panel in self._panels)):
            RIGHTS[action]

    def nav(self, caller: Caller) -> list[NavEntry]:
        return [entry for entry in self._nav if caller.may(entry.action)]

    def panels(self, home: Home, caller: Caller) -> list[Panel]:
        return [panel for panel in self._panels if panel.home == home and caller.may(panel.action)]
