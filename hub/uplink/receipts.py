"""How each answer ended, on the log: ``uplink.receipts.v1``."""

from __future__ import annotations

from datetime import datetime

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, output_id
from hub.domain.plain import whole_millis
from hub.uplink.answer import LeadAnswer, Receipt

RECEIPTS_TOPIC = "uplink.receipts.v1"
RECEIPT_SCHEMA = "hub/uplink-receipt"
SOURCE = "/stages/uplink"


class Receipts:
    """Makes the receipts of one platform's answers, keyed by its source."""

    def __init__(self, catalog: Catalog, source: str) -> None:
        self._schema = catalog.schema(RECEIPT_SCHEMA)
        self._source = source

    def output(self, envelope: Envelope, answer: LeadAnswer, receipt: Receipt, now: datetime) -> Output:
        """The receipt; its id follows from the answer's, so that a repeat of it is the same."""
        receipt_id, finished_at = output_id(answer.answer_id, "receipt"), whole_millis(now)
        value = self._schema.encode({
            "receipt_id": receipt_id,
            "answer_id": answer.answer_id,
            "event_id": envelope.id,
            "event_type": envelope.type,
            "correlation_id": envelope.correlation_id,
            "source": self._source,
            "task_number": answer.task_no,
            "action": answer.action,
            "status": receipt.status,
            "reference": receipt.reference,
            "reason": receipt.reason,
            "finished_at": finished_at,
        })  # fmt: skip
        caused = envelope.caused(
            id=receipt_id, source=SOURCE, type=f"uplink.receipt.{receipt.status}", time=finished_at
        )
        return Output(RECEIPTS_TOPIC, self._source.encode(), value, to_headers(caused))
