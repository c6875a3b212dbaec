"""The web side as one application: interfaces for programs, and with a site the pages for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from hub.web.marks import open_to
from hub.web.problem import framework_problem, respond, validation_problem
from hub.web.site.errors import add_errors
from hub.web.site.headers import SecurityHeaders
from hub.web.site.parts import SiteParts
from hub.web.site.render import STATIC

Look = Callable[[], str | None]


def _well() -> str | None:
    return None


def health_router(is_ready: Look, *, is_started: Look = _well, is_alive: Look = _well) -> APIRouter:
    """``/healthz``: the process lives and no loop of it stands still, touching nothing outside. ``/startupz``: its
    tables have been read. ``/readyz``: it can serve.

    Each function gives what is missing, or ``None``; ``is_ready`` may block, the others must not.
    """
    router = APIRouter(tags=["health"], dependencies=[open_to("everyone: it says nothing but whether the hub serves")])

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


def create_app(routers: Sequence[tuple[str, APIRouter]], site: SiteParts | None = None) -> FastAPI:
    """One application of (prefix, router) pairs, in their order. With ``site`` it has pages: what goes wrong is one
    for people, and every answer says what browsers have to refuse."""
    app = FastAPI(title="甘南州市场监管事件枢纽 / event hub", version="1", docs_url=None, redoc_url=None)
    for prefix, router in routers:
        app.include_router(router, prefix=prefix)
    if site is not None:
        app.state.site = site
        app.mount("/static", StaticFiles(directory=STATIC))
        app.add_middleware(SecurityHeaders)
        add_errors(app)
        return app

    @app.exception_handler(HTTPException)
    async def say(request: Request, error: HTTPException) -> Response:
        return respond(framework_problem(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def name_faults(request: Request, error: RequestValidationError) -> Response:
        return respond(validation_problem(error), request.url.path)

    return app
