"""A department's own side of its subscription: it fetches notices, and sees and changes how it receives.

It shows itself by its token (``Authorization: Bearer hubt_…``, RFC 6750), of which the hub keeps a digest.
``poll`` has the shape of RFC 8936. Faults are problem documents (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Protocol

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.contracts.documents import validated
from hub.delivery.gate import MAX_RATE_PER_MINUTE
from hub.delivery.pull import Batch
from hub.delivery.settings import SubscriptionSettings, shown_url
from hub.domain.office_hours import parse_office_hours
from hub.domain.plain import instant_text
from hub.domain.problem import ProblemError, fault
from hub.errors import HubError, InputError
from hub.web.body import read_document, schema_of
from hub.web.marks import open_to
from hub.web.problem import problems, respond, unavailable

MAX_BODY_BYTES = 1024 * 1024
MAX_EVENTS, DEFAULT_EVENTS = 1000, 100
#: Below what proxies commonly allow a request.
LONG_POLL_SECONDS = 25.0
_log = structlog.get_logger()
NoticeId = Annotated[str, Field(min_length=1, max_length=36)]


class Puller(Protocol):
    """The part of PullSender that the web side needs."""

    @property
    def blocked(self) -> str | None: ...

    async def poll(
        self, acknowledged: list[str], refused: Mapping[str, str], most: int, wait_seconds: float
    ) -> Batch: ...


class SettingsReader(Protocol):
    def get(self, subscription: str) -> SubscriptionSettings | None: ...


class SettingsWriter(Protocol):
    """The part of SettingsDesk that the web side needs; it blocks."""

    def change(
        self, subscription: str, change: Callable[[SubscriptionSettings], SubscriptionSettings], *, by: str, reason: str
    ) -> SubscriptionSettings: ...


class RefusedNotice(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    err: str = Field(min_length=1, max_length=50)
    description: str = Field(default="", max_length=200)


class Poll(BaseModel):
    """RFC 8936, 2.2: what came of earlier notices, and how many more are wanted."""

    model_config = ConfigDict(extra="forbid")

    maxEvents: int = Field(default=DEFAULT_EVENTS, ge=0, le=MAX_EVENTS)
    returnImmediately: bool = False
    ack: list[NoticeId] = Field(default=[], max_length=10_000)
    setErrs: dict[NoticeId, RefusedNotice] = Field(default={}, max_length=1000)


class SettingsChange(BaseModel):
    """What a department may change of its settings; what is left out stays."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1, max_length=2000)
    by: str = Field(min_length=1, max_length=60)
    is_paused: bool | None = None
    rate_per_minute: int | None = Field(default=None, ge=1, le=MAX_RATE_PER_MINUTE)
    office_hours: str | None = Field(default=None, max_length=100)
    contact: str | None = Field(default=None, max_length=200)
    url: str | None = Field(default=None, min_length=1, max_length=500)


def subscriptions_router(
    settings: SettingsReader,
    desk: SettingsWriter,
    pullers: Mapping[str, Puller],
    verify_address: Callable[[SubscriptionSettings, str], Awaitable[None]],
) -> APIRouter:
    """The router. ``verify_address`` asks whoever listens at an address; it raises InputError."""
    by_token = open_to("a department's system, by the token hubt_ of its subscription")
    router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"], dependencies=[by_token])

    def authenticate(name: str, request: Request) -> SubscriptionSettings:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = settings.get(name)
        # An unknown subscription fails like a wrong token: nobody learns which ones exist.
        if scheme.lower() != "bearer" or found is None or not found.opens_with(token.strip()):
            raise ProblemError(
                401, "unauthenticated", "令牌无效", "a valid token of this subscription is needed",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return found

    async def answer(request: Request, work: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
        try:
            return JSONResponse(await work())
        except ProblemError as problem:
            return respond(problem, request.url.path)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("subscriptions.unavailable", error=type(error).__name__)
            return respond(unavailable("the hub cannot do it safely right now; try again"), request.url.path)

    @router.post(
        "/{name}/poll", summary="Fetch notices (RFC 8936)", openapi_extra=_body_of(Poll, is_required=False),
        responses=problems(400, 401, 409, 413, 415, 422, 503),
    )
    async def poll(name: str, request: Request) -> Response:
        async def work() -> dict[str, Any]:
            authenticate(name, request)
            asked = validated(Poll, await read_document(request, MAX_BODY_BYTES, is_empty_allowed=True))
            puller = pullers.get(name)
            if puller is None:
                raise ProblemError(409, "not-pulled", "该订阅不采用拉取方式",
                                   "the map delivers this subscription in another way")
            if puller.blocked is not None:
                raise ProblemError(409, "blocked", "该订阅已停用", puller.blocked)
            refused = {id: f"{each.err}: {each.description}".rstrip(": ") for id, each in asked.setErrs.items()}
            wait = 0.0 if asked.returnImmediately else LONG_POLL_SECONDS
            batch = await puller.poll(asked.ack, refused, asked.maxEvents, wait)
            return {
                "sets": {
                    id: {"headers": dict(each.headers), "body": each.body} for id, each in batch.notices.items()
                },
                "moreAvailable": batch.has_more,
            }

        return await answer(request, work)

    @router.get("/{name}", summary="How this department receives", responses=problems(401, 422))
    async def read(name: str, request: Request) -> Response:
        async def work() -> dict[str, Any]:
            return _shown(authenticate(name, request))

        return await answer(request, work)

    @router.patch(
        "/{name}", summary="Change how this department receives", openapi_extra=_body_of(SettingsChange),
        responses=problems(400, 401, 413, 415, 422, 503),
    )
    async def change(name: str, request: Request) -> Response:
        async def work() -> dict[str, Any]:
            current = authenticate(name, request)
            asked = validated(SettingsChange, await read_document(request, MAX_BODY_BYTES))
            news = {
                field: value for field, value in asked.model_dump(exclude_unset=True).items()
                if field not in ("reason", "by")
            }
            if not news:
                raise ProblemError(422, "invalid", "没有要变更的内容", "name at least one setting to change")
            if asked.office_hours:
                _checked("office_hours", lambda: parse_office_hours(asked.office_hours or ""))
            news |= {field: None for field in ("office_hours", "contact") if news.get(field) == ""}
            if news.get("is_paused", False) is None:
                raise ProblemError(422, "invalid", "内容未通过校验", "is_paused is true or false",
                                   [fault(("is_paused",), "must not be null")])
            if "url" in news:
                if asked.url is None:
                    raise ProblemError(422, "invalid", "内容未通过校验", "an address is not taken away; pause instead",
                                       [fault(("url",), "must not be null")])
                try:
                    await verify_address(current, asked.url)
                except InputError as error:
                    raise ProblemError(422, "unfit-address", "地址未通过验证", str(error),
                                       [fault(("url",), str(error))]) from None
                news |= {"is_verified": True, "disabled_reason": None}
            by = f"{asked.by} ({name})"
            changed = await run_in_threadpool(
                lambda: desk.change(name, lambda found: replace(found, **news), by=by, reason=asked.reason)
            )
            return _shown(changed)

        return await answer(request, work)

    return router


def _checked(field: str, check: Callable[[], object]) -> None:
    try:
        check()
    except InputError as error:
        raise ProblemError(422, "invalid", "内容未通过校验", str(error), [fault((field,), str(error))]) from None


def _body_of(model: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": is_required, "content": {"application/json": {"schema": schema_of(model)}}}}


def _shown(found: SubscriptionSettings) -> dict[str, Any]:
    """Settings as their department sees them: no secret, and of keys what it verifies with."""
    return {
        "subscription": found.subscription,
        "revision": found.revision,
        "url": shown_url(found.url) if found.url else None,
        "is_verified": found.is_verified,
        "is_paused": found.is_paused,
        "disabled_reason": found.disabled_reason,
        "rate_per_minute": found.rate_per_minute,
        "office_hours": found.office_hours,
        "contact": found.contact,
        "keys": [
            {"key_id": key.key_id, "kind": key.kind, "public": key.public,
             "retires_at": instant_text(key.retires_at) if key.retires_at else None}
            for key in found.keys
        ],
        "receiver_keys": list(found.receiver_keys),
        "changed_by": found.changed_by,
        "changed_at": instant_text(found.changed_at),
        "reason": found.reason,
    }
