"""Working calendars: the days of a year, where they come from, what is announced, and which clocks that would move."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from hub.clocks.calendar_desk import Comparison
from hub.clocks.calendars import CalendarChange
from hub.domain.calendar import SHANGHAI, Calendar
from hub.domain.calendar_table import DayChange, differences, years_published
from hub.domain.characters import mask_personal
from hub.domain.desk import is_person
from hub.errors import ContractError
from hub.web.site.answers import go_on
from hub.web.site.caller import not_here
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader
from hub.web.site.console.calendar_year import holidays_of, months_of
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.console.long_work import LongWork
from hub.web.site.guard import site_of
from hub.web.site.live import Live, live
from hub.web.site.pages import NavEntry, PageSet

PATH = "/console/calendars"
#: Moved clocks that are named; all are counted.
NAMED = 20


class Shown(NamedTuple):
    """A calendar. ``current`` is what clocks count by, ``file`` what publishing would put into force, ``None`` where
    the files cannot be read; ``changes`` are its publications, the latest first."""

    name: str
    current: Calendar
    file: Calendar | None
    changes: tuple[CalendarChange, ...]

    @property
    def is_announced(self) -> bool:
        """Whether its file says something that is not in force."""
        return self.file is not None and self.file.version != self.current.version

    @property
    def days(self) -> list[DayChange]:
        return differences(self.current, self.file) if self.file is not None else []

    @property
    def years_added(self) -> list[int]:
        return years_published(self.current, self.file)[0] if self.file is not None else []


class Seen(NamedTuple):
    """All calendars by name, and why the files could not be read, if so."""

    calendars: Mapping[str, Shown]
    fault: str = ""


def calendar_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module."""
    router, fresh, desk = APIRouter(include_in_schema=False), Fresh(), desks.calendars
    previews = LongWork[Comparison]()

    def look() -> Seen:
        log, files, fault = desk.log(), {}, ""
        try:
            files = dict(desk.files())
        except ContractError as error:  # a faulty file: what is in force is shown all the same
            fault = mask_personal(str(error))
        current = log.calendars(files)
        return Seen({
            name: Shown(name, found, files.get(name), tuple(log.of(name)[::-1])) for name, found in current.items()
        }, fault)

    def seen() -> Seen:
        return fresh.get("all", look)

    def listed(request: Request, caller: Reader) -> Response:
        return site_of(request).renderer.page(request, "console-calendars.html", caller, seen=seen())

    def find(name: str) -> Shown:
        if name not in seen().calendars:
            raise not_here()
        return seen().calendars[name]

    def one(request: Request, caller: Reader, name: str, year: int | None = None) -> Response:
        shown = find(name)
        year = site_of(request).now().astimezone(SHANGHAI).year if year is None else year
        last = max(shown.current.last_year, shown.file.last_year if shown.file else 0)
        # The year behind the last: every day of it is provisional, and periods reach into it already.
        if not shown.current.first_year <= year <= last + 1:
            raise not_here()
        days = {each.day for each in shown.days}
        return site_of(request).renderer.page(
            request, "console-calendar.html", caller, year=year, last=last,
            months=months_of(shown.current, year, days), holidays=holidays_of(shown.current, year),
            is_provisional=shown.current.is_provisional(date(year, 1, 1)), **_preview(name),
        )

    def _preview(name: str) -> dict[str, Any]:
        work, shown = previews.last(name), find(name)
        result = work.result if work is not None else None
        # A result of other files or of another version in force says nothing of these.
        is_stale = result is not None and not any(
            each.name == name and shown.file is not None and each.file.version == shown.file.version
            and (each.previous or each.file).version == shown.current.version for each in result.calendars
        )
        return {"shown": shown, "work": None if is_stale else work, "named": NAMED, "is_person": is_person}

    def begin(request: Request, caller: Changer, name: str, form: Posted) -> Response:
        fresh.forget()
        find(name)
        previews.start(name, lambda: desk.compare(name), site_of(request).now())
        return go_on(request, f"{PATH}/{name}", "preview-begun")

    def one_live(request: Request, caller: Reader, name: str) -> Response:
        find(name)

        def look() -> Live:
            found, parts = _preview(name), site_of(request)
            work = found["work"]
            state = "none" if work is None else f"{work.began_at.isoformat()}-{work.is_running}"
            page = parts.renderer.page(request, "console-calendar-preview.html", caller, **found)
            return Live(state, bytes(page.body).decode())

        return live(request, caller, look)

    router.add_api_route(PATH, listed, methods=["GET"])
    router.add_api_route(f"{PATH}/{{name}}", one, methods=["GET"])
    router.add_api_route(f"{PATH}/{{name}}/preview", begin, methods=["POST"])
    router.add_api_route("/live/console/calendars/{name}", one_live, methods=["GET"])
    return PageSet(router, (NavEntry(PATH, "nav.calendars", "console.read", 165),))
