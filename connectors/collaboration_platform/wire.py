"""What goes to the platform and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hub.disclosure import (
    MAX_REFERENCE,
    REFUSED,
    STATUSES,
    Answer,
    AttemptFailedError,
    Order,
    PublicRecord,
    Receipt,
    TryAgain,
    refusal_of,
    refusal_text,
)

#: What says nothing of the record but of us or of the moment: the token, the time, the load.
PASSING = frozenset({401, 403, 408, 425, 429})


def to_record(order: Order) -> dict[str, Any]:
    """The JSON of one order: its own identity and what the view holds, nothing else."""
    found: dict[str, Any] = {
        "order_id": order.order_id,
        "channel": order.channel,
        "action": order.action,
        "sequence": order.sequence,
        "kind": order.kind,
        "subject": order.subject,
        "content": order.content,
    }
    if order.action == "withdraw" and order.reason:
        found["reason"] = order.reason
    if order.publish_until is not None:
        found["publish_until"] = order.publish_until
    if order.is_reissued:
        found["is_reissued"] = True
    return found


def read_answer(answer: Answer, action: str) -> Receipt:
    """The receipt in the answer to one order.

    Raises AttemptFailedError if there is nothing that we can keep, so that it is asked again: without the channel's
    own word nobody could show that the record is public, nor that it was refused.
    """
    if not answer.is_success:
        reason = refusal_of(answer)
        if reason is None:
            raise AttemptFailedError(f"HTTP status {answer.status} without a problem document of the platform's own")
        return Receipt(REFUSED, reason=reason)
    document = _json(answer.body)
    found = read_receipt(document.get("receipt") if isinstance(document, dict) else None, action)
    if isinstance(found, str):
        raise AttemptFailedError(f"HTTP status {answer.status} {found}")
    return found


def read_answers(answer: Answer, actions: Mapping[str, str]) -> dict[str, Receipt | TryAgain]:
    """Results by order id of the answer to a batch; ``actions`` are those of its orders.

    An order that the answer does not name is not in it; of two answers to one order the first counts. Raises
    AttemptFailedError if it cannot be read at all.
    """
    document = _json(answer.body)
    answers = document.get("answers") if isinstance(document, dict) else None
    if not isinstance(answers, list):
        raise AttemptFailedError(f"HTTP status {answer.status} without a readable list of answers")
    results: dict[str, Receipt | TryAgain] = {}
    for entry in answers:
        order_id = entry.get("order_id") if isinstance(entry, dict) else None
        if isinstance(order_id, str) and order_id in actions and order_id not in results:
            results[order_id] = read_entry(entry, actions[order_id])
    return results


def read_entry(entry: Mapping[str, Any], action: str | None = None) -> Receipt | TryAgain:
    """One answer of many, which is the platform's own word, whatever its status. ``action`` is the order's; unless it
    is known, any status that a receipt can have fits."""
    status = entry.get("status")
    if not isinstance(status, int):
        return TryAgain("an answer without a status")
    if 200 <= status < 300:
        found = read_receipt(entry.get("receipt"), action)
        return TryAgain(f"HTTP status {status} {found}") if isinstance(found, str) else found
    if 400 <= status < 500 and status not in PASSING:
        return Receipt(REFUSED, reason=refusal_text(status, entry.get("problem")))
    return TryAgain(f"HTTP status {status}")


def read_receipt(receipt: object, action: str | None) -> Receipt | str:
    """The receipt of a success, or what is wrong with it."""
    try:
        if not isinstance(receipt, dict):
            raise TypeError
        status, reference = receipt["status"], receipt["public_reference"]
        received_at = datetime.fromisoformat(receipt["received_at"])
    except (ValueError, KeyError, TypeError) as error:
        return f"without a readable receipt ({type(error).__name__})"
    is_reference = reference is None or (isinstance(reference, str) and len(reference) <= MAX_REFERENCE)
    if received_at.tzinfo is None or not is_reference:
        return "with an incomplete receipt"
    fitting = STATUSES[action] if action is not None else frozenset().union(*STATUSES.values())
    if not isinstance(status, str) or status not in fitting:
        return f"with a receipt that does not fit {action!r}"
    return Receipt(status, reference, None, received_at)


def read_page(answer: Answer) -> tuple[list[PublicRecord], str | None]:
    """One page of what is public, and where the next begins. Raises AttemptFailedError if it cannot be read."""
    try:
        document = json.loads(answer.body)
        records = [
            PublicRecord(
                str(entry["correlation_id"]), int(entry["sequence"]), str(entry["subject"]), entry["reference"],
                datetime.fromisoformat(entry["updated_at"]),
            )
            for entry in document["records"]
        ]
        following = document["next"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AttemptFailedError(
            f"HTTP status {answer.status} without a readable page ({type(error).__name__})"
        ) from None
    return records, following if isinstance(following, str) else None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
