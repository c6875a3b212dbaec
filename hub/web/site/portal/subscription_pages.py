"""``/desk/subscriptions``: how the department's subscriptions are delivered; pause, resume, another secret or address,
and a test event. Each is an act on record, each change a revision of the settings, as by command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Request, Response

from hub.contracts.map_models import SubscriptionModel
from hub.delivery.rehearsal import Receipt
from hub.delivery.settings import SubscriptionSettings, new_key, shown_url
from hub.domain.characters import mask_personal
from hub.domain.problem import ProblemError
from hub.domain.vault import Vault
from hub.errors import InputError
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


class Endpoint(Protocol):
    """Asks whoever listens at an address; both block, and raise InputError with what was wrong."""

    def verify(self, current: SubscriptionSettings, url: str) -> None:
        """Whether he wants what comes."""

    def send_test(self, current: SubscriptionSettings) -> Receipt: ...


def subscription_pages(
    subscriptions: Mapping[str, SubscriptionModel], keeper: SettingsKeeper, vault: Vault, now: Callable[[], datetime],
    endpoint: Endpoint,
) -> PageSet:
    """The routes of this module. ``subscriptions`` are those of the map, by name."""
    pages = _SubscriptionPages(subscriptions, keeper, vault, now, endpoint)
    router = APIRouter(include_in_schema=False)
    router.add_api_route(PATH, pages.show, methods=["GET"])
    for word, page in (
        ("pause", pages.pause), ("resume", pages.resume), ("rotate", pages.rotate), ("address", pages.address),
        ("test", pages.test),
    ):
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
        now: Callable[[], datetime], endpoint: Endpoint,
    ) -> None:
        self._subscriptions, self._keeper, self._vault, self._now = subscriptions, keeper, vault, now
        self._endpoint = endpoint

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

    def address(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        """By the rule of the interface: whoever listens at the new address has to agree before anything is changed."""
        model, url = self._own(caller, name), form.text("url", 500)
        if model.delivery != "webhook":
            raise not_here()

        def change(found: SubscriptionSettings) -> SubscriptionSettings:
            self._endpoint.verify(found, url)
            return replace(found, url=url, is_verified=True, disabled_reason=None)

        if not form.text("reason") or not url:
            return self._page(request, caller, 422, fault="reason" if url else "address")
        try:
            self._change(request, caller, name, form, "address", change)
        except ProblemError:
            raise
        except InputError as error:
            return self._page(request, caller, 422, said=(name, mask_personal(str(error))))
        return go_on(request, PATH, "subscription-address")

    def test(self, request: Request, caller: Changer, name: str, form: Sent) -> Response:
        """The receipt is in this answer."""
        if self._own(caller, name).delivery != "webhook":
            raise not_here()
        reason = form.text("reason")
        if not reason:
            return self._page(request, caller, 422, fault="reason")
        current = self._keeper.read().get(name, SubscriptionSettings(name))
        try:
            with site_of(request).acts.acting("subscriptions.test", caller.actor, name, reason) as outcome:
                receipt = self._endpoint.send_test(current)
                outcome.append(f"{receipt.test_id}: {receipt.status or receipt.failure}")
        except InputError as error:
            return self._page(request, caller, 422, said=(name, mask_personal(str(error))))
        return self._page(request, caller, receipt=(name, receipt))

    def _changed(
        self, request: Request, caller: Caller, name: str, form: Form, what: str, change: Change
    ) -> Response:
        if not form.text("reason"):
            return self._page(request, caller, 422, fault="reason")
        self._change(request, caller, name, form, what, change)
        return go_on(request, PATH, f"subscription-{what}")

    def _change(self, request: Request, caller: Caller, name: str, form: Form, what: str, change: Change) -> None:
        self._own(caller, name)
        reason = form.text("reason")
        with site_of(request).acts.acting(f"subscriptions.{what}", caller.actor, name, reason) as outcome:
            changed = self._keeper.change(name, change, by=caller.account.name, reason=reason)
            outcome.append(f"revision {changed.revision}")

    def _own(self, caller: Caller, name: str) -> SubscriptionModel:
        found = self._subscriptions.get(name)
        if found is None or found.department != caller.account.department:
            raise not_here()
        return found

    def _page(
        self, request: Request, caller: Caller, status: int = 200, *, secret: tuple[str, str] | None = None,
        fault: str | None = None, said: tuple[str, str] | None = None, receipt: tuple[str, Receipt] | None = None,
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
            said=said, receipt=receipt, shown_url=shown_url,
        )
