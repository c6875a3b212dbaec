"""Why a record is withdrawn, in words that the public may read (行政处罚法第四十八条：公开说明理由). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

#: What a receipt or a page can bear.
MAX_LENGTH = 500


def withdrawal_reason(event_type: str, content: Mapping[str, Any]) -> str:
    """From the type of the event that the order rests on, and its record in the public view."""
    match event_type.rpartition(".")[2]:
        case "expired":
            found = f"公示期满：{content.get('title') or '公示期限'}，至{content.get('ended_on') or '期满日'}"
        case "removed":
            said = content.get("removal_reason")
            found = f"已移出名单：{said}" if said else "已移出名单"
        case "amended":
            found = "信息已变更，变更后依法不再公示"
        case _:
            found = f"{content.get('department_name') or '信息提供部门'}撤回该信息"
    return found[:MAX_LENGTH]


def ended_reason(ends_on: date) -> str:
    """Of what was to be shown after the last day on which it may be."""
    return f"公示期满：公示期限至{ends_on.isoformat()}"
