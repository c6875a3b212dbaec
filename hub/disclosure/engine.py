"""The orders of one channel on their way: in order by enterprise and by record, in batches, over an outage of days.

In: ``disclosure.orders.v1``, of which the orders of other channels are passed over. Out: ``disclosure.receipts.v1``,
one receipt for each order, with an id derived from the order's.

While the channel is down nothing is read and the queue stays in the log. What fails alone keeps its own turn and
nobody else's. An order whose receipt stands on the log is not sent again after a kill; one whose receipt was lost on
the way comes again under the same id. What may not be public any more on the day on which it goes out goes as a
withdrawal.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

import structlog

from hub.bus.batch import Place
from hub.bus.dead_letters import to_dead_letter
from hub.bus.flow import Flow
from hub.bus.outlet import AttemptFailedError
from hub.bus.records import Output, Record
from hub.bus.tasks import Tasks
from hub.contracts.catalog import Catalog
from hub.disclosure.ahead import Backlog, LookAhead, ReceiptLoader
from hub.disclosure.late import LateReceipts
from hub.disclosure.orders import OrderReader
from hub.disclosure.queue import Item, ItemState, OrderQueue
from hub.disclosure.receipts import SUPERSEDED, ReceiptWriter
from hub.disclosure.sink import REFUSED, BatchRefusedError, NotYet, Receipt, Result, Sink, TryAgain, fault_of
from hub.disclosure.status import ChannelStatus
from hub.domain.calendar import local_date
from hub.domain.circuit import Circuit, CircuitState
from hub.domain.retry import doubled
from hub.domain.scrubbing import strip_identity
from hub.errors import ContractError, HubError, PoisonError

#: Waits between attempts at one order: the first, and the longest. An order never gives up: its clock tells a person.
WAITS = (0.2, 60.0)
#: After an outage of so long the backlog is looked through for what was overtaken meanwhile.
LOOK_SECONDS = 60.0
_log = structlog.get_logger()


class DisclosureEngine:
    """The handler of one channel's flow. All in one event loop.

    ``backlog`` gives what is still to be read, ``load_receipts`` the receipts written since a moment. ``adopts`` says
    of a channel (``None``: what nobody can read) that its orders become dead letters here: of all channels' engines
    one does that for those that nobody serves, so that there is one dead letter. ``audience`` is who reads the channel,
    as the map says: an order that shows it more becomes a dead letter too. ``now`` gives aware UTC, and so does
    ``steady``, by which it is judged whether a publication is over (``None``: by ``now``).
    """

    def __init__(
        self,
        channel: str,
        sink: Sink,
        catalog: Catalog,
        now: Callable[[], datetime],
        *,
        audience: str = "public",
        backlog: Backlog = lambda partitions: (),
        load_receipts: ReceiptLoader = lambda partitions, since: (),
        adopts: Callable[[str | None], bool] = lambda channel: False,
        circuit: Circuit | None = None,
        waits: tuple[float, float] = WAITS,
        look_seconds: float = LOOK_SECONDS,
        rule_version: str = "",
        steady: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._channel, self._sink, self._now, self._steady = channel, sink, now, steady or now
        self._reader, self._receipts = OrderReader(catalog, audience), ReceiptWriter(catalog, now)
        self._ahead = LookAhead(catalog, channel, backlog, load_receipts)
        self._adopts, self._rule_version = adopts, rule_version
        self._circuit = circuit or Circuit()
        self._waits, self._look_seconds = waits, look_seconds
        self._monotonic, self._chance = monotonic, chance
        self._log = _log.bind(channel=channel)
        self._queue, self._ready = OrderQueue(), deque[Item]()
        self._busy: set[Item] = set()
        self._partitions: set[int] = set()
        self._answered: set[str] = set()
        self._opened_at: float | None = None
        self._said = ""
        self._is_looking = False
        self._tasks = Tasks(self._broken)
        self._late: LateReceipts | None = None

    @property
    def status(self) -> ChannelStatus:
        """How it stands now; may be asked from any thread."""
        wait = self._circuit.wait(self._monotonic())
        return ChannelStatus(self._circuit.state.value, wait, len(self._queue), self._said)

    # -- the flow's side ------------------------------------------------------------------------

    def attach(self, flow: Flow) -> None:
        self._flow = flow
        self._wakes = asyncio.Event()
        can = self._sink.capabilities
        work = [self._work() for _ in range(can.max_concurrent)]
        if can.answers_later:
            self._late = LateReceipts(
                self._sink, self._queue, self._receipts, self._log, write=flow.write, end=self._ended_on_log
            )
            work.append(self._late.run(can.collect_seconds))
        for each in work:
            self._tasks.begin(each)

    def _broken(self, error: BaseException) -> None:
        self._log.error("disclosure.broken", error=type(error).__name__)
        self._flow.fail(error)

    def wants_more(self) -> bool:
        return self._circuit.state is CircuitState.CLOSED and not self._is_looking

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self._take_one(record)
            except Exception as error:  # whatever is wrong with it, the rest goes on
                self._bury(record, error)

    async def assigned(self, places: Sequence[Place]) -> None:
        partitions = [partition for _, partition in places]
        self._partitions.update(partitions)
        await self._look(partitions)

    async def revoked(self, places: Sequence[Place]) -> None:
        self._partitions.difference_update(partition for _, partition in places)
        for item in self._queue.forget(places):
            self._make_ready(item)
        # What the channel has by now is to be on record before somebody else takes over.
        while any(item.is_gone for item in self._busy):
            await asyncio.sleep(0.01)
        if not self._partitions:
            self._answered.clear()

    async def close(self) -> None:
        await self._tasks.end()
        await self._sink.close()

    # -- taking up ------------------------------------------------------------------------------

    def _take_one(self, record: Record) -> None:
        try:
            channel: str | None = self._reader.channel_of(record)
        except (PoisonError, ContractError) as error:
            channel, fault = None, error
        else:
            fault = ContractError(f"no channel {channel!r} is served")
        if channel != self._channel:
            if self._adopts(channel):
                self._bury(record, fault)
            else:
                self._flow.finish(record, [])
            return
        item = Item(record, self._reader.read(record), self._sink.capabilities.max_batch)
        if item.order_id in self._answered:
            # Its receipt was written, and the commit was not: a kill came between the two.
            self._answered.discard(item.order_id)
            self._flow.finish(record, [])
            if self._late is not None:
                self._tasks.begin(self._late.settle(item.read.ids))
        elif self._queue.find(item.order_id) is not None:
            self._flow.finish(record, [])  # routing wrote it twice; the first one is under way
        else:
            self._queue.add(item)
            self._leave_out(self._queue.overtaken(item))
            if item.state is ItemState.QUEUED and self._queue.is_first(item):
                self._make_ready(item)

    async def _look(self, partitions: Collection[int]) -> None:
        seen = await asyncio.to_thread(self._ahead.look, partitions)
        self._answered |= seen.answered
        for each in seen.ahead:
            self._queue.note(each)

    def _bury(self, record: Record, error: Exception) -> None:
        """Nobody can carry it out: it becomes a dead letter, and the rest goes on."""
        reason = str(error) if isinstance(error, HubError) else type(error).__name__
        self._log.error("dead letter", topic=record.topic, partition=record.partition, offset=record.offset,
                        error=reason)
        letter = to_dead_letter(record, "disclosure", error, attempts=1, first_failed_at=self._now(),
                                rule_version=self._rule_version)
        self._flow.finish(record, [letter])

    def _leave_out(self, overtaken: Iterable[tuple[Item, str]]) -> None:
        today = local_date(self._steady())
        for item, order_id in overtaken:
            # What is over takes back itself what may be public, and says so of the change that it stands for.
            is_over = item.order is not item.read.order or item.read.is_over(today)
            if item.state is not ItemState.ENDED and not is_over:
                self._end(item, Receipt(SUPERSEDED, reason=f"overtaken by the order {order_id}"))

    # -- sending --------------------------------------------------------------------------------

    def _make_ready(self, item: Item) -> None:
        item.state = ItemState.READY
        self._ready.append(item)
        self._wakes.set()

    async def _work(self) -> None:
        while True:
            batch = self._next_batch()
            if not batch:
                if not self._ready:
                    self._wakes.clear()
                    await self._wakes.wait()
                else:  # the channel is down, or the backlog is looked through
                    await asyncio.sleep(min(max(self._circuit.wait(self._monotonic()), 0.02), 0.5))
                continue
            self._busy.update(batch)
            try:
                await self._send(batch)
            finally:
                self._busy.difference_update(batch)

    def _next_batch(self) -> list[Item]:
        """What goes out in one request: as many as wait, and as the one with the lowest limit allows."""
        while self._ready and self._ready[0].state is not ItemState.READY:
            self._ready.popleft()
        # In this order: what a half-open circuit lets through must go.
        if not self._ready or self._is_looking or not self._circuit.asks(self._monotonic()):
            return []
        limit = 1 if self._circuit.state is CircuitState.HALF_OPEN else self._sink.capabilities.max_batch
        batch: list[Item] = []
        while self._ready and len(batch) < limit:
            item = self._ready[0]
            if item.state is ItemState.READY:
                if batch and item.limit <= len(batch):
                    break
                limit = min(limit, item.limit)
                item.state = ItemState.BUSY
                batch.append(item)
            self._ready.popleft()
        return batch

    async def _send(self, batch: Sequence[Item]) -> None:
        today = local_date(self._steady())
        for item in batch:
            item.attempts += 1
            if item.order is item.read.order and item.read.is_over(today):
                self._queue.give(item, item.read.as_of(today))
        try:
            results = await self._sink.send([item.order for item in batch])
            if len(results) != len(batch):
                raise ContractError(f"the sink gave {len(results)} results for {len(batch)} orders")
        except BatchRefusedError as error:
            self._halve(batch, error)
        except AttemptFailedError as error:
            self._failed(batch, error)
        except HubError as error:
            self._failed(batch, AttemptFailedError(str(error)))
        except Exception as error:  # a fault of ours or of the sink must not end a worker, nor an order
            self._log.error("disclosure.fault", error=type(error).__name__, order_id=batch[0].order_id)
            self._failed(batch, AttemptFailedError(f"fault of the sink: {type(error).__name__}"))
        else:
            self._take_results(batch, results)

    def _take_results(self, batch: Sequence[Item], results: Sequence[Result]) -> None:
        failed: list[tuple[Item, str]] = []
        for item, result in zip(batch, results, strict=True):
            fault = fault_of(result, item.order.action)
            if fault is not None:
                failed.append((item, fault))
            elif isinstance(result, TryAgain):
                failed.append((item, result.reason))
            elif isinstance(result, NotYet):
                item.state = ItemState.ASKED
                self._drop_if_gone(item)
            elif isinstance(result, Receipt):
                self._end(item, result)
        if len(failed) < len(batch):
            self._worked()
        for item, reason in failed:
            self._failed([item], AttemptFailedError(reason), counts=len(failed) == len(batch))

    def _worked(self) -> None:
        """The channel answered: it is there."""
        self._circuit.succeeded()
        self._said = ""
        opened_at, self._opened_at = self._opened_at, None
        if opened_at is not None and self._monotonic() - opened_at >= self._look_seconds:
            self._is_looking = True
            self._tasks.begin(self._look_again())

    async def _look_again(self) -> None:
        try:
            await self._look(sorted(self._partitions))
        except HubError as error:
            # It only saves work: without it what was overtaken goes out in its turn.
            self._log.warning("disclosure.not_looked_ahead", error=str(error))
        finally:
            self._is_looking = False
        for item in self._queue:
            later = self._queue.later_than(item)
            if later is not None and item.state is not ItemState.ENDED:
                self._leave_out([(item, later)])

    def _halve(self, batch: Sequence[Item], error: BatchRefusedError) -> None:
        if len(batch) == 1:
            self._failed(batch, AttemptFailedError(str(error)))
            return
        self._worked()
        self._log.info("disclosure.batch_refused", orders=len(batch), error=strip_identity(str(error)))
        for item in batch:
            item.limit = max(1, len(batch) // 2)
            if not self._drop_if_gone(item):
                self._make_ready(item)

    def _failed(self, batch: Sequence[Item], error: AttemptFailedError, *, counts: bool = True) -> None:
        """To be sent again. ``counts`` is whether it says something of the channel as a whole."""
        now, wish = self._monotonic(), error.retry_after_seconds or 0.0
        said = strip_identity(str(error))  # a channel may repeat what a row of ours held
        self._said = said
        # Of a batch two subjects: it failed for all of them, whichever is named.
        for item in {id(each): each for each in (batch[0], batch[-1])}.values() if counts else ():
            if self._circuit.failed(item.keys[0], now, wish):
                self._opened_at = now if self._opened_at is None else self._opened_at
                self._log.warning("disclosure.circuit_opened", error=said,
                                  seconds=round(self._circuit.wait(now), 1))
        for item in batch:
            item.last_error = said
            if not error.is_unreachable and len(batch) > 1:
                # Perhaps one record of the batch is more than the channel can bear.
                item.limit = max(1, len(batch) // 2)
            if self._drop_if_gone(item):
                continue
            if self._circuit.state is not CircuitState.CLOSED:
                self._make_ready(item)
            else:
                self._rest(item)

    def _drop_if_gone(self, item: Item) -> bool:
        """Whether its partition goes to somebody else, who will send it again."""
        if item.is_gone:
            self._queue.remove(item)
        return item.is_gone

    def _rest(self, item: Item) -> None:
        item.state = ItemState.RESTING
        first, longest = self._waits
        delay = doubled(item.attempts - 1, first=first, longest=longest) * (0.8 + 0.4 * self._chance())
        if item.attempts > 3:
            self._log.warning("disclosure.failing", order_id=item.order_id, attempts=item.attempts,
                              error=item.last_error, seconds=round(delay, 1))

        def wake() -> None:
            if item.state is ItemState.RESTING:
                self._make_ready(item)

        asyncio.get_running_loop().call_later(delay, wake)

    # -- ends -----------------------------------------------------------------------------------

    def _end(self, item: Item, receipt: Receipt) -> None:
        """It has its receipt."""
        if item.state is not ItemState.ENDED:
            self._finish(item, receipt, [self._receipts.write(item.record, item.read, item.end_of(receipt))])

    def _ended_on_log(self, item: Item, receipt: Receipt) -> None:
        """Its receipt, which came later, stands on the log already."""
        if item.state is not ItemState.ENDED:
            self._finish(item, receipt, [])

    def _finish(self, item: Item, receipt: Receipt, outputs: Sequence[Output]) -> None:
        self._flow.finish(item.record, outputs)
        # Thousands a second: the receipt tells of each on the log, this only where it is asked for.
        self._log.debug(
            "disclosure.answered", order_id=item.order_id, event_id=item.read.fields["event_id"],
            status=receipt.status, attempts=item.attempts,
        )
        if receipt.status == REFUSED and item.order.action == "withdraw":
            # What should be gone may be public: `hub disclosure list` names it, and its clock stays open.
            self._log.error("disclosure.withdrawal_refused", order_id=item.order_id,
                            correlation_id=item.brief.correlation_id)
        for each in self._queue.remove(item):
            self._make_ready(each)
