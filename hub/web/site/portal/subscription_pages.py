"""``/desk/subscriptions``: how the department's subscriptions are delivered; pause, resume, another secret. Each change
is an act on record and a revision of the settings, as by command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request, Response

from hub.contracts.map_models import SubscriptionModel
from hub.delivery.settings import SubscriptionSettings, new_key
from hub.domain.problem import ProblemError
from hub.domain.vault import Vault
from hub.web.site.answers import go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.pages import NavEntry, PageSet

Reader = Annotated[Caller, Depends(allowed("portal.read"))]
Changer = Annotated[Caller, Depends(allowed("subscriptions.change"))]
Sent = Annotated[Form, Depends(posted)]
Change = Callable[[SubscriptionSettings], SubscriptionSettings]
PATH = "/desk/subscriptions"
#: So long an old secret signs beside the new one, as by command.
KEEP = timedelta(hours=24)


class SettingsKeeper(Protocol):
    """The part of SettingsDesk that the pages need; it blocks. Raises InputError, BrokerError."""

    def read(self) -> dict[str, SubscriptionSettings]: ...

    def change(self, subscription: str, change: Change, *, by: str, reason: str) -> SubscriptionSettings: ...


def subscription_pages(
    subscriptions: Mapping[str, SubscriptionModel], keeper: SettingsKeeper, vault: Vault, now: Callable[[], datetime]
) -> PageSet:
    """The routes of this module. ``subscriptions`` are those of the map, by name."""
    pages = _SubscriptionPages(subscriptions, keeper, vault, now)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    for word, page in (("pause", pages.pause), ("resume", pages.resume), ("rotate", pages.rotate)):
        router.add_api_route(f"{PATH}/{{name}}/{word}", page, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.subscriptions", "portal.read", 50),))


def state_of(settings: SubscriptionSettings | None, model: SubscriptionModel) -> str:
    """Where delivery stands, as a key of the catalog (``delivery.<word>``)."""
    if settings is not None and settings.disabled_reason is not None:
        return "disabled"
    if settings is not None and settings.is_paused:
        return "paused"
    if model.delivery == "webhook" and (settings is None or settings.url is None or not settings.is_verified):
        return "no-address"
    return "running"


class _SubscriptionPages:
    def __init__(
        self, subscriptions: Mapping[str, SubscriptionModel], keeper: SettingsKeeper, vault: Vault,
        now: Callable[[], datetime],
    ) -> None:
        self._subscriptions, self._keeper, self._vault, self._now = subscriptions, keeper, vault, now

    def show(self, request: Request, caller: Reader) -> Response:
        return self._page(request, caller)

    def pause(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        return self._changed(request, caller, name, form, "pause", lambda found: replace(found, is_paused=True))

    def resume(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        def change(found: SubscriptionSettings) -> SubscriptionSettings:
            if found.disabled_reason is not None:
                # Its system said that it wants no more: it has to be asked again, which an operator does.
                raise ProblemError(409, "delivery-disabled", "该订阅已由接收方终止，请联系运维恢复",
                                   "the receiver ended it: an operator resumes it with hub subscriptions resume")
            return replace(found, is_paused=False)

        return self._changed(request, caller, name, form, "resume", change)

    def rotate(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        """The secret is in this answer and nowhere else that can be read."""
        text = new_key("hmac")

        def change(found: SubscriptionSettings) -> SubscriptionSettings:
            return found.with_key(text, self._vault, self._now(), keep=KEEP)

        if not form.text("reason"):
            return self._page(request, caller, 422, fault="reason")
        self._change(request, caller, name, form, "rotate", change)
        return self._page(request, caller, secret=(name, text))

    def _changed(
        self, request: Request, caller: Caller, name: str, form: Form, what: str, change: Change
    ) -> Response:
        if not form.text("reason"):
            return self._page(request, caller, 422, fault="reason")
        self._change(request, caller, name, form, what, change)
        return go_on(request, PATH, f"subscription-{what}")

    def _change(self, request: Request, caller: Caller, name: str, form: Form, what: str, change: Change) -> None:
        found = self._subscriptions.get(name)
        if found is None or found.department != caller.account.department:
            raise not_here()
        reason = form.text("reason")
        with site_of(request).acts.acting(f"subscriptions.{what}", caller.actor, name, reason) as outcome:
            changed = self._keeper.change(name, change, by=caller.account.name, reason=reason)
            outcome.append(f"revision {changed.revision}")

    def _page(
        self, request: Request, caller: Caller, status: int = 200, *, secret: tuple[str, str] | None = None,
        fault: str | None = None,
    ) -> Response:
        own = {
            name: model for name, model in self._subscriptions.items() if model.department == caller.account.department
        }
        settings = self._keeper.read() if own else {}
        rows = [
            {"name": name, "model": model, "settings": settings.get(name), "state": state_of(settings.get(name), model)}
            for name, model in own.items()
        ]
        return site_of(request).renderer.page(
            request, "desk-subscriptions.html", caller, status=status, rows=rows, secret=secret, fault=fault,
        )
