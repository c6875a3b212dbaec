"""The read pages out of the log itself: for what the index does not hold, has lost, or is never asked.

Each answer rests on a fold over the topics, which takes as long as they are. So one fold is made at a time, is kept
for some seconds, and who cannot be served within his patience is told to come again.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.domain.clocks import ClockState
from hub.errors import InfrastructureError
from hub.ops.holdings import DELIVERIES, FEEDBACK, HOLDINGS, INBOX, Held, fold
from hub.ops.notices import NoticeState, fold_notices
from hub.ops.trace import Step, steps_of
from hub.web.readers import Position, Readers, clock_position, holding_position, notice_position

T = TypeVar("T")
#: A walk through pages is made of one fold, mostly; what came since is at most so old.
KEEP_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
_KEPT = 8


class BusyError(InfrastructureError):
    """Others are being answered; try again."""


class Kept:
    """Results that are made one at a time and kept for a while. Thread-safe."""

    def __init__(
        self, monotonic: Callable[[], float], *, keep_seconds: float = KEEP_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._monotonic, self._keep, self._patience = monotonic, keep_seconds, patience_seconds
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for ``key`` a moment ago, or is made now. Raises BusyError, and whatever ``make`` raises."""
        if not self._lock.acquire(timeout=self._patience):
            raise BusyError
        try:
            at, value = self._found.get(key, (float("-inf"), None))
            if self._monotonic() - at > self._keep:
                self._found.pop(key, None)
                value = make()
                self._found[key] = (self._monotonic(), value)
                while len(self._found) > _KEPT:
                    self._found.popitem(last=False)
            return value  # type: ignore[no-any-return]  # what ``make`` of this key gave
        finally:
            self._lock.release()


class Log(Protocol):
    """Reads topics from their beginning to their end of now; ``subject`` narrows it to its partition."""

    def __call__(self, topics: Sequence[str], subject: str | None = None) -> Iterable[Record]: ...


class ClockView(Protocol):
    """The part of ClocksView that pages need."""

    def find(self, *, department: str | None = None) -> list[ClockState]: ...


def log_readers(
    log: Log, catalog: Catalog, subscriptions: Collection[str], topics: Sequence[str],
    clocks: Callable[[], ClockView], monotonic: Callable[[], float],
) -> Readers:
    """``subscriptions`` are those of the map, ``topics`` all that the hub alone writes."""
    kept = Kept(monotonic)
    return Readers(
        _LogNotices(log, catalog, subscriptions, kept), _LogClocks(clocks, kept),
        _LogHoldings(log, catalog, subscriptions, kept), _LogTraces(log, catalog, topics),
    )


class _LogNotices:
    def __init__(self, log: Log, catalog: Catalog, known: Collection[str], kept: Kept) -> None:
        self._log, self._catalog, self._known, self._kept = log, catalog, frozenset(known), kept

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, state: str | None = None,
    ) -> Sequence[NoticeState]:
        found = self._all(subscriptions)
        first = 0 if after is None else bisect_right(found, after, key=notice_position)
        return _first(limit, (each for each in found[first:] if state in (None, each.state)))

    def get(self, notice_id: str, subscriptions: Collection[str] | None) -> NoticeState | None:
        return next((each for each in self._all(subscriptions) if each.notice_id == notice_id), None)

    def of_event(self, event_id: str, subscriptions: Collection[str]) -> NoticeState | None:
        return next((each for each in self._all(subscriptions) if each.event_id == event_id), None)

    def _all(self, subscriptions: Collection[str] | None) -> list[NoticeState]:
        names = self._known if subscriptions is None else frozenset(subscriptions)
        topics = [*(INBOX + name for name in sorted(names)), DELIVERIES, FEEDBACK]
        return self._kept.get(("notices", names), lambda: fold_notices(self._log(topics), self._catalog))


class _LogClocks:
    def __init__(self, view: Callable[[], ClockView], kept: Kept) -> None:
        self._view, self._kept = view, kept

    def page(
        self, department: str | None, after: Position | None, limit: int, *, status: str | None = None,
        due_before: datetime | None = None,
    ) -> Sequence[ClockState]:
        found = self._all()
        first = 0 if after is None else bisect_right(found, after, key=clock_position)
        return _first(limit, (
            each for each in found[first:]
            if department in (None, each.owner_department)
            and (status is None or (each.is_open if status == "open" else each.status == status))
            and (due_before is None or (each.due_at is not None and each.due_at < due_before))
        ))

    def get(self, clock_id: str, department: str | None) -> ClockState | None:
        return next((
            each for each in self._all()
            if each.clock_id == clock_id and department in (None, each.owner_department)
        ), None)

    def _all(self) -> list[ClockState]:
        return self._kept.get("clocks", lambda: sorted(self._view().find(), key=clock_position))


class _LogHoldings:
    def __init__(self, log: Log, catalog: Catalog, known: Collection[str], kept: Kept) -> None:
        self._log, self._catalog, self._known, self._kept = log, catalog, frozenset(known), kept

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, only_stale: bool = False,
    ) -> Sequence[Held]:
        names = self._known if subscriptions is None else frozenset(subscriptions)
        found = self._kept.get(("holdings", names), lambda: self._fold(names))
        first = 0 if after is None else bisect_right(found, after, key=holding_position)
        return _first(limit, (each for each in found[first:] if each.stale is not None or not only_stale))

    def _fold(self, names: frozenset[str]) -> list[Held]:
        topics = [HOLDINGS, *(INBOX + name for name in sorted(names)), DELIVERIES, FEEDBACK]
        found = fold(self._log(topics), self._catalog, self._known)
        return sorted((each for each in found if each.subscription in names), key=holding_position)


class _LogTraces:
    def __init__(self, log: Log, catalog: Catalog, topics: Sequence[str]) -> None:
        self._log, self._catalog, self._topics = log, catalog, topics

    def of(self, event_id: str, subject: str | None) -> Sequence[Step]:
        records = self._log(self._topics, subject)
        return steps_of(records, self._catalog, subject=subject, event_id=event_id)


def _first(limit: int, found: Iterable[T]) -> list[T]:
    return [each for _, each in zip(range(limit), found, strict=False)]
