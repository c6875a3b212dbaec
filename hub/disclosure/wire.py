"""What goes to a channel's system and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.bus.http_client import Answer
from hub.bus.outlet import AttemptFailedError
from hub.contracts.codec import Schema
from hub.contracts.fields import Field
from hub.domain.plain import to_json
from hub.errors import ContractError

#: What a channel may have done for each action. ``unchanged`` is the answer to a repeat.
STATUSES: Mapping[str, frozenset[str]] = {
    "publish": frozenset({"published", "replaced", "unchanged"}),
    "amend": frozenset({"published", "replaced", "unchanged"}),
    "withdraw": frozenset({"withdrawn", "unchanged"}),
}
#: A refusal's reason is kept for people; a page of HTML is not one.
MAX_REASON = 500
#: As the receipt's schema has it: a reference cut short would lead nowhere.
MAX_REFERENCE = 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a channel answered. ``received_at`` is ``None`` on a refusal: the hub's own time counts."""

    status: str
    public_reference: str | None
    reason: str | None
    received_at: datetime | None


def check_disclosable(schema: Schema) -> None:
    """Raises ContractError if a field of the class ``sensitive`` is anywhere in the view's schema.

    The projection has removed them long before; this is the last door before the public
    (ID numbers are sensitive data under the Personal Information Protection Law, art. 28).
    """
    for path, found in _walk(schema.fields, ""):
        if found.privacy == "sensitive":
            raise ContractError(f"{schema.name} as {schema.view}: {path} is sensitive, not for a channel")


def _walk(fields: tuple[Field, ...], path: str) -> Iterator[tuple[str, Field]]:
    """Every field with its path, those of records within arrays too."""
    for item in fields:
        yield f"{path}/{item.name}", item
        yield from _walk(item.items, f"{path}/{item.name}")


def request_body(order: Mapping[str, Any], schema: Schema, content: Mapping[str, Any]) -> bytes:
    """The JSON of one order: its own identity and what the view holds, nothing else."""
    return to_json({
        "order_id": order["order_id"],
        "channel": order["channel"],
        "action": order["action"],
        "sequence": order["sequence"],
        "kind": schema.name,
        "subject": order["subject"],
        "content": content,
    })


def read_answer(answer: Answer, action: str) -> Receipt:
    """The receipt in a channel's answer.

    Raises AttemptFailedError if a success says nothing that we can keep: without the channel's
    own word nobody could show that the record is public, so it is asked again.
    """
    if not answer.is_success:
        return Receipt("refused", None, _refusal_reason(answer), None)
    try:
        receipt = json.loads(answer.body)["receipt"]
        status, reference = receipt["status"], receipt["public_reference"]
        received_at = datetime.fromisoformat(receipt["received_at"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AttemptFailedError(
            f"HTTP status {answer.status} without a readable receipt ({type(error).__name__})"
        ) from None
    if received_at.tzinfo is None or not (reference is None or _is_reference(reference)):
        raise AttemptFailedError(f"HTTP status {answer.status} with an incomplete receipt")
    if not isinstance(status, str) or status not in STATUSES[action]:
        raise AttemptFailedError(f"HTTP status {answer.status} with a receipt that does not fit {action!r}")
    return Receipt(status, reference, None, received_at)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_REFERENCE


def _refusal_reason(answer: Answer) -> str:
    """Title and detail of a problem document (RFC 9457), behind the status."""
    texts: list[str] = []
    try:
        problem = json.loads(answer.body)
    except (ValueError, RecursionError):
        problem = None
    if isinstance(problem, dict):
        texts = [text for name in ("title", "detail") if isinstance(text := problem.get(name), str)]
    reason = " ".join(": ".join([f"HTTP {answer.status}", *texts]).split())
    return reason[:MAX_REASON]
