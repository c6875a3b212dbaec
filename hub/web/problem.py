"""Problem documents (RFC 9457) as answers by HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hub.domain.problem import ProblemError, fault


def respond(problem: ProblemError, instance: str) -> Response:
    """``problem`` as an answer; ``instance`` is the path that was asked."""
    return JSONResponse(
        problem.document(instance), status_code=problem.status, headers=problem.headers,
        media_type="application/problem+json",
    )


def route_of(request: Request) -> str:
    """The address of a request as its route names it, for log lines: in the path itself anything may stand, a personal
    number too. ``-`` where no route is of it."""
    return getattr(request.scope.get("route"), "path", "-")


#: Seconds after which it is worth trying again while Kafka or Redis is away.
RETRY_AFTER_SECONDS = 30


#: What the framework itself refuses: kind and Chinese title of the problem.
_TITLES = {404: ("not-found", "没有此地址"), 405: ("method-not-allowed", "不支持此方法")}


def framework_problem(error: HTTPException) -> ProblemError:
    """What the framework itself refused."""
    slug, title = _TITLES.get(error.status_code, ("refused", "请求未被受理"))
    return ProblemError(error.status_code, slug, title, str(error.detail), headers=error.headers)


def validation_problem(error: RequestValidationError) -> ProblemError:
    """What parameters of a request did not fit. What was sent is not repeated: it may be personal."""
    # The first step says where it stood (query, path …).
    faults = [fault(each["loc"][1:], each["msg"]) for each in error.errors()]
    return ProblemError(422, "invalid", "内容未通过校验", "parameters are missing or wrong", faults)


def unavailable(detail: str) -> ProblemError:
    """What is asked cannot be done safely right now."""
    return ProblemError(
        503, "unavailable", "暂时无法受理,请稍后重试", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "kind of problem; never changes"},
        "title": {"type": "string", "description": "Chinese, the same for all problems of a kind"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "English, about this one"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_MEANINGS = {
    400: "the body is no JSON object", 401: "signature or token is not valid", 403: "not for this caller",
    404: "not found",
    409: "not in this state", 413: "the body is too large", 415: "the body is of a type that is not taken",
    422: "fields are missing or wrong", 429: "too many requests; Retry-After says when to come again",
    503: "not safely possible now; try again",
}


def problem_schema() -> dict[str, Any]:
    """The JSON Schema of a problem document."""
    return _SCHEMA


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: the problem documents that it may answer with."""
    content = {"application/problem+json": {"schema": _SCHEMA}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}
