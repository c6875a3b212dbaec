"""Receipts that come later: looked for again and again, and settled when they stand on the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from hub.bus.records import Output
from hub.disclosure.queue import Item, ItemState, OrderQueue
from hub.disclosure.receipts import ReceiptWriter
from hub.disclosure.sink import Receipt, Sink, fault_of
from hub.errors import HubError


class LateReceipts:
    """Collects for one channel. ``write`` says whether outputs are acknowledged, ``end`` is told of each order whose
    receipt is."""

    def __init__(
        self, sink: Sink, queue: OrderQueue, receipts: ReceiptWriter, log: Any, *,
        write: Callable[[Sequence[Output]], Awaitable[bool]], end: Callable[[Item, Receipt], None],
    ) -> None:
        self._sink, self._queue, self._receipts, self._log = sink, queue, receipts, log
        self._write, self._end = write, end

    async def run(self, seconds: float) -> None:
        """For ever, with a pause of so long."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self._collect()
            except HubError as error:
                self._log.warning("disclosure.not_collected", error=str(error))
            except Exception as error:  # a fault of the sink must not end this for good
                self._log.error("disclosure.fault", error=type(error).__name__)

    async def settle(self, order_ids: Collection[str]) -> None:
        """These ended before: a kill came before the sink was told."""
        with contextlib.suppress(HubError):
            await self._sink.settle(order_ids)

    async def _collect(self) -> None:
        found: dict[str, tuple[Item, Receipt]] = {}
        for order_id, receipt in await self._sink.collect():
            item = self._queue.sent_as(order_id)
            if item is None or item.state is ItemState.BUSY:
                continue  # not of ours, not read yet, or being sent: it is given again
            fault = fault_of(receipt, item.order.action)
            if fault is None:
                found.setdefault(order_id, (item, receipt))
            else:
                self._log.error("disclosure.bad_receipt", order_id=order_id, error=fault)
        outputs = [
            self._receipts.write(item.record, item.read, item.end_of(receipt)) for item, receipt in found.values()
        ]
        if not outputs or not await self._write(outputs):
            return
        for item, receipt in found.values():
            self._end(item, receipt)
        # What is over may have gone out before as what it was.
        await self._sink.settle(list(dict.fromkeys([*found, *(item.order_id for item, _ in found.values())])))
