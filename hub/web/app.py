"""The web side as one application: health, schema registry face, answers from departments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub.domain.problem import ProblemError, fault
from hub.web.problem import respond

#: What the framework itself refuses: kind and Chinese title of the problem.
_TITLES = {404: ("not-found", "没有此地址"), 405: ("method-not-allowed", "不支持此方法")}


Look = Callable[[], str | None]


def _well() -> str | None:
    return None


def health_router(is_ready: Look, *, is_started: Look = _well, is_alive: Look = _well) -> APIRouter:
    """``/healthz``: the process lives and no loop of it stands still, touching nothing outside. ``/startupz``: its
    tables have been read. ``/readyz``: it can serve.

    Each function gives what is missing, or ``None``; ``is_ready`` may block, the others must not.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether a restart would help", responses=_MISSING)
    async def healthz() -> JSONResponse:
        return _told("not alive", is_alive())

    @router.get("/startupz", summary="Whether it has read what it needs", responses=_MISSING)
    async def startupz() -> JSONResponse:
        return _told("starting", is_started())

    @router.get("/readyz", summary="Whether it can serve now", responses=_MISSING)
    def readyz() -> JSONResponse:
        return _told("not ready", is_started() or is_ready())

    return router


_MISSING: dict[int | str, dict[str, Any]] = {503: {"description": "Not so, and what is missing", "content": {
    "application/json": {"schema": {
        "type": "object", "required": ["status", "missing"],
        "properties": {"status": {"type": "string"}, "missing": {"type": "string"}},
    }},
}}}


def _told(status: str, missing: str | None) -> JSONResponse:
    if missing is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": status, "missing": missing}, status_code=503)


def create_app(routers: Sequence[tuple[str, APIRouter]]) -> FastAPI:
    """One application of (prefix, router) pairs, in their order."""
    app = FastAPI(title="甘南州市场监管事件枢纽 / event hub", version="1", docs_url="/docs", redoc_url=None)
    for prefix, router in routers:
        app.include_router(router, prefix=prefix)

    @app.exception_handler(HTTPException)
    async def say(request: Request, error: HTTPException) -> Response:
        slug, title = _TITLES.get(error.status_code, ("refused", "请求未被受理"))
        problem = ProblemError(error.status_code, slug, title, str(error.detail), headers=error.headers)
        return respond(problem, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def name_faults(request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may be personal. The first step says where it stood (query, path …).
        faults = [fault(each["loc"][1:], each["msg"]) for each in error.errors()]
        problem = ProblemError(422, "invalid", "内容未通过校验", "parameters are missing or wrong", faults)
        return respond(problem, request.url.path)

    return app
