"""Notices of one subscription on their way to the department: in order by subject, none in another's way.

In: ``inbox.<subscription>``, ``delivery.commands.v1``. Out: ``delivery.receipts.v1``, ``delivery.waits.v1``,
``delivery.alerts.v1``.

A failing endpoint and a failing subject are two things. If requests for several subjects fail and none goes
through, it is the endpoint: the circuit opens, nothing more is read, and the queue stays in the inbox. If
others go through, it is what is sent: the subject is put aside with its followers, and the inbox goes on.

A notice has a period of law. As it ends without the notice getting through, the notice goes the other way, where
the subscription has one, and a person is told. What a later notice takes back before it went out never goes out.

Of a line's notices ``lines`` keeps the order, ``agenda`` the turns, ``book`` writes what is on record; ``aside`` has
those that do not get through for now, and the other way.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from hub.bus.batch import Place
from hub.bus.flow import Flow
from hub.bus.outlet import AttemptFailedError
from hub.bus.records import Output, Record
from hub.bus.table_loader import Loader
from hub.bus.tasks import Tasks
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.delivery.agenda import Agenda
from hub.delivery.aside import Aside
from hub.delivery.book import Book
from hub.delivery.commands import COMMANDS_TOPIC, read_command
from hub.delivery.fallback import Deadlines, Way
from hub.delivery.gate import Gate
from hub.delivery.indexing import Indexer, NoticeWriter
from hub.delivery.lines import Item, Line, Lines, LineState
from hub.delivery.message import read_inbox, to_body, to_notice
from hub.delivery.receipts import ReceiptWriter
from hub.delivery.replays import Spans, is_replay, overtaken
from hub.delivery.transport import GONE, Transport, WithdrawnError, close_later
from hub.delivery.waits import Wait
from hub.domain.circuit import Circuit, CircuitState
from hub.domain.retry import RetryAt, RetryPolicy, Schedule
from hub.domain.urgency import Urgency
from hub.errors import BrokerError, ContractError, HubError, PoisonError

#: Notices put aside that are held in memory, with about 3 KB each; beyond it nothing more is read.
MAX_ASIDE = 50_000
#: So often the notices at the head of their lines are held against the end of their periods.
WATCH_SECONDS = 5.0
#: The records of some partitions of the inbox that are still to be read.
Backlog = Callable[[Collection[int]], Iterable[Record]]
_log = structlog.get_logger()


class DeliveryEngine:
    """The handler of one subscription's flow. All in one event loop.

    ``policy`` says how a notice is tried in place, while the inbox waits for it; ``schedule`` how it is tried
    again once it was put aside. ``load_waits`` reads the topic of waits, ``backlog`` what is still to be read, so
    that nothing is sent that was taken back since; ``spans`` reads parts of the inbox anew, for replays. The index is
    written before the first attempt, since a department may answer at once, but delivery never waits long for Redis.
    ``urgency`` is what the end of a period means, ``fallback`` the other way and its method's name.
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
        backlog: Backlog = lambda partitions: (),
        spans: Spans = lambda spans: (),
        policy: RetryPolicy | None = None,
        schedule: Schedule | None = None,
        circuit: Circuit | None = None,
        gate: Gate | None = None,
        method: str = "webhook",
        urgency: Urgency | None = None,
        fallback: tuple[Transport, str] | None = None,
        watch_seconds: float = WATCH_SECONDS,
        on_gone: Callable[[str], Sequence[Output]] = lambda reason: (),
        rule_version: str = "",
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._subscription, self._catalog, self._now = subscription, catalog, now
        self._inbox = f"inbox.{subscription}"
        self._load_waits, self._backlog, self._spans = load_waits, backlog, spans
        self._policy, self._circuit = policy or RetryPolicy(), circuit or Circuit()
        self._gate = gate or Gate(now, monotonic, lambda day: True)
        self._on_gone = on_gone
        self._monotonic, self._chance = monotonic, chance
        self._log = _log.bind(subscription=subscription)
        self._way = Way(transport, ReceiptWriter(catalog, subscription, method))
        self._lines = Lines()
        self._book = Book(catalog, now, rule_version, self._lines, self._log)
        self._agenda = Agenda(self._lines)
        self._watch_seconds = watch_seconds if urgency is not None else None
        self._aside = Aside(
            self._lines, self._book, self._agenda, Deadlines(urgency, self._gate, catalog, now), lambda: self._way,
            fallback=Way(fallback[0], ReceiptWriter(catalog, subscription, fallback[1])) if fallback else None,
            schedule=schedule or Schedule(), tries=self._policy.max_attempts, circuit=self._circuit, gate=self._gate,
            pause_seconds=watch_seconds, now=now, chance=chance, log=self._log,
        )
        self._elsewhere = self._aside.elsewhere
        self._busy: set[Line] = set()
        self._generation = 0
        self._tasks = Tasks(self._broken)
        self._indexer = Indexer(notice_index, monotonic, self._log)

    # -- the flow's side ------------------------------------------------------------------------

    def attach(self, flow: Flow) -> None:
        self._book.flow = flow
        self._taken: asyncio.Queue[tuple[int, Sequence[Record]]] = asyncio.Queue()
        work = [self._admit_all(), *(self._work() for _ in range(self._way.transport.max_concurrent))]
        if self._watch_seconds is not None:
            work.append(self._watch(self._watch_seconds))
        for each in work:
            self._tasks.begin(each)

    def _broken(self, error: BaseException) -> None:
        self._log.error("delivery.broken", error=type(error).__name__)
        self._book.flow.fail(error)

    def wants_more(self) -> bool:
        if self._book.aside >= MAX_ASIDE:
            return False
        # With another way the head of the queue has to be known, also while nothing goes this way.
        is_open = self._circuit.state is CircuitState.CLOSED and self._gate.reason is None
        return is_open or self._elsewhere is not None

    def take(self, records: Sequence[Record]) -> None:
        self._taken.put_nowait((self._generation, records))

    async def assigned(self, places: Sequence[Place]) -> None:
        partitions = [partition for topic, partition in places if topic == self._inbox]
        if not partitions:
            return
        await asyncio.to_thread(self._look_ahead, partitions)
        for waiting in await asyncio.to_thread(lambda: list(self._book.waits.load(self._load_waits, partitions))):
            if waiting.subscription != self._subscription:
                continue
            item = self._prepare(waiting.record, waiting.wait)
            item.tries_in_place = self._policy.max_attempts
            self._lines.add(item)
            self._book.aside += 1
        for line in self._lines:
            self._supersede(line)
            if line.items and line.state is LineState.IDLE:
                self._aside.take_up(line)

    async def revoked(self, places: Sequence[Place]) -> None:
        self._generation += 1
        gone = self._lines.forget(places)
        self._way.transport.call_off()
        if self._elsewhere is not None:
            await self._elsewhere.forget(gone)
        while self._busy.intersection(gone):
            await asyncio.sleep(0.01)
        self._book.aside -= sum(item.wait is not None for line in gone for item in line.items)

    async def close(self) -> None:
        await self._tasks.end()
        await self._way.transport.close()
        if self._elsewhere is not None:
            await self._elsewhere.close()

    def use(self, transport: Transport) -> None:
        """Sends over ``transport`` from now on; what is under way ends over the one before."""
        before, self._way = self._way.transport, self._way._replace(transport=transport)
        self._tasks.begin(close_later(before))

    # -- taking up ------------------------------------------------------------------------------

    def _look_ahead(self, partitions: Collection[int]) -> None:
        for record in self._backlog(partitions):
            try:
                notice = read_inbox(record, self._catalog, self._subscription)
            except (PoisonError, ContractError):
                continue  # it is buried when its turn comes
            self._lines.note(record, notice)

    async def _admit_all(self) -> None:
        while True:
            generation, records = await self._taken.get()
            items: list[Item] = []
            for record in records:
                try:
                    if record.topic == COMMANDS_TOPIC:
                        command = read_command(record, self._catalog)
                        if command.subscription == self._subscription:
                            self._aside.obey(record, command)
                        self._book.flow.finish(record, [])
                    else:
                        items.append(self._prepare(record, None))
                except Exception as error:  # whatever is wrong with it, the rest goes on
                    self._book.bury(record, error)
            await asyncio.gather(
                self._indexer.put([to_notice(item.notice) for item in items]),
                self._way.transport.prepare([(item.notice_id, item.body) for item in items]),
            )
            stale = await self._overtaken(items)
            if generation == self._generation:
                for item in items:
                    if (reason := stale.get((item.record.partition, item.record.offset))) is None:
                        self._admit(item)
                    else:
                        self._book.flow.finish(item.record, [self._book.receipt(item, self._way, "superseded", reason)])

    async def _overtaken(self, items: Sequence[Item]) -> Mapping[tuple[int, int], str]:
        """Replays whose fact changed since they were planned: they would undo what came after it."""
        replays = [(item.record, item.notice) for item in items if is_replay(item.notice)]
        if not replays:
            return {}
        while True:
            try:
                return await asyncio.to_thread(overtaken, replays, self._spans, self._fact_of)
            except BrokerError as error:
                self._log.warning("delivery.replays_wait", error=str(error))
                await asyncio.sleep(1)

    def _fact_of(self, record: Record) -> str | None:
        try:
            return str(read_inbox(record, self._catalog, self._subscription)["correlation_id"])
        except (PoisonError, ContractError):
            return None

    def _prepare(self, record: Record, wait: Wait | None) -> Item:
        notice = read_inbox(record, self._catalog, self._subscription)
        return Item(record, notice, from_headers(record.headers), to_body(notice, self._catalog), wait)

    def _admit(self, item: Item) -> None:
        line = self._lines.of(item.record)
        if line.items and item.record.offset <= line.items[-1].record.offset:
            # Read again after a kill that came before the commit.
            if any(each.record.offset == item.record.offset for each in line.items):
                self._book.flow.finish(item.record, [])  # put aside before it
            else:
                line.items.appendleft(item)  # it went out, but perhaps its receipt was not written
                self._aside.call_back(line)
                self._agenda.make_ready(line)
                self._supersede(line)
            return
        self._lines.add(item)
        self._supersede(line)
        if not line.items or line.items[-1] is not item:
            return
        if line.is_held:
            self._aside.put_behind(line, item)
        elif line.state is LineState.IDLE:
            self._agenda.make_ready(line)

    def _supersede(self, line: Line) -> None:
        """What was taken back before it went out does not go out: the department never sees it."""
        found = self._lines.superseded(line)
        if not found:
            return
        first = line.items[0]
        for item, notice_id in found:
            self._book.end(line, item, self._way, "superseded", f"taken back by the notice {notice_id}")
        if line.items and line.items[0] is first:
            return
        self._aside.call_back(line)
        if line.state is not LineState.READY or not line.items:
            self._agenda.go_on(line)

    # -- one line -------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            line = await self._agenda.next()
            # Its state is another if it went the other way meanwhile.
            while not line.is_gone and line.state is LineState.READY and not self._may_go():
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
            taken = await self._way.transport.attempt(item.notice_id, item.body, item.envelope.traceparent)
        except AttemptFailedError as error:
            self._failed(line, item, error)
            return
        except WithdrawnError:
            item.attempts -= 1
            self._agenda.go_on(line)
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
            self._book.end(line, item, self._way, "delivered", sent=taken.sent)
            self._agenda.go_on(line)
        elif taken.http_status == GONE:
            self._stop_for_good(line, item)
        else:
            self._aside.park(line, item, self._way, taken.reason or f"HTTP {taken.http_status}")

    def _stop_for_good(self, line: Line, item: Item) -> None:
        """The endpoint says that it is no more: nothing is sent until a person has entered where to."""
        reason = "HTTP 410: the endpoint is gone"
        if self._gate.reason is None:
            self._log.warning("delivery.disabled", endpoint=self._way.transport.address, error=reason)
            self._book.flow.finish(None, self._on_gone(reason))
        self._gate.close(reason)
        if not line.is_gone:
            item.tries_in_place = 0
            self._agenda.sleep(line, LineState.RESTING, self._policy.first_delay_seconds)

    def _failed(self, line: Line, item: Item, error: AttemptFailedError) -> None:
        wish = error.retry_after_seconds or 0.0
        if self._circuit.failed(line.key, self._monotonic(), wish):
            self._log.warning("delivery.circuit_opened", endpoint=self._way.transport.address, error=str(error),
                              seconds=round(self._circuit.wait(self._monotonic()), 1))
        item.last_error, item.is_released = str(error), False
        decision = self._policy.decide(
            item.tries_in_place, retry_after_seconds=error.retry_after_seconds, chance=self._chance()
        )
        if line.is_gone:
            return
        if self._circuit.state is not CircuitState.CLOSED:
            # Not the notice's own fault, as far as anybody can tell: it keeps its place.
            item.tries_in_place = 0
            self._agenda.sleep(line, LineState.RESTING, self._policy.first_delay_seconds)
        elif isinstance(decision, RetryAt):
            self._agenda.sleep(line, LineState.RESTING, decision.delay_seconds)
        else:
            self._aside.put(line, item, str(error))

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._aside.watch()
