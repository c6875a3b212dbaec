"""``POST /v1/manifests``: a department's system says how much it handed in on a day, under its source's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from hub.domain.problem import ProblemError
from hub.domain.source_manifest import parse_manifest
from hub.errors import HubError, InputError
from hub.intake.guards.log import ManifestTaken, manifest_taken
from hub.intake.http_sources import HttpSource
from hub.web.marks import open_to
from hub.web.problem import problems, respond, unavailable
from hub.web.source_auth import Keys, source_of

PATH = "/v1/manifests"
#: One count and one digest.
MAX_BYTES = 4096
_log = structlog.get_logger()

_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["source", "date", "count", "digest"],
    "additionalProperties": False,
    "properties": {
        "source": {"type": "string", "description": "name of the source"},
        "date": {"type": "string", "format": "date", "description": "the day that it speaks of"},
        "count": {"type": "integer", "minimum": 0, "description": "events that were accepted on that day"},
        "digest": {
            "type": "string", "pattern": "^[0-9a-f]{64}$",
            "description": "SHA-256 of the sorted `event_id`s, each with a line feed behind it",
        },
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object", "required": ["manifest_id", "status"],
    "properties": {"manifest_id": {"type": "string"}, "status": {"type": "string"}},
}


def manifests_router(
    keys: Keys, sources: Mapping[str, HttpSource], take: Callable[[ManifestTaken], None], now: Callable[[], datetime]
) -> APIRouter:
    """The router. ``take`` returns when the manifest is safe on the log."""
    router = APIRouter(tags=["events"], dependencies=[open_to("a source's system, by its key hubk_")])

    async def taken(request: Request) -> ManifestTaken:
        source, _ = source_of(request, keys, sources, now())
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ProblemError(413, "too-large", "内容过大", f"the body may hold {MAX_BYTES} bytes")
        content = bytes(body)
        try:
            manifest = parse_manifest(content, source.name)
        except InputError as error:
            raise ProblemError(422, "invalid", "内容未通过校验", str(error)) from error
        if manifest.files is not None:
            raise ProblemError(422, "invalid", "内容未通过校验", "files: events are counted here, not files")
        found = manifest_taken(manifest, content, None, now())
        await run_in_threadpool(take, found)
        _log.info("manifest.taken", source=source.name, day=manifest.day.isoformat(), count=manifest.count)
        return found

    @router.post(
        PATH, status_code=202, summary="Say how much was handed in on a day",
        responses={
            202: {"description": "On record", "content": {"application/json": {"schema": _ANSWER}}},
            **problems(401, 403, 413, 422, 503),
        },
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
    )
    async def receive_manifest(request: Request) -> Response:
        try:
            found = await taken(request)
        except ProblemError as problem:
            return respond(problem, PATH)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("manifest.unavailable", error=type(error).__name__, reason=str(error))
            return respond(unavailable("the hub cannot take manifests safely right now; send it again"), PATH)
        return JSONResponse({"manifest_id": found.manifest_id, "status": "accepted"}, 202)

    return router
