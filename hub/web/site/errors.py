"""What goes wrong, as a page for people and as a problem document (RFC 9457) for programs."""

from __future__ import annotations

from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from hub.domain.problem import ProblemError
from hub.errors import HubError
from hub.web.problem import framework_problem, respond, route_of, unavailable, validation_problem
from hub.web.site.guard import PASSWORD_PATH, ElsewhereError, caller_of, site_of
from hub.web.site.messages import has

_log = structlog.get_logger()


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks: it names HTML, which no program of ours does."""
    return "text/html" in request.headers.get("accept", "")


def add_errors(app: FastAPI) -> None:
    """Handlers for everything that routes raise."""

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        return await _answer(request, framework_problem(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await _answer(request, validation_problem(error))

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> Response:
        return await _answer(request, error)

    @app.exception_handler(ElsewhereError)
    async def elsewhere(request: Request, error: ElsewhereError) -> Response:
        path = error.path
        if request.method == "GET" and path != PASSWORD_PATH and request.url.path != "/":
            path += f"?next={quote(request.url.path, safe='/')}"
        if "hx-request" in request.headers:
            return Response(status_code=204, headers={"HX-Redirect": error.path})
        if wants_page(request):
            return RedirectResponse(path, 303)
        title = "请先登录" if error.status == 401 else "请先修改密码"
        return respond(ProblemError(error.status, error.slug, title, f"see {error.path}"), request.url.path)

    @app.exception_handler(HubError)
    async def hub_error(request: Request, error: HubError) -> Response:
        if error.is_retryable:
            _log.warning("web.unavailable", route=route_of(request), error=type(error).__name__)
            return await _answer(request, unavailable("the hub cannot do it safely right now; try again"))
        return await unforeseen(request, error)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        # What it was stands in the log alone: it may name places, or hold what somebody entered.
        _log.error("web.failed", route=route_of(request), error=type(error).__name__)
        return await _answer(request, ProblemError(500, "failed", "系统出错", "something went wrong in the hub"))


async def _answer(request: Request, problem: ProblemError) -> Response:
    if not wants_page(request):
        return respond(problem, request.url.path)
    try:
        caller = await caller_of(request)
    except HubError:
        caller = None  # without Redis nobody is known, and the page says what is wrong all the same
    slug = problem.slug if has(f"problem.{problem.slug}") else "refused"
    page = await run_in_threadpool(
        site_of(request).renderer.page, request, "error.html", caller, status=problem.status, slug=slug,
        problem=problem,
    )
    page.headers.update(problem.headers)
    return page
