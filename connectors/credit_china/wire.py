"""The files themselves: what a batch and its receipt look like. The README lists what of it is assumed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import datetime

from connectors.credit_china.template import cells_of, load_templates
from hub.disclosure import (
    MAX_REASON,
    REFUSED,
    Change,
    Draft,
    Field,
    FileFormat,
    IncompleteFileError,
    Order,
    ReceiptFile,
    ReceiptFileError,
    RowAnswer,
    instant_text,
)

#: Columns of a receipt file; its last row is END with the number of rows before it.
RECEIPT_COLUMNS = ("file", "cd_id", "result", "reason", "reference", "time")
END = "END"
#: The column that says, of a row that is taken back, why.
REMARK, MAX_REMARK = "BZ", 512
ACCEPTED, REFUSED_ROW = "1", "0"


class CreditChinaFormat(FileFormat):
    """CSV of one template each; ``fields`` gives a kind's fields in the channel's view."""

    def __init__(self, source_code: str, encoding: str, fields: Callable[[str], Sequence[Field]]) -> None:
        self._source_code, self._encoding, self._fields = source_code, encoding, fields
        self._templates = load_templates()

    def refusal(self, order: Order, change: Change) -> str | None:
        if order.kind not in self._templates.tables:
            known = "、".join(f"{table.title}（{kind}）" for kind, table in self._templates.tables.items())
            return f"双公示只收 {known}，不收 {order.kind}"
        if change is Change.DELETE:
            return None  # what is to go goes, whatever it looks like
        faults = cells_of(order.kind, order.content, self._fields(order.kind), self._templates).faults
        return "；".join(faults)[:MAX_REASON] or None

    def group(self, order: Order) -> str:
        return order.kind

    def reference(self, order: Order) -> str | None:
        """The number of the decision (文号): what 信用中国 is searched by."""
        column = self._templates.tables[order.kind].document
        return next((
            str(order.content.get(field.name) or "") for field in self._fields(order.kind) if field.standard == column
        ), None)

    def write(self, draft: Draft) -> tuple[str, bytes]:
        kind = draft.rows[0][0].kind
        table, fields = self._templates.tables[kind], self._fields(kind)
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\r\n")
        columns = [column.name for column in table.columns]
        out.writerow([*self._templates.envelope, *columns])
        made_at = instant_text(draft.made_at)
        for order, change in draft.rows:
            values = dict(cells_of(kind, order.content, fields, self._templates).values)
            if change is Change.DELETE:
                values[REMARK] = (order.reason or "")[:MAX_REMARK]
            envelope = [
                order.order_id, made_at, self._source_code, draft.number, change.value, order.correlation_id
            ]
            out.writerow([*envelope, *(values[name] for name in columns)])
        name = f"{table.prefix}_{self._source_code}_{draft.number}_{draft.digest}.csv"
        # What GB18030 or UTF-8 cannot hold is no character of a record: half of a surrogate pair.
        return name, text.getvalue().encode(self._encoding, errors="replace")

    def read(self, content: bytes) -> ReceiptFile:
        try:
            rows = list(csv.reader(io.StringIO(_decoded(content), newline="")))
        except csv.Error as error:
            raise ReceiptFileError(f"no CSV: {error}") from error
        if not rows or tuple(rows[0]) != RECEIPT_COLUMNS:
            raise ReceiptFileError(f"the first row has to be {','.join(RECEIPT_COLUMNS)}")
        body, last = rows[1:-1], rows[-1] if len(rows) > 1 else []
        if not last or last[0] != END:
            raise IncompleteFileError(f"the last row has to be {END} with the number of rows: the file is cut short")
        if len(last) < 2 or last[1] != str(len(body)):
            said = last[1] if len(last) > 1 else "nothing"
            raise IncompleteFileError(f"the last row says {said} rows, and there are {len(body)}")
        files = {row[0] for row in body if row}
        if len(files) != 1:
            raise ReceiptFileError(f"a receipt answers one file, this one names {len(files)}")
        answers: list[RowAnswer] = []
        faults: list[str] = []
        for number, row in enumerate(body, 2):
            found = _answer(row)
            if isinstance(found, str):
                faults.append(f"row {number}: {found}")
            else:
                answers.append(found)
        return ReceiptFile(files.pop(), answers, faults)


def _answer(row: Sequence[str]) -> RowAnswer | str:
    """The answer in a row, or what is wrong with it."""
    if len(row) != len(RECEIPT_COLUMNS):
        return f"{len(row)} cells instead of {len(RECEIPT_COLUMNS)}"
    _, order_id, result, reason, reference, time = row
    if result not in (ACCEPTED, REFUSED_ROW):
        return f"result is {result!r}; {ACCEPTED} is accepted, {REFUSED_ROW} refused"
    try:
        received_at = datetime.fromisoformat(time) if time else None
    except ValueError:
        return f"time is {time!r}; right would be 2026-03-02T09:00:00+08:00"
    if received_at is not None and received_at.tzinfo is None:
        return f"time {time!r} has no zone; right would be 2026-03-02T09:00:00+08:00"
    if result == ACCEPTED:
        return RowAnswer(order_id, None, None, reference or None, received_at)
    return RowAnswer(order_id, REFUSED, " ".join(reason.split()) or None)


def _decoded(content: bytes) -> str:
    """Receipts come as Excel or an old system writes them."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ReceiptFileError("neither UTF-8 nor GB18030")
