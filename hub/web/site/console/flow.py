"""The hub at work as a picture: a row for each stage, what it reads, how it stands and what comes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hub.ops.snapshot import GroupState, Snapshot

#: The order in which an event meets the stages; others stand behind them.
ORDER = ("routing", "clocks", "disclosure", "delivery", "ledger", "insight", "department")
#: The worst first.
WORST = ("stopped", "stalled", "behind", "waits", "ok")
#: Units of the picture: the height of a row, and of the head above the first.
ROW_HEIGHT, HEAD_HEIGHT = 96, 24


class Row(NamedTuple):
    """A stage: its worst verdict, the groups that have it (none where all is well), and sums over all its groups.

    Rates are records a second, ``None`` after one look alone. ``y`` is the top of the row, ``weight`` the width of its
    arrow, 1 to 7.
    """

    stage: str
    verdict: str
    groups: int
    troubled: tuple[str, ...]
    topics: tuple[str, ...]
    unread: int
    seconds: float | None
    drain_rate: float | None
    arrival_rate: float | None
    y: int
    weight: int


class Picture(NamedTuple):
    rows: tuple[Row, ...]
    height: int


def picture(found: Snapshot) -> Picture:
    """The rows of a snapshot, in the order of the way of an event."""
    by_stage: dict[str, list[GroupState]] = defaultdict(list)
    for group in found.groups:
        by_stage[group.stage].append(group)
    names = sorted(by_stage, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    rows = tuple(_row(name, by_stage[name], HEAD_HEIGHT + index * ROW_HEIGHT) for index, name in enumerate(names))
    return Picture(rows, HEAD_HEIGHT + max(len(rows), 1) * ROW_HEIGHT)


def worst_first(groups: Iterable[GroupState]) -> list[GroupState]:
    """Groups in the order in which somebody should look at them."""
    return sorted(groups, key=lambda each: (_rank(each.verdict), -each.unread, each.group))


def _row(stage: str, groups: Sequence[GroupState], y: int) -> Row:
    verdict = min((group.verdict for group in groups), key=_rank)
    arrival = _sum(group.arrival_rate for group in groups)
    ages = [group.lag_seconds for group in groups if group.unread]
    known = [age for age in ages if age is not None]
    return Row(
        stage, verdict, len(groups),
        tuple(group.group for group in groups if verdict != "ok" and group.verdict == verdict),
        tuple(sorted({place.topic for group in groups for place in group.places})),
        sum(group.unread for group in groups), 0.0 if not ages else max(known, default=None),
        _sum(group.drain_rate for group in groups), arrival, y, _weight(arrival),
    )


def _rank(verdict: str) -> int:
    return WORST.index(verdict) if verdict in WORST else 0


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _weight(rate: float | None) -> int:
    """A step for each tenfold, so that a trickle can be told from a flood."""
    return min(1 + len(str(int(rate))) * (rate >= 1), 7) if rate else 1
