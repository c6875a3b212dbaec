"""How the delivery of a notice ended, as the record of it: the hub's receipt for its own log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, output_id

RECEIPTS_TOPIC = "delivery.receipts.v1"
RECEIPT_SCHEMA = "hub/delivery-receipt"
SOURCE = "/stages/delivery"

Outcome = Literal["delivered", "parked", "expired", "superseded", "dropped"]


class Sent(NamedTuple):
    """What was handed over: enough to prove it later beside the notice itself."""

    content_digest: str
    signed_at: datetime
    signature: str


class Tried(NamedTuple):
    """How often and since when (aware UTC) it was tried, and what the last answer was."""

    attempts: int
    first_at: datetime
    http_status: int | None = None


class ReceiptWriter:
    """Receipts of one subscription. ``method`` is a code of ``delivery-method``."""

    def __init__(self, catalog: Catalog, subscription: str, method: str) -> None:
        self._schema = catalog.schema(RECEIPT_SCHEMA)
        self._subscription, self._method = subscription, method

    def write(
        self,
        record: Record,
        notice: Mapping[str, Any],
        envelope: Envelope,
        outcome: Outcome,
        tried: Tried,
        now: datetime,
        *,
        endpoint: str | None = None,
        reason: str | None = None,
        sent: Sent | None = None,
    ) -> Output:
        """The receipt of ``record``, whose fields are ``notice``.

        A notice is parked before it ends, so that is a receipt of another id; the end itself has one id,
        whatever it is and however often it is written.
        """
        part = "receipt:parked" if outcome == "parked" else "receipt"
        receipt_id = output_id(notice["notice_id"], part)
        caused = envelope.caused(id=receipt_id, source=SOURCE, type=f"delivery.receipt.{outcome}", time=now)
        value = self._schema.encode({
            "receipt_id": receipt_id,
            "notice_id": notice["notice_id"],
            "event_id": notice["event_id"],
            "event_type": notice["event_type"],
            "correlation_id": notice["correlation_id"],
            "subject": notice["subject"],
            "subscription": self._subscription,
            "department_code": notice["department_code"],
            "status": outcome,
            "attempts": tried.attempts,
            "http_status": tried.http_status,
            "endpoint": endpoint,
            "action": notice["action"],
            "sequence": notice["sequence"],
            "method": self._method,
            "place": f"{record.topic}/{record.partition}/{record.offset}",
            "content_digest": sent.content_digest if sent else None,
            "signed_at": sent.signed_at if sent else None,
            "signature": sent.signature if sent else None,
            "file": None,
            "reason": reason,
            "first_attempt_at": tried.first_at,
            "finished_at": now,
        })
        return Output(RECEIPTS_TOPIC, record.key, value, to_headers(caused))
