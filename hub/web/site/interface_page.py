"""``/docs``: the interface for programs, as its OpenAPI document says; nothing of it comes from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from hub.web.marks import open_to
from hub.web.site.guard import caller_of, site_of
from hub.web.site.pages import PageSet


class Operation(NamedTuple):
    """One operation of the document. ``bodies`` are JSON Schemas as text, by media type."""

    method: str
    path: str
    summary: str
    description: str
    bodies: Mapping[str, str]
    answers: Mapping[str, str]


def interface_page() -> PageSet:
    """The route of this module."""
    router = APIRouter(include_in_schema=False, dependencies=[open_to("everyone: the description of the interface")])
    router.add_api_route("/docs", _show, methods=["GET"])
    return PageSet(router)


async def _show(request: Request) -> Response:
    found = operations(request.app.openapi())
    return site_of(request).renderer.page(request, "interface.html", await caller_of(request), operations=found)


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """The operations of an OpenAPI document, in its order."""
    return [
        Operation(
            method.upper(), path, each.get("summary", ""), each.get("description", ""),
            {
                kind: json.dumps(body.get("schema", {}), ensure_ascii=False, indent=1)
                for kind, body in each.get("requestBody", {}).get("content", {}).items()
            },
            {status: answer.get("description", "") for status, answer in each.get("responses", {}).items()},
        )
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
