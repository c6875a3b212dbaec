"""``/asyncapi.json``, ``/asyncapi.yaml`` and ``/asyncapi``: the topics and webhooks, for programs and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from hub.contracts.asyncapi_text import style_source, to_json_text, to_page, to_yaml_text
from hub.web.marks import open_to

_FORMS: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "json": (to_json_text, "application/json"),
    "yaml": (to_yaml_text, "application/yaml"),
    "page": (to_page, "text/html; charset=utf-8"),
}


def asyncapi_router(document: Callable[[str], Mapping[str, Any]]) -> APIRouter:
    """The router. ``document`` makes the document, given the address of the schema registry as the caller sees it."""
    router = APIRouter(tags=["description"], dependencies=[open_to("everyone: schemas and topics hold no data")])

    @lru_cache(maxsize=6)
    def text_of(form: str, base: str) -> str:
        return _FORMS[form][0](document(f"{base}registry"))

    # In a thread: writing half a megabyte takes a moment.
    def answer(request: Request, form: str) -> Response:
        return Response(text_of(form, str(request.base_url)), media_type=_FORMS[form][1])

    @router.get("/asyncapi.json", summary="Topics and webhooks (AsyncAPI 3)", response_model=dict[str, Any])
    def as_json(request: Request) -> Response:
        return answer(request, "json")

    @router.get(
        "/asyncapi.yaml", summary="The same as YAML", response_class=Response,
        responses={200: {"content": {"application/yaml": {}}}},
    )
    def as_yaml(request: Request) -> Response:
        return answer(request, "yaml")

    @router.get("/asyncapi", summary="The same as a page", response_class=HTMLResponse)
    def as_page(request: Request) -> Response:
        page = answer(request, "page")
        policy = f"default-src 'none'; style-src {style_source()}; frame-ancestors 'none'"
        page.headers["content-security-policy"] = policy
        return page

    return router
