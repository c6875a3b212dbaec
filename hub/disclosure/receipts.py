"""How an order ended, as it stands on ``disclosure.receipts.v1``: one receipt for each order, under one id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.disclosure.orders import Read
from hub.disclosure.sink import Receipt
from hub.domain.events import output_id
from hub.domain.scrubbing import strip_identity

RECEIPTS_TOPIC = "disclosure.receipts.v1"
RECEIPT_SCHEMA = "hub/disclosure-receipt"
SOURCE = "/stages/disclosure"
#: Left out: the withdrawal of its record had overtaken it before it went out.
SUPERSEDED = "superseded"


class ReceiptWriter:
    """Receipts of orders. ``now`` gives aware UTC."""

    def __init__(self, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._schema = catalog.schema(RECEIPT_SCHEMA)
        self._now = now

    def write(self, record: Record, read: Read, receipt: Receipt) -> Output:
        """The receipt of the order ``record``."""
        order, received_at = read.fields, receipt.received_at or self._now()
        receipt_id = output_id(order["order_id"], "receipt")
        envelope = read.envelope.caused(
            id=receipt_id, source=SOURCE, type=f"disclosure.receipt.{receipt.status}", time=received_at
        )
        value = self._schema.encode({
            "receipt_id": receipt_id,
            "order_id": order["order_id"],
            "event_id": order["event_id"],
            "event_type": order["event_type"],
            "correlation_id": order["correlation_id"],
            "source": order["source"],
            "subject": order["subject"],
            "channel": order["channel"],
            "action": order["action"],
            "status": receipt.status,
            "public_reference": receipt.public_reference,
            # In the channel's own words, which may name what a row of ours held.
            "reason": strip_identity(receipt.reason) if receipt.reason else receipt.reason,
            "received_at": received_at,
        })
        return Output(RECEIPTS_TOPIC, record.key, value, to_headers(envelope))
