"""The read pages as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
_MAY_BE_TEXT = {"type": ["string", "null"]}
_MAY_BE_MOMENT = {"type": ["string", "null"], "format": "date-time"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}


def page_of(item: dict[str, Any]) -> dict[str, Any]:
    """``items`` and ``next``: the cursor of the next page, null on the last."""
    return _object(items={"type": "array", "items": item}, next=_MAY_BE_TEXT)


NOTICE = _object(
    notice_id=_TEXT, event_id=_TEXT, event_type=_TEXT, correlation_id=_TEXT, subject=_TEXT, subscription=_TEXT,
    view=_TEXT, action=_TEXT, sequence={"type": "integer"}, issued_at=_MOMENT, state=_TEXT,
    finished_at=_MAY_BE_MOMENT, attempts={"type": "integer"}, reason=_MAY_BE_TEXT,
    answers={"type": "array", "items": _object(
        status=_TEXT, measure=_MAY_BE_TEXT, case_number=_MAY_BE_TEXT, acted_on=_MAY_BE_TEXT, received_at=_MOMENT,
    )},
)
CLOCK = _object(
    clock_id=_TEXT, rule=_TEXT, title=_TEXT, subject=_TEXT, correlation_id=_TEXT, target=_MAY_BE_TEXT,
    department=_MAY_BE_TEXT, status=_TEXT, due_on=_MAY_BE_TEXT, due_at=_MAY_BE_MOMENT,
    is_provisional={"type": "boolean"}, is_overdue={"type": "boolean"}, met_at=_MAY_BE_MOMENT,
    breached_at=_MAY_BE_MOMENT,
)
_TOLD = {"type": ["object", "null"], "properties": {
    "notice_id": _TEXT, "action": _TEXT, "sequence": {"type": "integer"}, "status": _TEXT, "at": _MOMENT,
}}
HOLDING = _object(
    topic=_TEXT, correlation_id=_TEXT, subject=_TEXT, subscription=_TEXT, view=_TEXT, delivered=_TOLD,
    on_the_way=_TOLD, is_lifted={"type": "boolean"}, answer=_MAY_BE_TEXT, stale=_MAY_BE_TEXT,
)
TRACE = _object(
    event_id=_TEXT, correlation_id=_TEXT,
    steps={"type": "array", "items": _object(at=_MOMENT, topic=_TEXT, type=_TEXT, id=_TEXT, what=_TEXT)},
)
LINK = {"Link": {"schema": _TEXT, "description": "the next page, rel=next"}}
