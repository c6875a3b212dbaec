"""``/desk/subscriptions/{name}/replay``: a department asks that notices of its subscription are sent again.

What would be sent is shown first; a second person approves and carries it out at the console, as every replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request, Response

from hub.contracts.map_models import SubscriptionModel
from hub.delivery.replay_desk import Plan
from hub.domain.acts import Request as ActRequest
from hub.domain.acts import status_of
from hub.errors import HubError, InputError, UsageError
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.console.answers import Fresh
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.pages import PageSet
from hub.web.site.replays import Filled, Replays, ask

Changer = Annotated[Caller, Depends(allowed("subscriptions.change"))]
Sent = Annotated[Form, Depends(posted)]
PATH = "/desk/subscriptions/{name}/replay"
KIND = "notices.replay"
_SHOWN = 10


class Asked(Protocol):
    """The desk of acts, read by the page that shows a department its own requests. Raises BrokerError."""

    def read(self) -> list[ActRequest]: ...


def replay_pages(subscriptions: Mapping[str, SubscriptionModel], desk: Replays, acts: Asked) -> PageSet:
    """The routes of this module. ``subscriptions`` are those of the map, by name."""
    pages = _ReplayPages(subscriptions, desk, acts)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    router.add_api_route(PATH, pages.ask, methods=["POST"])
    return PageSet(router)


class _ReplayPages:
    def __init__(self, subscriptions: Mapping[str, SubscriptionModel], desk: Replays, acts: Asked) -> None:
        self._subscriptions, self._desk, self._acts, self._fresh = subscriptions, desk, acts, Fresh()

    def show(
        self, request: Request, caller: Changer, name: str, since: str = "", until: str = "", superseded: bool = False
    ) -> Response:
        model, filled = self._own(caller, name), Filled(since, until, superseded)
        if not since and not until:
            return self._page(request, caller, name, model, filled)
        try:
            plan = self._desk.plan(name, filled.range(site_of(request).now()))
        except (InputError, UsageError) as error:
            return self._refused(request, caller, name, model, filled, error)
        return self._page(request, caller, name, model, filled, plan)

    def ask(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        model, filled = self._own(caller, name), Filled.of(form)
        try:
            plan, asked, seen = ask(self._desk, name, form, caller.actor, site_of(request).now())
        except (InputError, UsageError) as error:
            return self._refused(request, caller, name, model, filled, error)
        finally:
            self._fresh.forget()
        if asked is None:
            return self._page(request, caller, name, model, filled, plan, was=seen, status=409)
        return go_on(request, PATH.format(name=name), "replay-asked")

    def _own(self, caller: Caller, name: str) -> SubscriptionModel:
        found = self._subscriptions.get(name)
        # Who reads his inbox himself goes back there himself.
        if found is None or found.department != caller.account.department or found.delivery == "kafka":
            raise not_here()
        return found

    def _refused(
        self, request: Request, caller: Caller, name: str, model: SubscriptionModel, filled: Filled,
        error: HubError,
    ) -> Response:
        if error.is_retryable:
            raise error
        is_range = not filled.since or not filled.until or filled.since >= filled.until
        return self._page(
            request, caller, name, model, filled, wrong="range" if is_range else "refused", said=str(error), status=422
        )

    def _page(
        self, request: Request, caller: Caller, name: str, model: SubscriptionModel, filled: Filled,
        plan: Plan | None = None, *, was: int | None = None, wrong: str | None = None, said: str = "",
        status: int = 200,
    ) -> Response:
        now = site_of(request).now()
        # They are on a topic, not in an index: read once in some seconds, whoever asks.
        replays = self._fresh.get("replays", lambda: [each for each in self._acts.read() if each.asked.kind == KIND])
        found = [each for each in replays if each.asked.target == name]
        rows = [(each, status_of(each, now)) for each in found[::-1][:_SHOWN]]
        return site_of(request).renderer.page(
            request, "desk-replay.html", caller, status=status, name=name, model=model, asked=filled, plan=plan,
            was=was, wrong=wrong, said=said, rows=rows,
        )
