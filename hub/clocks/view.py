"""What people ask about clocks: which there are, and why one is due when it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from hub.clocks.explain import explain
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.report import Axis, Report, report
from hub.clocks.table import ClockTable
from hub.clocks.wire import state_from_value
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar, local_date
from hub.domain.clocks import ClockRule, ClockState
from hub.errors import UsageError


class ClocksView:
    """The clocks as they stood when the view was made; rules and calendars are today's."""

    def __init__(
        self, states: Iterable[ClockState], rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar]
    ) -> None:
        self._states = {state.clock_id: state for state in states}
        self._rules = rules
        self._calendars = calendars

    @classmethod
    def read(
        cls, loader: KafkaStateLoader, catalog: Catalog,
        rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar],
    ) -> ClocksView:
        """All clocks of all partitions. Raises BrokerError if Kafka does not answer."""
        table = ClockTable(rules, calendars, lambda value: state_from_value(catalog.decode(value)[1]))
        table.restore((key.decode(), value) for _, key, value in loader(loader.partitions()))
        return cls(table.values(), rules, calendars)

    def find(
        self, *, status: str | None = None, rule: str | None = None,
        department: str | None = None, subject: str | None = None,
    ) -> list[ClockState]:
        """Clocks that fit every filter given, those due first in front, those without a date last."""
        wanted = {"status": status, "rule": rule, "owner_department": department, "subject": subject}
        found = [
            state for state in self._states.values()
            if all(value is None or getattr(state, name) == value for name, value in wanted.items())
        ]
        return sorted(found, key=_by_due)

    def get(self, clock_id: str) -> ClockState:
        """The clock of an id or of the beginning of one. Raises UsageError if none or several fit."""
        found = [state for key, state in self._states.items() if key.startswith(clock_id.lower())]
        if len(found) != 1 or not clock_id:
            count = "没有" if not found else f"有{len(found)}个"
            raise UsageError(f"{count}编号为 {clock_id!r} 的时限 ({len(found)} clocks fit)")
        return found[0]

    def report(
        self, now: datetime, *, by: Sequence[Axis] = (Axis.RULE,), first: date | None = None, last: date | None = None
    ) -> Report:
        """Punctuality as of ``now``: see :func:`hub.clocks.report.report`."""
        return report(self._states.values(), self._rules, self._calendars, now, by=by, first=first, last=last)

    def explain(self, clock_id: str) -> dict[str, Any]:
        """One clock and all that its due day rests on: see :func:`hub.clocks.explain.explain`."""
        state = self.get(clock_id)
        return explain(state, self._rules.get(state.rule), self._calendars.get(state.calendar))


def last_day(state: ClockState) -> str:
    """The due day for people, with a mark where it is provisional."""
    if state.due_at is None:
        return "-"
    day = state.due_on or local_date(state.due_at)
    return f"{day}{' 暂定' if state.is_provisional else ''}"


def _by_due(state: ClockState) -> tuple[bool, float, str]:
    return (state.due_at is None, state.due_at.timestamp() if state.due_at else 0.0, state.clock_id)
