"""Limits of the API by caller: 429 with ``Retry-After``, and how much is left with every answer.

Headers as the IETF's draft has them (RateLimit header fields for HTTP, draft-ietf-httpapi-ratelimit-headers, from its
eighth version on): ``RateLimit-Policy: "caller";q=12000;w=60`` and ``RateLimit: "caller";r=11999;t=1``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.domain.problem import ProblemError
from hub.domain.quota import Quota, Verdict
from hub.state.quotas import Quotas
from hub.web.problem import problems

#: Whoever watches the hub must not be kept from seeing that it lives.
HEALTH_PATHS = frozenset(("/healthz", "/readyz", "/startupz"))
_log = structlog.get_logger()


class QuotaMiddleware:
    """``identify`` names the caller of a token, ``None`` for one that opens nothing: such a caller, and who shows no
    token, is counted by his address. A limit that is ``None`` is none."""

    def __init__(
        self, app: ASGIApp, *, quotas: Quotas, identify: Callable[[str], str | None],
        caller: Quota | None, address: Quota | None, exempt: Collection[str] = HEALTH_PATHS,
    ) -> None:
        self._app, self._quotas, self._identify = app, quotas, identify
        self._caller, self._address, self._exempt = caller, address, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        name = self._identify(token.strip()) if scheme.lower() == "bearer" else None
        quota = self._address if name is None else self._caller
        if quota is None:
            await self._app(scope, receive, send)
            return
        who = name or address_of(scope)
        verdict = await self._quotas.take(who, quota)
        told = _headers(quota, verdict)
        if not verdict.is_allowed:
            # Neither an address nor a path, in which anything may stand, is logged.
            _log.warning("quota.exceeded", policy=quota.name, caller=name or "by address")
            await _refusal(quota, verdict, scope["path"], told)(scope, receive, send)
            return

        async def send_with_rest(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, send_with_rest)


def limit(app: FastAPI, **settings: Any) -> None:
    """Puts the limits before ``app`` and says so in its description; ``settings`` as for QuotaMiddleware."""
    app.add_middleware(QuotaMiddleware, **settings)
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        for path, operations in document["paths"].items():
            if path not in HEALTH_PATHS:
                for operation in operations.values():
                    operation["responses"].setdefault("429", problems(429)[429])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def address_of(scope: Scope) -> str:
    """The address that counts: of IPv6 its network of 64 bits, of which one machine has all addresses."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False).network_address)


def _headers(quota: Quota, verdict: Verdict) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.limit};w={quota.window_seconds}',
        "RateLimit": f'"{quota.name}";r={verdict.remaining};t={verdict.reset_seconds}',
    }


def _refusal(quota: Quota, verdict: Verdict, path: str, told: dict[str, str]) -> JSONResponse:
    said = f"{quota.limit} requests in {quota.window_seconds} s are allowed; come again in {verdict.retry_seconds} s"
    problem = ProblemError(429, "quota-exceeded", "请求过于频繁,请稍后重试", said)
    document = problem.document(path) | {"violated-policies": [quota.name]}
    headers = {**told, "Retry-After": str(verdict.retry_seconds)}
    return JSONResponse(document, 429, headers, "application/problem+json")
