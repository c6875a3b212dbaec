"""Whose word a refusal is: the channel's own, or that of what stands before it.

A wrong path, a gateway with nothing behind it and a proxy with a limit of its own answer with 4xx as well. Taken for
refusals they would end every order of a queue, and nobody would give it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from hub.bus.http_client import Answer
from hub.disclosure.sink import MAX_REASON
from hub.domain.retry import REFUSING_STATUSES


def refusal_of(answer: Answer) -> str | None:
    """Why the channel refuses for good what was sent; ``None`` if the answer need not be its own.

    Its own are 400, 409 and 422, and any other 4xx with a problem document (RFC 9457) that says more than the status:
    a framework or a gateway that makes such documents by itself gives them the status's name as their title.
    """
    problem = _problem(answer)
    if answer.status in REFUSING_STATUSES or _says_more(problem, answer.status):
        return refusal_text(answer.status, problem)
    return None


def refusal_text(status: int, problem: object) -> str:
    """Title and detail of a problem document, if it is one, behind the status."""
    texts: list[str] = []
    if isinstance(problem, Mapping):
        texts = [text for name in ("title", "detail") if isinstance(text := problem.get(name), str)]
    return " ".join(": ".join([f"HTTP {status}", *texts]).split())[:MAX_REASON]


def _problem(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _says_more(problem: object, status: int) -> bool:
    title = problem.get("title") if isinstance(problem, Mapping) else None
    if not isinstance(title, str) or not title.strip():
        return False
    usual = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return title.strip().casefold() != usual.casefold()
