"""Sending the notices of a time range to one subscription again: what that would be, and asking for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hub.errors import InputError, UsageError
from hub.web.site.answers import go_on
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.spans import range_of

PATH = "/console/replay"


def replay_pages(desks: ConsoleDesks, fresh: Fresh) -> PageSet:
    """The routes of this module. What is asked is decided and carried out where requests are."""
    router, desk = APIRouter(include_in_schema=False), desks.replays
    #: Who reads his inbox himself goes back there himself.
    ways = {name: way for name, way in desks.ways.items() if way.delivery != "kafka"}

    def form(
        request: Request, caller: Reader, subscription: str = "", since: str = "", until: str = "",
        superseded: bool = False, was: int | None = None,
    ) -> Response:
        plan = None
        try:
            if subscription or since or until:
                plan = desk.plan(subscription, range_of(since, until, superseded, site_of(request).now()))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        asked = {"subscription": subscription, "since": since, "until": until, "superseded": superseded}
        return site_of(request).renderer.page(
            request, "console-replay.html", caller, plan=plan, asked=asked, ways=ways, was=was
        )

    def ask(request: Request, caller: Changer, posted: Posted) -> Response:
        name, since, until = (posted.text(each, 100) for each in ("subscription", "since", "until"))
        superseded = posted.text("superseded") == "yes"
        try:
            wanted = range_of(since, until, superseded, site_of(request).now())
            plan = desk.plan(name, wanted)
            if str(plan.count) != posted.text("count"):
                # What was looked at is not what would be sent now: it is shown once more.
                count = posted.text("count")
                return form(request, caller, name, since, until, superseded, int(count) if count.isdecimal() else 0)
            asked = desk.ask(plan, wanted, caller.actor, posted.text("reason"))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        finally:
            fresh.forget()
        return go_on(request, f"/console/requests/{asked.asked.request_id}", "request-waits")

    router.add_api_route(PATH, form, methods=["GET"])
    router.add_api_route(PATH, ask, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.replay", "console.read", 150),))
