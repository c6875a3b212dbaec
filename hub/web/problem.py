"""Problem documents (RFC 9457): what was wrong with a request, for its sender to repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from hub.errors import InputError

#: One entry of ``errors``: ``pointer`` (RFC 6901, into the request's body) and ``detail``.
Fault = dict[str, str]


def fault(path: Sequence[str | int], detail: str) -> Fault:
    """A fault at ``path``, given as the names and indexes on the way to it."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return {"pointer": "".join(f"/{step}" for step in steps), "detail": detail}


class ProblemError(InputError):
    """A request that the hub refuses.

    ``slug`` names the kind of problem and never changes; ``title`` is Chinese and the same for all
    problems of a kind, ``detail`` English and about this one.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        errors: Sequence[Fault] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def response(self, instance: str) -> Response:
        """The problem as ``application/problem+json``; ``instance`` is the path that was asked."""
        document: dict[str, object] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": str(self),
            "instance": instance,
        }
        if self.errors:
            document["errors"] = self.errors
        return JSONResponse(
            document, status_code=self.status, headers=self.headers, media_type="application/problem+json"
        )


#: Seconds after which it is worth trying again while Kafka or Redis is away.
RETRY_AFTER_SECONDS = 30


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
    400: "the body is no JSON object", 401: "signature or token is not valid", 404: "not found",
    409: "not in this state", 413: "the body is too large", 415: "the body is no application/json",
    422: "fields are missing or wrong", 503: "not safely possible now; try again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: the problem documents that it may answer with."""
    content = {"application/problem+json": {"schema": _SCHEMA}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}
