"""The uplink: supervision acts in numbered batches to the province, which reports them to the nation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import structlog

from connectors.provincial_uplink.acts import load_standard, row_of, withheld
from connectors.provincial_uplink.settings import UplinkSettings
from connectors.provincial_uplink.wire import ROW_BYTES, batch_writer, is_of_batch, read_results
from hub.disclosure import (
    MAX_ANSWER_BYTES,
    MAX_REASON,
    REFUSED,
    Answer,
    AttemptFailedError,
    Batch,
    BatchRefusedError,
    Capabilities,
    Change,
    HttpClient,
    Ledger,
    Order,
    Receipt,
    RequestFailedError,
    Result,
    Sink,
    SinkContext,
    TryAgain,
    refusal_of,
)

#: So long an order that comes again, after a kill, gets the very receipt of the first time; later it is "unchanged".
KEEP_ANSWERS = timedelta(days=7)
#: So often a batch is sent that gets no usable answer. An answer that was lost on the way comes with the second time;
#: what fails a third time fails by what is in it.
TRIES = 3
_log = structlog.get_logger()


class UselessAnswerError(AttemptFailedError):
    """A batch got there, and what came back, if anything, says nothing of its rows."""


class GivenUpError(AttemptFailedError):
    """A batch had no usable answer for the last time, ``is_silent``: none at all. It is in the ledger no more."""

    def __init__(self, message: str, *, is_silent: bool) -> None:
        super().__init__(message)
        self.is_silent = is_silent


class ProvincialUplink(Sink):
    """``POST {url}/api/v1/exchange/{table}/{cd_batch}``. Numbers only grow, so one request at a time.

    A batch whose answer was lost is sent again as it was, under its number, before anything new. One that gets no
    usable answer at all is given up: its rows go in other batches, which the hub makes smaller and smaller, until the
    row that spoils it is alone and in nobody's way.
    """

    Settings = UplinkSettings
    audience = "government"

    def __init__(self, context: SinkContext) -> None:
        self._settings: UplinkSettings = context.settings
        self._context, self._standard = context, load_standard()
        self._client = HttpClient(context.now, max_connections=1)
        self._ledger = Ledger(context.folder, first_number=self._settings.first_batch)
        self._write = batch_writer(self._settings.source_code, context.fields)
        self._turn = asyncio.Lock()
        self._looked_at: set[str] = set()
        #: Batch -> how often it had no usable answer. After a kill it is counted anew.
        self._failures: Counter[str] = Counter()
        self.capabilities = Capabilities(max_batch=self._settings.max_batch, max_concurrent=1)

    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        async with self._turn:
            await self._send_old(orders)
            refusals = await self._send_new(orders)
            found = await asyncio.to_thread(self._ledger.sort, [
                order for order in orders if order.order_id not in refusals
            ])
            await asyncio.to_thread(self._ledger.forget, self._context.now() - KEEP_ANSWERS)
        missing = TryAgain("the answer to the batch does not name it")
        return [
            refusals.get(order.order_id) or found.receipts.get(order.order_id) or missing for order in orders
        ]

    async def _send_old(self, orders: Sequence[Order]) -> None:
        """Sends again what had no answer, in the order of the numbers, and what lacks those of some of these orders."""
        waiting = await asyncio.to_thread(self._ledger.unsent)
        found = await asyncio.to_thread(self._ledger.sort, orders)
        for name in dict.fromkeys([*(batch.name for batch in waiting), *found.open.values()]):
            batch = await asyncio.to_thread(self._ledger.find, name)
            if batch is not None:
                await self._send_again(batch, orders[0].traceparent)

    async def _send_again(self, batch: Batch, traceparent: str | None) -> None:
        """Until it is answered, refused as a whole or given up: then its orders go in new ones when their turn comes.

        At once where the province answers: nothing new may go before it, and what one row does to it is no matter of
        other orders. Where nothing came back the hub hears of it each time, and at last, of more than one row, that the
        province was not out of reach: it makes its next batches smaller.
        """
        while True:
            try:
                await self._submit(batch, traceparent)
            except BatchRefusedError:
                return
            except UselessAnswerError as error:
                if error.is_unreachable:
                    raise
            except GivenUpError as error:
                if error.is_silent and len(batch.order_ids) > 1:
                    raise
                return
            else:
                return

    async def _send_new(self, orders: Sequence[Order]) -> dict[str, Receipt]:
        """Sends what is in no batch yet; receipts of those that the standard does not take."""
        refusals: dict[str, Receipt] = {}
        groups: dict[str, list[tuple[Order, Change]]] = {}
        for order, change in (await asyncio.to_thread(self._ledger.sort, orders)).rows:
            reason = self._refusal(order, change)
            if reason is not None:
                refusals[order.order_id] = Receipt(REFUSED, reason=reason)
            else:
                groups.setdefault(order.kind, []).append((order, change))
        for rows in groups.values():
            batch = await asyncio.to_thread(
                self._ledger.enter, rows, self._context.now(), self._write, lambda order: order.correlation_id
            )
            await self._submit(batch, rows[0][0].traceparent)
        return refusals

    def _refusal(self, order: Order, change: Change) -> str | None:
        act = self._standard.acts.get(order.kind)
        if act is None:
            known = "、".join(each.title for each in self._standard.acts.values())
            return f"只报送{known}，不报送 {order.kind}"
        fields = self._context.fields(order.kind)
        if order.kind not in self._looked_at:
            self._looked_at.add(order.kind)
            if lacking := withheld(act, {field.name for field in fields}):
                _log.warning("uplink.view_lacks_required_columns", channel=self._context.channel, kind=order.kind,
                             columns=lacking)
        if change is Change.DELETE:
            return None  # what is to go goes, whatever it looks like
        return "；".join(row_of(order.kind, order.content, fields, self._standard).faults)[:MAX_REASON] or None

    async def _submit(self, batch: Batch, traceparent: str | None) -> None:
        """Sends a batch and notes its answers. Raises AttemptFailedError and BatchRefusedError."""
        try:
            await self._try(batch, traceparent)
        except UselessAnswerError as error:
            self._failures[batch.name] += 1
            if self._failures[batch.name] < TRIES:
                raise
            _log.warning("uplink.batch_given_up", channel=self._context.channel, number=batch.number,
                         rows=len(batch.order_ids), error=str(error))
            # The province may have done it. Its rows keep their names, by which it knows them in another batch.
            await asyncio.to_thread(self._ledger.cancel, batch.name, is_sure=False)
            del self._failures[batch.name]
            raise GivenUpError(f"{error}, {TRIES} times for one batch", is_silent=error.is_unreachable) from error
        self._failures.pop(batch.name, None)

    async def _try(self, batch: Batch, traceparent: str | None) -> None:
        answer = await self._ask(batch, traceparent)
        reason = None if answer.is_success else refusal_of(answer)
        if answer.status == 401 or (answer.status == 403 and reason is not None):
            raise AttemptFailedError(f"HTTP status {answer.status}: the province does not accept our token")
        if answer.status == 409:
            # The ledger was lost, and the day's numbers began anew: the next one may be free.
            await asyncio.to_thread(self._ledger.cancel, batch.name)
            raise AttemptFailedError(f"the number {batch.number} was used before, for other rows")
        if reason is not None:
            await self._refuse(batch, reason)
            return
        if not answer.is_success:
            raise UselessAnswerError(f"HTTP status {answer.status} without a problem document of the province's own")
        results = read_results(answer)
        if not results:
            raise UselessAnswerError(f"HTTP status {answer.status} without a readable list of results")
        await asyncio.to_thread(self._note, batch, results)

    async def _ask(self, batch: Batch, traceparent: str | None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if (token := self._settings.secret("token")) is not None:
            headers["Authorization"] = f"Bearer {token}"
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            return await self._client.request(
                "POST", f"{self._settings.url.rstrip('/')}/api/v1/exchange/{batch.name}", body=batch.content,
                headers=headers, timeout_seconds=self._settings.timeout_seconds,
                max_bytes=MAX_ANSWER_BYTES + ROW_BYTES * len(batch.order_ids),
            )
        except RequestFailedError as error:
            if is_of_batch(error):
                raise UselessAnswerError(str(error), is_unreachable=error.is_unreachable) from error
            raise

    def _note(self, batch: Batch, results: Sequence[tuple[str, str | None]]) -> None:
        self._ledger.note_sent(batch.name, self._context.now())
        for order_id, reason in results:
            self._ledger.answer(order_id, None if reason is None else REFUSED, reason=reason, batch=batch.name)

    async def _refuse(self, batch: Batch, reason: str) -> None:
        if len(batch.order_ids) == 1:
            await asyncio.to_thread(self._note, batch, [(batch.order_ids[0], reason)])
            return
        await asyncio.to_thread(self._ledger.cancel, batch.name)
        raise BatchRefusedError(f"{reason}, for {len(batch.order_ids)} rows")

    async def close(self) -> None:
        await self._client.close()
        await asyncio.to_thread(self._ledger.close)
