"""JSON documents from outside: taken apart and checked, every fault named by its pointer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hub.domain.problem import ProblemError, fault

M = TypeVar("M", bound=BaseModel)


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8. Raises ProblemError 400."""
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise ProblemError(400, "malformed", "内容不是有效的 JSON", "the body is not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise ProblemError(400, "malformed", "内容不是 JSON 对象", "the body is not a JSON object")
    return document


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
