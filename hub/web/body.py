"""Bodies of requests, read within a bound, and their models as they are described."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel

from hub.contracts.documents import parse
from hub.domain.problem import ProblemError


async def read_body(request: Request, most: int) -> bytes:
    """At most ``most`` bytes of ``application/json``. Raises ProblemError 415 or 413."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(415, "unsupported-media-type", "内容类型须为 application/json",
                           "Content-Type must be application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError(413, "too-large", "内容过大", f"the body may hold {most} bytes")
    return bytes(body)


async def read_document(request: Request, most: int, *, is_empty_allowed: bool = False) -> dict[str, Any]:
    """The object of a request's body. Raises ProblemError."""
    body = await read_body(request, most)
    return {} if is_empty_allowed and not body else parse(body)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of ``model`` without references, so that it may stand anywhere in an OpenAPI document."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inlined(definitions[part["$ref"].rpartition("/")[2]])
        return {name: inlined(value) for name, value in part.items()}

    found: dict[str, Any] = inlined(schema)
    return found
