"""The platform's records in files: those of its HTTP interface, many in one, with receipts as files."""

from __future__ import annotations

import json

from connectors.collaboration_platform.wire import read_entry, to_record
from hub.disclosure import (
    Draft,
    FileFormat,
    IncompleteFileError,
    ReceiptFile,
    ReceiptFileError,
    RowAnswer,
    TryAgain,
    instant_text,
    to_json,
)


class PlatformFormat(FileFormat):
    """JSON in UTF-8; ``channel`` is the name in the file's name."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def write(self, draft: Draft) -> tuple[str, bytes]:
        name = f"{self._channel}_{draft.number}_{draft.digest}.json"
        records = [{"correlation_id": order.correlation_id, **to_record(order)} for order, _ in draft.rows]
        head = {"file": name, "batch": draft.number, "made_at": instant_text(draft.made_at), "count": len(records)}
        return name, to_json({**head, "records": records})

    def read(self, content: bytes) -> ReceiptFile:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise IncompleteFileError("no whole JSON document in UTF-8: perhaps the file is cut short") from error
        batch = document.get("file") if isinstance(document, dict) else None
        answers = document.get("answers") if isinstance(document, dict) else None
        if not isinstance(batch, str) or not isinstance(answers, list):
            raise ReceiptFileError('a receipt is {"file": …, "count": …, "answers": […]}')
        if document.get("count") != len(answers):
            raise IncompleteFileError(f"count says {document.get('count')}, and there are {len(answers)} answers")
        found: list[RowAnswer] = []
        faults: list[str] = []
        for number, entry in enumerate(answers, 1):
            order_id = entry.get("order_id") if isinstance(entry, dict) else None
            if not isinstance(order_id, str):
                faults.append(f"answer {number}: has no order_id")
                continue
            result = read_entry(entry)
            if isinstance(result, TryAgain):
                faults.append(f"answer {number}, {order_id}: {result.reason}; the row waits")
            else:
                found.append(
                    RowAnswer(order_id, result.status, result.reason, result.public_reference, result.received_at)
                )
        return ReceiptFile(batch, found, faults)
