"""What the read pages need of the hub, and who asks. Whoever has an index puts it in the place of the log.

Pages are by key and not by number: a position is the sort key of the last item that was had, and an item's sort key
never changes. So what comes in between moves nothing from one page to another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple, Protocol

from hub.ops.holdings import Held
from hub.ops.notices import NoticeState
from hub.ops.trace import Step

#: What a key may be good for. ``all.read`` is an auditor's: it sees every department.
NOTICES, CLOCKS, TRACE, HOLDINGS, ALL = "notices.read", "clocks.read", "trace.read", "holdings.read", "all.read"
#: What a subscription's own token may read.
OWN_SCOPES = frozenset((NOTICES, CLOCKS, TRACE, HOLDINGS))

Position = tuple[str, ...]


class Caller(NamedTuple):
    """Who asks: a name for limits and logs, the code (USCC) of its department, its subscriptions and its scopes.
    ``key_id`` is of a program's key, whose uses are noted."""

    name: str
    department: str
    subscriptions: frozenset[str]
    scopes: frozenset[str]
    key_id: str | None = None

    @property
    def sees_all(self) -> bool:
        return ALL in self.scopes

    def has(self, subscription: str) -> bool:
        return self.sees_all or subscription in self.subscriptions


class Callers(Protocol):
    """Who a token is; ``None`` for one that opens nothing."""

    def find(self, token: str) -> Caller | None: ...


class Notices(Protocol):
    """Notices in the order of ``(issued_at, notice_id)``. All readers raise InfrastructureError."""

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, state: str | None = None,
    ) -> Sequence[NoticeState]:
        """Of these subscriptions, ``None`` for all."""

    def get(self, notice_id: str, subscriptions: Collection[str] | None) -> NoticeState | None:
        """``None`` also for one of another subscription."""

    def of_event(self, event_id: str, subscriptions: Collection[str]) -> NoticeState | None:
        """A notice that an event brought to one of these subscriptions."""


class ClockLine(Protocol):
    """What is told of a clock: a ClockState, or what an index has of it. Times are aware UTC, days Gannan's."""

    @property
    def clock_id(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def target(self) -> str | None: ...
    @property
    def subject(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def owner_department(self) -> str | None: ...
    @property
    def status(self) -> str: ...
    @property
    def due_on(self) -> date | None: ...
    @property
    def due_at(self) -> datetime | None: ...
    @property
    def is_provisional(self) -> bool: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def met_at(self) -> datetime | None: ...
    @property
    def breached_at(self) -> datetime | None: ...


class Clocks(Protocol):
    """Clocks in the order of their ids."""

    def page(
        self, department: str | None, after: Position | None, limit: int, *, status: str | None = None,
        due_before: datetime | None = None,
    ) -> Sequence[ClockLine]:
        """Of this department (code), ``None`` for all; ``status`` may be ``open``, for running and suspended."""

    def get(self, clock_id: str, department: str | None) -> ClockLine | None:
        """``None`` also for one of another department, where ``department`` is given."""


class Holdings(Protocol):
    """What subscriptions hold, in the order of ``(correlation_id, topic, subscription)``."""

    def page(
        self, subscriptions: Collection[str] | None, after: Position | None, limit: int, *, only_stale: bool = False,
    ) -> Sequence[Held]: ...


class Traces(Protocol):
    """Steps on the way of an event and of the other versions of its row, oldest first."""

    def of(self, event_id: str, subject: str | None) -> Sequence[Step]:
        """``subject``, where it is known, spares reading the rest."""


class Readers(NamedTuple):
    notices: Notices
    clocks: Clocks
    holdings: Holdings
    traces: Traces


def notice_position(each: NoticeState) -> Position:
    return each.issued_at.isoformat(), each.notice_id


def clock_position(each: ClockLine) -> Position:
    return (each.clock_id,)


def holding_position(each: Held) -> Position:
    return each.correlation_id, each.topic, each.subscription
