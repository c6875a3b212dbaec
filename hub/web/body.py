"""Bodies of requests: read within a bound, taken apart, checked; every fault a problem document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from hub.web.problem import ProblemError, fault

M = TypeVar("M", bound=BaseModel)


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


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8. Raises ProblemError 400."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise ProblemError(400, "malformed", "内容不是有效的 JSON", "the body is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise ProblemError(400, "malformed", "内容不是 JSON 对象", "the body is not a JSON object")
    return document


async def read_document(request: Request, most: int, *, is_empty_allowed: bool = False) -> dict[str, Any]:
    """The object of a request's body. Raises ProblemError."""
    body = await read_body(request, most)
    return {} if is_empty_allowed and not body else parse(body)


def validated(model: type[M], document: Mapping[str, Any]) -> M:
    """``document`` as ``model``. Raises ProblemError 422 that names every fault by its pointer."""
    try:
        # From JSON, not from Python: a date is a text there, and nothing else is one.
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = [fault(item["loc"], item["msg"]) for item in found]
        raise ProblemError(422, "invalid", "内容未通过校验", "fields are missing or wrong", faults) from None
    except RecursionError:
        raise ProblemError(400, "malformed", "内容嵌套过深", "the body is nested too deeply") from None


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
