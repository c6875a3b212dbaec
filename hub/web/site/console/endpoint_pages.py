"""Endpoints of departments: whether they are open, what waits for each, and letting it go on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from hub.delivery.settings import SubscriptionSettings, shown_url
from hub.delivery.waits import Waiting
from hub.domain.acts import Actor
from hub.domain.characters import mask_personal
from hub.errors import InputError, UsageError
from hub.web.site.answers import go_on
from hub.web.site.caller import not_here
from hub.web.site.console.answers import Changer, Fresh, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks, Way
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet

PATH = "/console/endpoints"
#: What delivery says of a subscription that gets nothing -> the word of the page; anything else, the endpoint itself
#: said (410) and the hub stopped.
_BLOCKED = {
    "paused by a person": "paused", "no address is set": "no-address", "no key signs": "no-key",
    "who listens at the address has not agreed yet": "unverified",
}


class Endpoint(NamedTuple):
    """One subscription. ``state`` is ``open``, ``paused``, ``no-address``, ``no-key``, ``unverified`` or ``stopped``.

    ``waits`` are notices by their state of waiting; ``next_at`` is when the first of them is tried again (aware UTC),
    ``reason`` what the first of them ran into.
    """

    name: str
    way: Way
    state: str
    url: str | None
    said: str | None
    waits: Mapping[str, int]
    next_at: datetime | None
    due_at: datetime | None
    reason: str
    changed_by: str
    changed_at: datetime | None


def endpoints_of(
    ways: Mapping[str, Way], settings: Mapping[str, SubscriptionSettings], waiting: Sequence[Waiting]
) -> list[Endpoint]:
    """Every subscription of the map; what is stopped or waits stands first."""
    by_name: dict[str, list[Waiting]] = defaultdict(list)
    for each in waiting:
        by_name[each.subscription].append(each)
    found = [_endpoint(name, way, settings.get(name), by_name[name]) for name, way in ways.items()]
    return sorted(
        found, key=lambda each: (each.state == "open" and not each.waits, -sum(each.waits.values()), each.name)
    )


def endpoint_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module."""
    router, fresh, desk = APIRouter(include_in_schema=False), Fresh(), desks.endpoints
    deeds: dict[str, Callable[[str, Actor, str], None]] = {
        "release": desk.release, "pause": desk.pause, "resume": desk.resume,
    }

    def listed(request: Request, caller: Reader) -> Response:
        found = fresh.get("all", lambda: endpoints_of(desks.ways, desk.settings(), desk.waiting()))
        return site_of(request).renderer.page(request, "console-endpoints.html", caller, found=found)

    def deed(request: Request, caller: Changer, name: str, what: str, form: Posted) -> Response:
        if name not in desks.ways or what not in deeds:
            raise not_here()
        try:
            deeds[what](name, caller.actor, form.text("reason"))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, PATH)
        finally:
            fresh.forget()
        return go_on(request, PATH, f"endpoint-{what}")

    router.add_api_route(PATH, listed, methods=["GET"])
    router.add_api_route(f"{PATH}/{{name}}/{{what}}", deed, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.endpoints", "console.read", 120),))


def _endpoint(name: str, way: Way, settings: SubscriptionSettings | None, waiting: Sequence[Waiting]) -> Endpoint:
    settings = settings or SubscriptionSettings(name)
    blocked = settings.why_blocked(is_pushed=way.delivery == "webhook")
    if way.delivery == "kafka" and not settings.is_paused:
        blocked = None  # a department that reads its inbox itself needs neither address nor key
    state = "open" if blocked is None else _BLOCKED.get(blocked, "stopped")
    tries = [each.wait.next_attempt_at for each in waiting if each.wait.next_attempt_at is not None]
    dues = [each.deliver_by for each in waiting if each.deliver_by is not None]
    return Endpoint(
        name, way, state, shown_url(settings.url) if settings.url else None,
        mask_personal(blocked) if blocked is not None and state == "stopped" else None,
        dict(Counter(each.wait.state for each in waiting)), min(tries, default=None), min(dues, default=None),
        mask_personal(waiting[0].wait.reason) if waiting else "", settings.changed_by,
        settings.changed_at if settings.revision else None,
    )
