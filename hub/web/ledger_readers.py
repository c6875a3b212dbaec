"""The read pages out of the ledger's index: a page is some questions to Redis and the records of its items.

What the index cannot answer, the log does: while it is empty or being filled, for what left it by age, for callers who
see every department. The answers are the same, and so are the positions: a walk
through pages may begin with the one and end with the other. One thing differs: the index keeps what is over for 100
days (:data:`hub.domain.desk.KEPT`), so lists do not hold what ended before; by its id it is found on the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from heapq import merge
from itertools import islice
from typing import NamedTuple

from hub.domain.clocks import Status
from hub.domain.desk import ClockEntry, NoticeEntry
from hub.ops.holdings import DELIVERIES, FEEDBACK, INBOX
from hub.ops.holdings_shelf import HoldingsShelf
from hub.ops.ledger.desk_facts import ELSEWHERE
from hub.ops.ledger.queries import records_of, records_with, trace
from hub.ops.ledger.view import Ledger
from hub.ops.notices import NoticeState, fold_notices
from hub.ops.trace import Step
from hub.state.desk_index import CLOCKS, NOTICES
from hub.web.either import NotHeldError, either
from hub.web.ledger_holdings import LedgerHoldings
from hub.web.readers import ClockLine, Position, Readers

#: Entries that are looked through at a time for those that fit; some milliseconds.
_PART = 200


def ledger_readers(ledger: Ledger, log: Readers, shelf: HoldingsShelf, now: Callable[[], datetime]) -> Readers:
    """``log`` answers what the index cannot; ``shelf`` knows who holds what."""
    notices, holdings = _LedgerNotices(ledger, log), LedgerHoldings(ledger, log.holdings, shelf, now)
    return Readers(notices, _LedgerClocks(ledger, log), holdings, _LedgerTraces(ledger, log))


class _LedgerNotices:
    def __init__(self, ledger: Ledger, log: Readers) -> None:
        self._ledger, self._log = ledger, log.notices
        self._department_of = {
            name: ledger.code_of(entry.department) for name, entry in ledger.map.subscriptions.items()
        }

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, state: str | None = None,
    ) -> Sequence[NoticeState]:
        return either(
            self._ledger,
            lambda: self._page(_own(subscriptions), after, limit, state),
            lambda: self._log.page(subscriptions, after, limit, state=state),
        )

    def get(self, notice_id: str, subscriptions: Collection[str] | None) -> NoticeState | None:
        def by_index() -> NoticeState | None:
            found = self._with(notice_id, _own(subscriptions))
            return next((each for each in found if each.notice_id == notice_id), None)

        return either(self._ledger, by_index, lambda: self._log.get(notice_id, subscriptions))

    def of_event(self, event_id: str, subscriptions: Collection[str]) -> NoticeState | None:
        def by_index() -> NoticeState | None:
            return next((each for each in self._with(event_id, subscriptions) if each.event_id == event_id), None)

        return either(self._ledger, by_index, lambda: self._log.of_event(event_id, subscriptions))

    def _page(
        self, subscriptions: Collection[str], after: Position | None, limit: int, state: str | None
    ) -> list[NoticeState]:
        names = {name for name in subscriptions if name in self._department_of}
        desks = [self._entries(code, names, after) for code in {self._department_of[name] for name in names}]
        found = (each for each in merge(*desks, key=_order) if state in (None, _state_of(each)))
        entries = list(islice(found, limit))
        records = records_of(self._ledger, (_issued(each)[2] for each in entries), _topics(names))
        told = {each.notice_id: each for each in fold_notices(records, self._ledger.catalog)}
        if any(entry.notice_id not in told for entry in entries):
            raise NotHeldError
        return [told[entry.notice_id] for entry in entries]

    def _entries(self, code: str, names: Collection[str], after: Position | None) -> Iterator[NoticeEntry]:
        """The notices of a desk for these subscriptions, the oldest first."""
        cursor = None
        if after is not None:
            cursor = f"{round(datetime.fromisoformat(after[0]).timestamp() * 1000):013d}:{after[1]}"
        while True:
            page = self._ledger.desks.page(code, NOTICES, "inbox", cursor=cursor, limit=_PART)
            yield from (each for each in page.entries if _issued(each)[4] in names)
            cursor = page.cursor
            if cursor is None:
                return

    def _with(self, id: str, subscriptions: Collection[str]) -> list[NoticeState]:
        """The notices of the fact that an id belongs to."""
        records = records_with(self._ledger, id, _topics(subscriptions))
        if not records and self._ledger.index.floor_ms():
            raise NotHeldError
        return fold_notices(records or (), self._ledger.catalog)


class IndexedClock(NamedTuple):
    """A clock as a desk has it."""

    clock_id: str
    rule: str
    target: str | None
    subject: str
    correlation_id: str
    owner_department: str
    status: str
    due_on: date | None
    due_at: datetime | None
    is_provisional: bool
    is_open: bool
    met_at: datetime | None
    breached_at: datetime | None


class _LedgerClocks:
    def __init__(self, ledger: Ledger, log: Readers) -> None:
        self._ledger, self._log = ledger, log.clocks

    def page(
        self, department: str | None, after: Position | None, limit: int, *, status: str | None = None,
        due_before: datetime | None = None,
    ) -> Sequence[ClockLine]:
        def by_index() -> Sequence[ClockLine]:
            if department is None:
                raise NotHeldError
            found = (
                each for each in self._entries(department, after)
                if status is None or (each.is_open if status == "open" else each.status == status)
            )
            return list(islice((
                each for each in found if due_before is None or (each.due_at is not None and each.due_at < due_before)
            ), limit))

        return either(
            self._ledger, by_index,
            lambda: self._log.page(department, after, limit, status=status, due_before=due_before),
        )

    def get(self, clock_id: str, department: str | None) -> ClockLine | None:
        def by_index() -> ClockLine:
            found = self._ledger.desks.entries(department, CLOCKS, [clock_id]) if department is not None else {}
            if department is None or clock_id not in found or found[clock_id].status == ELSEWHERE:
                raise NotHeldError  # it may have ended long ago
            return _clock(department, found[clock_id])

        return either(self._ledger, by_index, lambda: self._log.get(clock_id, department))

    def _entries(self, department: str, after: Position | None) -> Iterator[IndexedClock]:
        cursor = f":{after[0]}" if after is not None else None
        while True:
            page = self._ledger.desks.page(department, CLOCKS, "by-id", cursor=cursor, limit=_PART)
            yield from (_clock(department, each) for each in page.entries if each.status != ELSEWHERE)
            cursor = page.cursor
            if cursor is None:
                return


class _LedgerTraces:
    def __init__(self, ledger: Ledger, log: Readers) -> None:
        self._ledger, self._log = ledger, log.traces

    def of(self, event_id: str, subject: str | None) -> Sequence[Step]:
        def by_index() -> Sequence[Step]:
            found = trace(self._ledger, event_id)
            if not found.steps and self._ledger.index.floor_ms():
                raise NotHeldError
            return found.steps

        return either(self._ledger, by_index, lambda: self._log.of(event_id, subject))


def _own(subscriptions: Collection[str] | None) -> Collection[str]:
    """Who sees all asks the log: the index has a desk for each department and none of all."""
    if subscriptions is None:
        raise NotHeldError
    return subscriptions


def _topics(subscriptions: Collection[str]) -> frozenset[str]:
    return frozenset((*(INBOX + name for name in subscriptions), DELIVERIES, FEEDBACK))


def _issued(entry: NoticeEntry) -> tuple[int, str, str, str, str, str, int]:
    assert entry.issued is not None  # else it stands in no order
    return entry.issued


def _order(entry: NoticeEntry) -> str:
    return entry.order or ""


def _state_of(entry: NoticeEntry) -> str:
    return entry.end[2] if entry.end is not None else "waiting"


def _clock(department: str, entry: ClockEntry) -> IndexedClock:
    return IndexedClock(
        entry.clock_id, entry.rule, entry.target, entry.subject, entry.correlation_id, department,
        Status(entry.status), None if entry.due_on is None else date.fromisoformat(entry.due_on),
        _moment(entry.due_at), entry.is_provisional, entry.is_open, _moment(entry.met_at), _moment(entry.breached_at),
    )


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
