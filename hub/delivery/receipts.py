"""How the delivery of a notice ended, as the record of it: the hub's receipt for its own log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.flat import compile_writer, millis, utf8
from hub.delivery.message import action_of
from hub.delivery.replays import is_replay
from hub.domain.events import Envelope, output_id

RECEIPTS_TOPIC = "delivery.receipts.v1"
RECEIPT_SCHEMA = "hub/delivery-receipt"
SOURCE = "/stages/delivery"

Outcome = Literal["delivered", "parked", "expired", "superseded", "dropped"]
#: How a replay ended. Types and codes of their own: no clock is met by what was sent again, and nothing counts it as
#: the delivery of its notice.
ReplayOutcome = Literal["replayed", "forgone"]


#: What differs from receipt to receipt, in the order of the schema.
_FIELDS = (
    "receipt_id", "notice_id", "event_id", "event_type", "correlation_id", "subject", "department_code", "status",
    "attempts", "http_status", "endpoint", "action", "sequence", "place", "content_digest", "signed_at", "signature",
    "file", "reason", "first_attempt_at", "finished_at",
)


class Sent(NamedTuple):
    """What was handed over: enough to prove it later beside the notice itself.

    The digest is over the body; on Kafka over the record's own value, which nobody signs. ``file`` is the package
    that it went in.
    """

    content_digest: str
    signed_at: datetime | None = None
    signature: str | None = None
    file: str | None = None


class Tried(NamedTuple):
    """How often and since when (aware UTC) it was tried, and what the last answer was."""

    attempts: int
    first_at: datetime
    http_status: int | None = None


class ReceiptWriter:
    """Receipts of one subscription. ``method`` is a code of ``delivery-method``."""

    def __init__(self, catalog: Catalog, subscription: str, method: str) -> None:
        constants = {"subscription": subscription, "method": method}
        self._write = compile_writer(catalog.schema(RECEIPT_SCHEMA), constants, _FIELDS)

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
        whatever it is and however often it is written. Of a replay it says whether it was replayed, of which notice
        and by which request.
        """
        part = "receipt:parked" if outcome == "parked" else "receipt"
        said: Outcome | ReplayOutcome = outcome
        if is_replay(notice):
            said = "replayed" if outcome == "delivered" else "forgone"
            again = f"notice {notice['replay_of']} again, request {notice['replay_request']}"
            reason = again if reason is None else f"{again}: {reason}"
        receipt_id = output_id(notice["notice_id"], part)
        caused = envelope.caused(id=receipt_id, source=SOURCE, type=f"delivery.receipt.{said}", time=now)
        value = self._write((
            receipt_id.encode(), notice["notice_id"].encode(), notice["event_id"].encode(),
            notice["event_type"].encode(), notice["correlation_id"].encode(), notice["subject"].encode(),
            notice["department_code"].encode(), said.encode(), tried.attempts, tried.http_status, utf8(endpoint),
            action_of(notice).encode(), notice["sequence"],
            f"{record.topic}/{record.partition}/{record.offset}".encode(),
            utf8(sent.content_digest if sent else None), millis(sent.signed_at if sent else None),
            utf8(sent.signature if sent else None), utf8(sent.file if sent else None), utf8(reason),
            millis(tried.first_at), millis(now),
        ))
        return Output(RECEIPTS_TOPIC, record.key, value, to_headers(caused))
