"""Who holds what, in the order of pages, for a process that is asked again and again.

``routing.holdings.v1`` is read once and then read on. Kept are the values as they stand on the topic and, for each
subscription, what it was ever sent in order: some 400 bytes a fact. What became of each notice is not kept.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.contracts.catalog import Catalog
from hub.errors import InfrastructureError

#: Correlation id and topic of a fact.
Fact = tuple[str, str]
#: The same and a subscription.
Position = tuple[str, str, str]
#: Up to so many are put into their places one by one.
_FEW = 1000
_PATIENCE_SECONDS = 20.0


class Line(NamedTuple):
    """What a subscription was sent: where it stands in order, and the value of its fact."""

    position: Position
    value: bytes


class HoldingsShelf:
    """Threads may share it. All raise InfrastructureError where others are being answered for long."""

    def __init__(self, tail: Tail, catalog: Catalog, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._tail, self._catalog, self._patience = tail, catalog, patience_seconds
        self._lock = threading.Lock()
        self._values: dict[Fact, bytes] = {}
        self._sent: dict[str, _Order] = defaultdict(_Order)
        #: Of those the ones that another version was routed of, and that may be out of date.
        self._doubtful: dict[str, _Order] = defaultdict(_Order)

    def read_on(self) -> None:
        """Brings it to the end of now. Raises BrokerError; ContractError or PoisonError for what is no holding."""
        with self._locked():
            if self._tail.is_new:
                self._values.clear()
                self._sent.clear()
                self._doubtful.clear()
            try:
                for part in self._tail.parts():
                    for record in part:
                        self._take(record)
            except BaseException:
                self._tail.close()  # what was not taken has to be read again
                raise

    def lines(
        self, subscriptions: Collection[str], after: tuple[str, ...] | None, limit: int, *, only_doubtful: bool = False
    ) -> list[Line]:
        """What these subscriptions were sent from behind ``after`` on, in order; or what of it may be out of date."""
        with self._locked():
            orders = self._doubtful if only_doubtful else self._sent
            found = merge(*(orders[name].behind(name, after) for name in set(subscriptions) if name in orders))
            return [Line(each, self._values[each[:2]]) for each in islice(found, limit)]

    def settle(self, line: Line) -> None:
        """It is up to date and stays so until its fact changes."""
        with self._locked():
            *_, subscription = line.position
            if self._values.get(line.position[:2]) is line.value:
                self._doubtful[subscription].remove(line.position[:2])

    def _take(self, record: Record) -> None:
        if record.value is None:
            # The key is topic and correlation id, see the routing stage.
            topic, _, correlation_id = (record.key or b"").decode().partition(":")
            self._place((correlation_id, topic), None, None)
            return
        new = self._catalog.decode(record.value)[1]
        fact = (new["correlation_id"], sys.intern(new["topic"]))
        old = self._decoded(fact)
        # As the routing stage reads it: what was routed only grows.
        if old is None or len(new["routed"]) >= len(old["routed"]):
            self._place(fact, record.value, new)

    def _place(self, fact: Fact, value: bytes | None, new: Mapping[str, Any] | None) -> None:
        had, has = _holders(self._decoded(fact)), _holders(new)
        if value is None:
            self._values.pop(fact, None)
        else:
            self._values[fact] = value
        for name in had.keys() - has.keys():
            self._sent[name].remove(fact)
        for name in has.keys() - had.keys():
            self._sent[name].add(fact)
        for name in had.keys() | has.keys():
            if has.get(name):
                self._doubtful[name].add(fact)
            elif had.get(name):
                self._doubtful[name].remove(fact)

    def _decoded(self, fact: Fact) -> Mapping[str, Any] | None:
        value = self._values.get(fact)
        return None if value is None else self._catalog.decode(value)[1]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._patience):
            raise InfrastructureError("the holdings are being read; try again")
        try:
            yield
        finally:
            self._lock.release()


class _Order:
    """Facts in order, each once."""

    def __init__(self) -> None:
        self._facts: list[Fact] = []
        self._added: set[Fact] = set()
        self._removed: set[Fact] = set()

    def add(self, fact: Fact) -> None:
        self._removed.discard(fact)
        self._added.add(fact)

    def remove(self, fact: Fact) -> None:
        self._added.discard(fact)
        self._removed.add(fact)

    def behind(self, name: str, after: tuple[str, ...] | None) -> Iterator[Position]:
        self._put_in_order()
        first = 0 if after is None else bisect_left(self._facts, after[:2])
        for at in range(first, len(self._facts)):
            position = (*self._facts[at], name)
            if after is None or position > after:
                yield position

    def _put_in_order(self) -> None:
        if len(self._added) + len(self._removed) > _FEW:
            self._facts = sorted({*self._facts, *self._added} - self._removed)
        else:
            for fact in self._removed:
                at = bisect_left(self._facts, fact)
                if self._facts[at : at + 1] == [fact]:
                    del self._facts[at]
            for fact in self._added:
                at = bisect_left(self._facts, fact)
                if self._facts[at : at + 1] != [fact]:
                    insort(self._facts, fact)
        self._added.clear()
        self._removed.clear()


def _holders(fact: Mapping[str, Any] | None) -> dict[str, bool]:
    """Subscription -> whether what it was handed over may be out of date: not where there is but one version."""
    if fact is None:
        return {}
    return {
        each["subscription"]: len(fact["routed"]) > 1 or fact["sequence"] > each["sequence"]
        for each in fact["holders"]
    }
