"""Requests of the uplink and what their answers mean. The README lists what of it is assumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from connectors.provincial_uplink.acts import load_standard, row_of
from hub.disclosure import MAX_REASON, Answer, Change, Draft, Field, Order, RequestFailedError, instant_text, to_json

#: Codes of a row's answer.
ACCEPTED, REFUSED_ROW = 0, 1
#: Of an answer for each row: a message of 500 characters, every one of them escaped, and its row named twice.
ROW_BYTES = 8_192
#: How a request fails that got there, and may have failed by what is in it.
_AFTER_SENDING = frozenset({"timeout", "cut", "malformed"})


def batch_writer(source_code: str, fields: Callable[[str], Sequence[Field]]) -> Callable[[Draft], tuple[str, bytes]]:
    """Gives the function that writes a batch of one kind: its path below the exchange, and its body."""
    standard = load_standard()

    def write(draft: Draft) -> tuple[str, bytes]:
        kind = draft.rows[0][0].kind
        made_at = instant_text(draft.made_at)

        def row(order: Order, change: Change) -> dict[str, Any]:
            return {
                "cd_id": order.order_id, "cd_time": made_at, "cd_source": source_code, "cd_batch": draft.number,
                "cd_operation": change.value, "record_unique_identity": order.correlation_id,
                **row_of(kind, order.content, fields(kind), standard).values,
            }

        rows = [row(order, change) for order, change in draft.rows]
        body = {"cd_source": source_code, "cd_batch": draft.number, "count": len(rows), "rows": rows}
        return f"{standard.acts[kind].table}/{draft.number}", to_json(body)

    return write


def read_results(answer: Answer) -> list[tuple[str, str | None]] | None:
    """``(cd_id, None or why it was refused)`` of the rows that the answer names; ``None`` if it cannot be read."""
    try:
        results = json.loads(answer.body)["results"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(results, list):
        return None
    found: list[tuple[str, str | None]] = []
    for entry in results:
        if isinstance(entry, dict) and isinstance(entry.get("cd_id"), str):
            if entry.get("code") == ACCEPTED:
                found.append((entry["cd_id"], None))
            elif entry.get("code") == REFUSED_ROW:
                found.append((entry["cd_id"], " ".join(str(entry.get("message") or "").split())[:MAX_REASON]))
    return found


def is_of_batch(error: RequestFailedError) -> bool:
    """Whether a failure may be the batch's own: not if a wait is asked for, nor if it never got there."""
    if error.status is None:
        return error.kind in _AFTER_SENDING
    return error.status >= 500 and error.retry_after_seconds is None
