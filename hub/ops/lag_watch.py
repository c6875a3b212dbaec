"""Looks at everything: groups, what they have not read, the clocks that wait for it, dead letters, silent sources."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from hub.bus.lag_look import LagObserver
from hub.bus.spans import SpanReader
from hub.bus.tail import Tail
from hub.contracts.catalog import Catalog
from hub.domain.at_risk import Backlog, ClockKey, at_risk
from hub.domain.clocks import ClockRule
from hub.domain.lag import GroupLag, GroupLook, Leave, judge
from hub.errors import BrokerError
from hub.ops.lag_clocks import STATES, OpenClocks
from hub.ops.lag_unread import ClocksOfRecord, Role, Unread, UnreadBook
from hub.ops.snapshot import Snapshot, group_state, risks_of

#: The pace of a group is that of so long. Shorter, one slow answer is a standstill; longer, nobody sees a start.
WINDOW = timedelta(seconds=60)
ALERTS = "intake.alerts.v1"
#: Begin -> end of what intake says of a source that does not speak.
_SILENCE = {"silence-began": True, "silence-ended": False}


class Leaves(Protocol):
    """Which groups wait by design. ``look`` brings it up to now and raises BrokerError; ``of`` is asked behind it."""

    def look(self) -> None: ...

    def of(self, group: str, at: datetime) -> Leave | None: ...

    def close(self) -> None: ...


class Watch:
    """One thread's. ``groups`` are the topics that each reads, ``roles`` what it does with them (others: nothing that
    meets a clock), ``dead_letters`` topics, ``served_by`` as for the observer. ``leaves``, closed with it, says who may
    stand still. ``look`` raises BrokerError and may be called again."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, rules: Mapping[str, ClockRule], groups: Mapping[str, Sequence[str]],
        roles: Mapping[str, Role], dead_letters: Sequence[str] = (), *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC), limit: int = 20_000, keeps_clocks: bool = True,
        states: str = STATES, alerts: str = ALERTS, leaves: Leaves | None = None,
        served_by: Mapping[str, str] | None = None,
    ) -> None:
        self._observer = LagObserver(bootstrap, groups, served_by, now=now)
        self._leaves = leaves
        self._reader = SpanReader(bootstrap)
        self._alerts = Tail(bootstrap, [alerts])
        self._catalog, self._dead_letters = catalog, list(dead_letters)
        self._clocks, self._keeps_clocks = OpenClocks(catalog, topic=states), keeps_clocks
        clocks_of = ClocksOfRecord(catalog, rules)
        self._books = {
            group: UnreadBook(clocks_of, roles.get(group, Role("none")), limit=limit) for group in groups
        }
        self._looks: dict[str, deque[GroupLook]] = defaultdict(deque)
        self._silent: dict[str, bool] = {}

    def observe(self) -> list[GroupLag]:
        """The groups alone, with the pace since the earlier looks of the window."""
        found = []
        if self._leaves is not None:
            self._leaves.look()
        for look in self._observer.look():
            looks = self._looks[look.group]
            # After a clock that was set back nothing is known of a pace.
            while looks and not timedelta(0) <= look.at - looks[0].at <= WINDOW:
                looks.popleft()
            looks.append(look)
            found.append(judge(looks, self._leave_of(looks)))
        return found

    def _leave_of(self, looks: Sequence[GroupLook]) -> Leave | None:
        """That of now, or the one that has just ended: what stood still by leave is no standstill afterwards."""
        if self._leaves is None:
            return None
        return self._leaves.of(looks[-1].group, looks[-1].at) or self._leaves.of(looks[0].group, looks[0].at)

    def look(self) -> Snapshot:
        """Everything."""
        lags = self.observe()
        return self.describe(lags)

    def describe(self, lags: Sequence[GroupLag]) -> Snapshot:
        """What else is to be said, beside groups that were just observed."""
        unread = {lag.group: self._books[lag.group].look(self._looks[lag.group][-1], self._reader) for lag in lags}
        wanted = frozenset[ClockKey]().union(*(keys for each in unread.values() for keys in each.clocks.values()))
        # Kept in step by whoever looks again and again; for one look alone, only those that are asked for are decoded.
        only = None if self._keeps_clocks else wanted
        clocks = self._clocks.look(self._reader, only) if wanted or self._keeps_clocks else {}
        at = lags[0].at if lags else datetime.now(UTC)
        risk_counts, named = risks_of(at_risk(_backlogs(lags, unread), clocks, at))
        return Snapshot(
            at, [group_state(lag, unread[lag.group].unseen) for lag in lags], risk_counts, named,
            is_complete=not any(each.unseen for each in unread.values()), dead_letters=self._count_dead_letters(),
            silent_sources=self._silent_sources(),
        )

    def describe_groups(self, lags: Sequence[GroupLag]) -> Snapshot:
        """The groups alone: nothing else is read."""
        at = lags[0].at if lags else datetime.now(UTC)
        return Snapshot(at, [group_state(lag, 0) for lag in lags])

    def close(self) -> None:
        if self._leaves is not None:
            self._leaves.close()
        self._observer.close()
        self._reader.close()
        self._alerts.close()

    def _count_dead_letters(self) -> dict[str, int]:
        return self._reader.counts_of(self._dead_letters)

    def _silent_sources(self) -> list[str]:
        if self._alerts.is_new:
            self._silent = {}
        try:
            records = self._alerts.look()
        except BrokerError:
            return []  # a cluster of before there was such a topic
        for record in records:
            if record.value is not None:
                value = self._catalog.decode(record.value)[1]
                if value["kind"] in _SILENCE:
                    self._silent[value["source"]] = _SILENCE[value["kind"]]
        return sorted(source for source, is_silent in self._silent.items() if is_silent)


def _backlogs(lags: Sequence[GroupLag], unread: Mapping[str, Unread]) -> list[Backlog]:
    found: list[Backlog] = []
    for lag in lags:
        by_horizon: dict[float | None, set[ClockKey]] = defaultdict(set)
        for place, keys in unread[lag.group].clocks.items():
            by_horizon[lag.horizon_seconds(place)] |= keys
        found += [Backlog(lag.group, seconds, frozenset(keys), lag.is_ready) for seconds, keys in by_horizon.items()]
    return found
