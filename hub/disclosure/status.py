"""How the sender of a channel stands, for whoever looks: a value, and where reconciliations leave what they found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from hub.disclosure.reconcile import Comparison, Difference
from hub.domain.plain import instant_text

#: Differences that are named; all are counted.
NAMED = 50


class ChannelStatus(NamedTuple):
    """``circuit`` is closed, open or half-open; ``wait_seconds`` until the channel is asked again; ``under_way`` orders
    that were read and have no receipt; ``last_error`` what it said last, empty once it answered again."""

    circuit: str
    wait_seconds: float
    under_way: int
    last_error: str


class Reconciled(NamedTuple):
    """What a comparison with the channel's own list found. ``counts`` are differences by kind."""

    at: datetime
    same: int
    under_way: int
    counts: Mapping[str, int]
    differences: tuple[Difference, ...]

    @classmethod
    def of(cls, found: Comparison, at: datetime) -> Self:
        named = tuple(each._replace(state=None) for each in found.differences[:NAMED])
        return cls(at, found.same, found.under_way, Counter(each.kind for each in found.differences), named)

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "at": instant_text(self.at), "differences": [each[:6] for each in self.differences]}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        differences = tuple(Difference(*each) for each in found["differences"])
        return cls(datetime.fromisoformat(found["at"]), found["same"], found["under_way"], found["counts"], differences)
