"""The web side as one application: health, schema registry face, answers from departments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub.domain.problem import ProblemError, fault
from hub.web.problem import respond

#: What the framework itself refuses: kind and Chinese title of the problem.
_TITLES = {404: ("not-found", "没有此地址"), 405: ("method-not-allowed", "不支持此方法")}


def health_router(is_ready: Callable[[], str | None]) -> APIRouter:
    """``/healthz``: the process lives, touching nothing else. ``/readyz``: it can serve.

    ``is_ready`` gives what is missing, or ``None``; it is called in a thread.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        missing = is_ready()
        if missing is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "not ready", "missing": missing}, status_code=503)

    return router


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
