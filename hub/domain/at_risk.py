"""Which deadlines of law a backlog endangers: unread records beside open clocks.

A record asks a stage for something, and what comes of it meets a clock: an order is answered by a receipt of its
channel, a notice by one of its subscription. The id of a clock follows from the entity, the rule and the channel or
subscription, so an unread record names the very clocks that wait for it; nothing is guessed from a subject.

A clock is at risk if it falls due before the backlog that it waits in is read. Where several groups could meet it (a
penalty is published on two channels, either will do), the one that gets there first counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hub.domain.clocks import ClockRule, clock_id
from hub.domain.where import compile_where


class Task(NamedTuple):
    """What an unread record will lead to. ``types`` are the event types that may come of it; ``event_type`` that of the
    fact behind it (``None`` if it is the fact); ``channel`` and ``subscription`` whom it is for; ``action`` what it
    asks for."""

    correlation_id: str
    types: frozenset[str]
    event_type: str | None = None
    channel: str | None = None
    subscription: str | None = None
    action: str | None = None


#: Partition of the subject, and id of the clock. A record that was moved to another enterprise has a clock there and
#: one where it was, under the same id: what waits on a partition meets the one of that partition.
ClockKey = tuple[int, str]


class OpenClock(NamedTuple):
    """A clock that runs, as far as it matters here. ``due_at`` is aware."""

    clock_id: str
    rule: str
    subject: str
    due_at: datetime


class Backlog(NamedTuple):
    """Unread records of a group that are read after as many seconds (``None``: nobody knows). ``is_ready``: they lie
    ready for a department, which takes them when it will; then only what is past due is endangered."""

    group: str
    seconds: float | None
    clocks: frozenset[ClockKey]
    is_ready: bool = False


class AtRisk(NamedTuple):
    """A clock that falls due before ``group`` has read what it waits for. ``read_by`` is when it will have, ``None``
    where that is open; ``is_late``: it is past due already."""

    clock_id: str
    rule: str
    subject: str
    due_at: datetime
    group: str
    read_by: datetime | None
    is_late: bool


class ClocksMet:
    """Which clocks a task meets by the rules of the map; made once."""

    def __init__(self, rules: Mapping[str, ClockRule]) -> None:
        self._by_type: dict[str, list[tuple[ClockRule, Any]]] = defaultdict(list)
        for rule in rules.values():
            if rule.per != "period":  # started by the calendar, for a department: no record's entity names it
                for type in rule.met_by:
                    self._by_type[type].append((rule, compile_where(rule.met_where)))

    def of(self, task: Task) -> frozenset[str]:
        """Ids of the clocks, whether or not there are such."""
        found = set()
        fields = {"action": task.action, "event_type": task.event_type, "channel": task.channel}
        targets = {"event": "", "channel": task.channel, "subscription": task.subscription}
        for type in task.types:
            for rule, condition in self._by_type.get(type, ()):
                target = targets[rule.per]
                if target is None or (rule.targets and target not in rule.targets):
                    continue
                if task.event_type is not None and not _can_speak_to(rule, task.event_type):
                    continue
                if condition is None or condition({**fields, **_guess(rule, fields)}) is None:
                    found.add(clock_id(task.correlation_id, rule.id, target or None))
        return frozenset(found)


def at_risk(
    backlogs: Iterable[Backlog], clocks: Mapping[ClockKey, OpenClock], now: datetime
) -> list[AtRisk]:
    """The open clocks that fall due before the backlog which they wait in is read, those due first in front.

    A backlog without an end endangers every clock that waits in it, at any horizon.
    """
    waits: dict[ClockKey, list[Backlog]] = defaultdict(list)
    for backlog in backlogs:
        for key in backlog.clocks & clocks.keys():
            waits[key].append(backlog)
    found = []
    for key, candidates in waits.items():
        backlog = min(candidates, key=lambda each: (each.seconds is None, each.seconds or 0.0, each.group))
        clock = clocks[key]
        read_by = now + timedelta(seconds=min(backlog.seconds, _LONG)) if backlog.seconds is not None else None
        if read_by is None or clock.due_at <= read_by:
            found.append(AtRisk(
                clock.clock_id, clock.rule, clock.subject, clock.due_at, backlog.group,
                None if backlog.is_ready else read_by, clock.due_at <= now,
            ))
    return sorted(found, key=lambda risk: (risk.due_at, risk.clock_id, risk.subject))


def counts(risks: Sequence[AtRisk]) -> dict[tuple[str, str], int]:
    """(rule, group) -> clocks at risk."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for risk in risks:
        found[risk.rule, risk.group] += 1
    return dict(found)


#: A pace of a millionth of a record a second would leave the calendar: ten years are as good as never.
_LONG = 10 * 366 * 86400.0


def _can_speak_to(rule: ClockRule, event_type: str) -> bool:
    """Whether what came of an event of this type can meet a clock that other events start: a receipt of a penalty
    meets no inspection's clock. What starts on receipts is not narrowed, as in the clocks stage."""
    starts = {type.rpartition(".")[0] for type in rule.starts_on}
    return event_type.rpartition(".")[0] in starts or any(start.split(".")[1] in _ANSWERS for start in starts)


_ANSWERS = frozenset(("receipt", "feedback"))


def _guess(rule: ClockRule, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values for conditions that the record behind the task decides and its headers do not say (the kind of a lead):
    taken to hold, so that a clock is rather listed than missed."""
    found = {}
    for field, test in rule.met_where.items():
        if known.get(field) is None and not isinstance(test, dict):
            found[field] = test[0] if isinstance(test, list) else test
    return found
