"""Notices of one subscription on their way to the department: in order by subject, none in another's way.

In: ``inbox.<subscription>``, ``delivery.commands.v1``. Out: ``delivery.receipts.v1``, ``delivery.waits.v1``.

A failing endpoint and a failing subject are two things. If requests for several subjects fail and none goes
through, it is the endpoint: the circuit opens, nothing more is read, and the queue stays in the inbox. If
others go through, it is what is sent: the subject is put aside with its followers, and the inbox goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from hub.bus.batch import Place
from hub.bus.dead_letters import to_dead_letter
from hub.bus.flow import Flow
from hub.bus.outlet import AttemptFailedError
from hub.bus.records import Output, Record
from hub.bus.table_loader import Loader
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.delivery.commands import COMMANDS_TOPIC, Command, read_command
from hub.delivery.gate import Gate
from hub.delivery.indexing import Indexer, NoticeWriter
from hub.delivery.lines import Item, Line, Lines, LineState
from hub.delivery.message import read_inbox, to_body, to_notice
from hub.delivery.receipts import Outcome, ReceiptWriter, Sent, Tried
from hub.delivery.transport import GONE, Transport, WithdrawnError, close_later
from hub.delivery.waits import Wait, WaitLog
from hub.domain.circuit import Circuit, CircuitState
from hub.domain.retry import RetryAt, RetryPolicy, Schedule
from hub.errors import HubError

#: Notices put aside that are held in memory, with about 3 KB each; beyond it nothing more is read.
MAX_ASIDE = 50_000
_log = structlog.get_logger()


class DeliveryEngine:
    """The handler of one subscription's flow. All in one event loop.

    ``policy`` says how a notice is tried in place, while the inbox waits for it; ``schedule`` how it is tried
    again once it was put aside. ``load_waits`` reads the topic of waits. The index is written before the
    first attempt, since a department may answer at once, but delivery never waits long for Redis.
    """

    def __init__(
        self,
        subscription: str,
        transport: Transport,
        catalog: Catalog,
        now: Callable[[], datetime],
        notice_index: NoticeWriter,
        load_waits: Loader,
        *,
        policy: RetryPolicy | None = None,
        schedule: Schedule | None = None,
        circuit: Circuit | None = None,
        gate: Gate | None = None,
        method: str = "webhook",
        on_gone: Callable[[str], Sequence[Output]] = lambda reason: (),
        rule_version: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._subscription, self._transport, self._catalog, self._now = subscription, transport, catalog, now
        self._inbox = f"inbox.{subscription}"
        self._load_waits = load_waits
        self._policy, self._schedule = policy or RetryPolicy(), schedule or Schedule()
        self._circuit = circuit or Circuit()
        self._gate = gate or Gate(now, monotonic, lambda day: True)
        self._on_gone = on_gone
        self._rule_version = rule_version
        self._monotonic, self._chance = monotonic, chance
        self._receipts = ReceiptWriter(catalog, subscription, method)
        self._waits = WaitLog(catalog)
        self._lines = Lines()
        self._aside = 0
        self._busy: set[Line] = set()
        self._generation = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._log = _log.bind(subscription=subscription)
        self._indexer = Indexer(notice_index, monotonic, self._log)

    # -- the flow's side ------------------------------------------------------------------------

    def attach(self, flow: Flow) -> None:
        self._flow = flow
        self._ready: asyncio.Queue[Line] = asyncio.Queue()
        self._taken: asyncio.Queue[tuple[int, Sequence[Record]]] = asyncio.Queue()
        work = [self._admit_all(), *(self._work() for _ in range(self._transport.max_concurrent))]
        self._tasks += [asyncio.get_running_loop().create_task(each) for each in work]

    def wants_more(self) -> bool:
        return (
            self._circuit.state is CircuitState.CLOSED and self._gate.reason is None and self._aside < MAX_ASIDE
        )

    def take(self, records: Sequence[Record]) -> None:
        self._taken.put_nowait((self._generation, records))

    async def assigned(self, places: Sequence[Place]) -> None:
        partitions = [partition for topic, partition in places if topic == self._inbox]
        if not partitions:
            return
        for waiting in await asyncio.to_thread(lambda: list(self._waits.load(self._load_waits, partitions))):
            if waiting.subscription != self._subscription:
                continue
            item = self._prepare(waiting.record, waiting.wait)
            item.tries_in_place = self._policy.max_attempts
            self._lines.of(waiting.record).items.append(item)
            self._aside += 1
        for line in self._lines:
            if line.items and line.state is LineState.IDLE:
                self._take_up(line)

    async def revoked(self, places: Sequence[Place]) -> None:
        self._generation += 1
        gone = self._lines.forget(places)
        self._transport.call_off()
        while self._busy.intersection(gone):
            await asyncio.sleep(0.01)
        self._aside -= sum(item.wait is not None for line in gone for item in line.items)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._transport.close()

    def use(self, transport: Transport) -> None:
        """Sends over ``transport`` from now on; what is under way ends over the one before."""
        before, self._transport = self._transport, transport
        self._tasks.append(asyncio.get_running_loop().create_task(close_later(before)))

    # -- taking up ------------------------------------------------------------------------------

    async def _admit_all(self) -> None:
        while True:
            generation, records = await self._taken.get()
            items: list[Item] = []
            for record in records:
                try:
                    if record.topic == COMMANDS_TOPIC:
                        self._obey(record)
                        self._flow.finish(record, [])
                    else:
                        items.append(self._prepare(record, None))
                except Exception as error:  # whatever is wrong with it, the rest goes on
                    self._bury(record, error)
            await self._indexer.put([to_notice(item.notice) for item in items])
            if generation == self._generation:
                for item in items:
                    self._admit(item)

    def _prepare(self, record: Record, wait: Wait | None) -> Item:
        notice = read_inbox(record, self._catalog, self._subscription)
        return Item(record, notice, from_headers(record.headers), to_body(notice, self._catalog), wait)

    def _admit(self, item: Item) -> None:
        line = self._lines.of(item.record)
        if line.items and item.record.offset <= line.items[-1].record.offset:
            # Read again after a kill that came before the commit.
            if any(each.record.offset == item.record.offset for each in line.items):
                self._flow.finish(item.record, [])  # put aside before it
            else:
                line.items.appendleft(item)  # it went out, but perhaps its receipt was not written
                self._make_ready(line)
            return
        line.items.append(item)
        if line.is_held:
            self._put_behind(line, item)
        elif line.state is LineState.IDLE:
            self._make_ready(line)

    def _take_up(self, line: Line) -> None:
        """What waits when a partition comes: as it was left."""
        wait = line.items[0].wait
        if wait is not None and wait.state == "parked":
            line.state = LineState.PARKED
        elif wait is not None and wait.state == "retrying" and wait.next_attempt_at is not None:
            self._sleep(line, LineState.WAITING, (wait.next_attempt_at - self._now()).total_seconds())
        else:
            self._make_ready(line)

    def _bury(self, record: Record, error: Exception) -> None:
        reason = str(error) if isinstance(error, HubError) else type(error).__name__
        self._log.error("dead letter", topic=record.topic, partition=record.partition, offset=record.offset,
                        error=reason)
        letter = to_dead_letter(record, "delivery", error, attempts=1, first_failed_at=self._now(),
                                rule_version=self._rule_version)
        self._flow.finish(record, [letter])

    # -- one line -------------------------------------------------------------------------------

    def _make_ready(self, line: Line) -> None:
        line.state = LineState.READY
        self._ready.put_nowait(line)

    def _sleep(self, line: Line, state: LineState, seconds: float) -> None:
        line.state = state
        first = line.items[0]

        def wake() -> None:
            if line.state is state and not line.is_gone and line.items and line.items[0] is first:
                self._make_ready(line)

        asyncio.get_running_loop().call_later(max(0.0, seconds), wake)

    async def _work(self) -> None:
        while True:
            line = await self._ready.get()
            while not line.is_gone and not self._may_go():
                await asyncio.sleep(min(max(self._circuit.wait(self._monotonic()), 0.02), 0.5))
            if line.is_gone or line.state is not LineState.READY:
                continue
            line.state = LineState.BUSY
            self._busy.add(line)
            try:
                await self._serve(line)
            finally:
                self._busy.discard(line)

    def _may_go(self) -> bool:
        # In this order: what a half-open circuit lets through must go.
        if not (self._gate.admits() and self._circuit.asks(self._monotonic())):
            return False
        self._gate.count()
        return True

    async def _serve(self, line: Line) -> None:
        item = line.items[0]
        item.first_at = item.first_at or self._now()
        item.attempts += 1
        item.tries_in_place += 1
        try:
            taken = await self._transport.attempt(item.notice_id, item.body, item.envelope.traceparent)
        except AttemptFailedError as error:
            self._failed(line, item, error)
            return
        except WithdrawnError:
            item.attempts -= 1
            self._go_on(line)
            return
        except HubError as error:
            self._failed(line, item, AttemptFailedError(str(error)))
            return
        except Exception as error:  # a fault of ours must not end a worker, nor the line
            self._log.error("delivery.fault", error=type(error).__name__, notice_id=item.notice_id)
            self._failed(line, item, AttemptFailedError(f"fault of the hub: {type(error).__name__}"))
            return
        self._circuit.succeeded()
        item.http_status = taken.http_status
        if taken.is_success:
            self._end(line, item, "delivered", None, taken.sent)
        elif taken.http_status == GONE:
            self._stop_for_good(line, item)
        else:
            self._park(line, item, taken.reason or f"HTTP {taken.http_status}")

    def _stop_for_good(self, line: Line, item: Item) -> None:
        """The endpoint says that it is no more: nothing is sent until a person has entered where to."""
        reason = "HTTP 410: the endpoint is gone"
        if self._gate.reason is None:
            self._log.warning("delivery.disabled", endpoint=self._transport.address, error=reason)
            self._flow.finish(None, self._on_gone(reason))
        self._gate.close(reason)
        if not line.is_gone:
            item.tries_in_place = 0
            self._sleep(line, LineState.RESTING, self._policy.first_delay_seconds)

    def _end(self, line: Line, item: Item, outcome: Outcome, reason: str | None, sent: Sent | None) -> None:
        outputs = [self._receipt(item, outcome, reason, sent)]
        if item.wait is not None:
            outputs.append(self._waits.gone(item.record, item.notice_id))
            self._aside -= 0 if line.is_gone else 1
        self._flow.finish(None if item.wait is not None else item.record, outputs)
        line.items.remove(item)
        # Thousands a second: the receipt tells of each on the log of events, this only where it is asked for.
        self._log.debug(
            "delivery.finished", notice_id=item.notice_id, event_id=item.notice["event_id"], status=outcome,
            attempts=item.attempts, http_status=item.http_status,
        )
        self._go_on(line)

    def _go_on(self, line: Line) -> None:
        if line.is_gone:
            return
        if line.items:
            self._make_ready(line)
        else:
            line.state = LineState.IDLE
            self._lines.drop_empty(line)

    def _failed(self, line: Line, item: Item, error: AttemptFailedError) -> None:
        wish = error.retry_after_seconds or 0.0
        if self._circuit.failed(line.key, self._monotonic(), wish):
            self._log.warning("delivery.circuit_opened", endpoint=self._transport.address, error=str(error),
                              seconds=round(self._circuit.wait(self._monotonic()), 1))
        decision = self._policy.decide(
            item.tries_in_place, retry_after_seconds=error.retry_after_seconds, chance=self._chance()
        )
        if line.is_gone:
            return
        if self._circuit.state is not CircuitState.CLOSED:
            # Not the notice's own fault, as far as anybody can tell: it keeps its place.
            item.tries_in_place = 0
            self._sleep(line, LineState.RESTING, self._policy.first_delay_seconds)
        elif isinstance(decision, RetryAt):
            self._sleep(line, LineState.RESTING, decision.delay_seconds)
        else:
            self._put_aside(line, item, str(error))

    # -- aside ----------------------------------------------------------------------------------

    def _put_aside(self, line: Line, item: Item, reason: str) -> None:
        number = item.attempts - self._policy.max_attempts
        delay = self._schedule.delay(max(0, number), chance=self._chance())
        if delay is None:
            self._park(line, item, f"{reason}; {item.attempts} attempts failed")
            return
        next_at = self._now() + timedelta(seconds=delay)
        self._write_wait(line, item, Wait("retrying", reason, next_attempt_at=next_at))
        self._sleep(line, LineState.WAITING, delay)
        for each in list(line.items)[1:]:
            self._put_behind(line, each)
        self._log.warning("delivery.put_aside", notice_id=item.notice_id, error=reason, attempts=item.attempts,
                          seconds=round(delay))

    def _park(self, line: Line, item: Item, reason: str) -> None:
        line.state = LineState.PARKED
        self._write_wait(line, item, Wait("parked", reason), self._receipt(item, "parked", reason, None))
        self._log.warning("delivery.finished", notice_id=item.notice_id, event_id=item.notice["event_id"],
                          status="parked", attempts=item.attempts, http_status=item.http_status)
        for each in list(line.items)[1:]:
            self._put_behind(line, each)

    def _put_behind(self, line: Line, item: Item) -> None:
        first = line.items[0].notice_id
        if line.state is LineState.PARKED:
            reason = f"behind the parked notice {first} of the same subject"
            self._write_wait(line, item, Wait("behind", reason), self._receipt(item, "parked", reason, None))
        elif item.wait is None:
            self._write_wait(line, item, Wait("behind", f"behind the notice {first} of the same subject"))

    def _write_wait(self, line: Line, item: Item, wait: Wait, *outputs: Output) -> None:
        was_aside = item.wait is not None
        item.wait = wait._replace(
            attempts=item.attempts, http_status=item.http_status, first_attempt_at=item.first_at,
            last_attempt_at=self._now() if item.attempts else None,
        )
        entry = self._waits.entry(item.record, item.notice, item.envelope, item.wait, self._now())
        self._flow.finish(None if was_aside else item.record, [*outputs, entry])
        self._aside += 0 if was_aside or line.is_gone else 1

    def _obey(self, record: Record) -> None:
        """A person's command: of this subscription or not, on this partition or not."""
        command = read_command(record, self._catalog)
        if command.subscription != self._subscription:
            return
        for line in self._lines:
            if line.place[1] == record.partition and line.is_held:
                self._obey_for(line, command)

    def _obey_for(self, line: Line, command: Command) -> None:
        named = [item for item in line.items if command.notice_id in (None, item.notice_id)]
        if not named:
            return
        if command.kind == "release":
            line.items[0].tries_in_place = self._policy.max_attempts
            self._make_ready(line)
            return
        reason = f"dropped by {command.asked_by}: {command.reason}"
        is_first = named[0] is line.items[0]
        for item in named:
            self._drop(line, item, reason)
        if is_first:
            self._go_on(line)

    def _drop(self, line: Line, item: Item, reason: str) -> None:
        outputs = [self._receipt(item, "dropped", reason, None), self._waits.gone(item.record, item.notice_id)]
        self._flow.finish(None, outputs)
        line.items.remove(item)
        self._aside -= 1

    def _receipt(self, item: Item, outcome: Outcome, reason: str | None, sent: Sent | None) -> Output:
        now = self._now()
        tried = Tried(item.attempts, item.first_at or now, item.http_status)
        return self._receipts.write(
            item.record, item.notice, item.envelope, outcome, tried, now, endpoint=self._transport.address,
            reason=reason, sent=sent,
        )
