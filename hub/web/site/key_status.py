"""``GET /v1/key``: a program asks what its key is good for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from hub.access.keys import ApiKey
from hub.domain.plain import instant_text
from hub.web.problem import problems
from hub.web.site.guard import keyed
from hub.web.site.pages import PageSet


def key_status() -> PageSet:
    """The route of this module."""
    router = APIRouter(tags=["access"])
    router.add_api_route(
        "/v1/key", _show, methods=["GET"], responses=problems(401, 403),
        summary="What a key is good for, and until when",
    )
    return PageSet(router)


def _show(key: Annotated[ApiKey, Depends(keyed("key.read"))]) -> dict[str, Any]:
    return {
        "key_id": key.key_id, "department": key.department, "scopes": list(key.scopes),
        "expires_at": instant_text(key.expires_at),
    }
