"""Sending the notices of a time range to one subscription again: what that would be, and asking for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from hub.delivery.replay_desk import Plan
from hub.errors import InputError, UsageError
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.replays import Filled, ask

PATH = "/console/replay"


def replay_pages(desks: ConsoleDesks, fresh: Fresh) -> PageSet:
    """The routes of this module. What is asked is decided and carried out where requests are."""
    router, desk = APIRouter(include_in_schema=False), desks.replays
    #: Who reads his inbox himself goes back there himself.
    ways = {name: way for name, way in desks.ways.items() if way.delivery != "kafka"}

    def form(
        request: Request, caller: Reader, subscription: str = "", since: str = "", until: str = "",
        superseded: bool = False,
    ) -> Response:
        filled, plan = Filled(since, until, superseded), None
        try:
            if subscription or since or until:
                plan = desk.plan(subscription, filled.range(site_of(request).now()))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        return page(request, caller, subscription, filled, plan)

    def page(
        request: Request, caller: Caller, subscription: str, filled: Filled, plan: Plan | None, was: int | None = None
    ) -> Response:
        return site_of(request).renderer.page(
            request, "console-replay.html", caller, status=200 if was is None else 409, plan=plan,
            asked={"subscription": subscription, **filled._asdict()}, ways=ways, was=was,
        )

    def ask_for_it(request: Request, caller: Changer, posted: Posted) -> Response:
        name = posted.text("subscription", 100)
        try:
            plan, asked, seen = ask(desk, name, posted, caller.actor, site_of(request).now())
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        finally:
            fresh.forget()
        if asked is None:
            return page(request, caller, name, Filled.of(posted), plan, seen)
        return go_on(request, f"/console/requests/{asked.asked.request_id}", "request-waits")

    router.add_api_route(PATH, form, methods=["GET"])
    router.add_api_route(PATH, ask_for_it, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.replay", "console.read", 150),))
