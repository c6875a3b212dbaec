"""Sending the notices of a time range to one subscription again: what that would be, and doing it.

The desk reads one inbox and writes to that inbox alone. It starts no clock, gives no order to a channel, and puts
nothing into any other inbox: none of these read what it writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog

from hub.bus.commits import Position
from hub.bus.publisher import Publisher
from hub.bus.records import Record
from hub.bus.spans import Span, SpanReader
from hub.bus.table_loader import Loader
from hub.contracts.catalog import Catalog
from hub.delivery.message import read_inbox
from hub.delivery.replays import mark_of, to_replay
from hub.delivery.service import group_of
from hub.delivery.waits import WaitLog
from hub.errors import ContractError, PoisonError, UsageError

#: So many at once: they stand in the inbox before what comes next, which has periods of law.
MOST = 10_000
_BATCH = 500
log = structlog.get_logger()


class Range(NamedTuple):
    """What is asked for: notices that came into the inbox from ``since`` on and before ``until`` (aware), of some
    types of events or of all; ``with_superseded`` also versions that a later one replaced."""

    since: datetime
    until: datetime
    event_types: tuple[str, ...] = ()
    with_superseded: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay would send, and what not. Times are aware UTC, ``None`` of nothing.

    ``superseded`` were replaced or taken back by a later notice of their fact; ``under_way`` have not been handed over
    yet and go out anyway; ``unreadable`` no schema can read; ``done`` were written by the same request before.
    """

    subscription: str
    records: tuple[tuple[Record, str], ...]
    by_type: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None
    superseded: int
    under_way: int
    unreadable: int
    done: int
    #: Partition -> the offset up to which the inbox was read.
    known: Mapping[int, int]

    @property
    def count(self) -> int:
        return len(self.records)


class ReplayDesk:
    """``load_waits`` reads the topic of waits. Methods raise BrokerError where Kafka does not answer."""

    def __init__(
        self, bootstrap: str, publisher: Publisher, catalog: Catalog, subscriptions: Mapping[str, str],
        load_waits: Loader,
    ) -> None:
        """``subscriptions``: name -> its way of delivery."""
        self._bootstrap, self._publisher, self._catalog = bootstrap, publisher, catalog
        self._subscriptions, self._load_waits = subscriptions, load_waits

    def plan(self, subscription: str, wanted: Range, request_id: str | None = None) -> Plan:
        """What would be sent now. Of a request that was begun what it has written already is left out.

        Raises UsageError for a subscription that nobody knows or that reads its inbox itself, for a range that ends
        before it begins, and for too much at once.
        """
        self._check(subscription, wanted)
        topic = f"inbox.{subscription}"
        with Position(self._bootstrap, group_of(subscription), topic) as position:
            partitions = position.partitions()
            # Before the ends are asked for: what is handed over meanwhile counts as under way.
            found = position.read(partitions) if partitions else {}
        committed = {partition: offset for (_, partition), offset in found.items()}
        reader = SpanReader(self._bootstrap)
        try:
            spans, known = self._spans(reader, topic, partitions, wanted)
            records = [record for batch in (reader.read(spans) if spans else ()) for record in batch]
        finally:
            reader.close()
        return self._planned(subscription, wanted, records, committed, known, request_id)

    def write(self, plan: Plan, request_id: str) -> int:
        """Puts the replays of a plan into the inbox; returns how many, once they are safe. Written again they have
        the same ids. Of one enterprise they stand in the order of their notices."""
        outputs = [
            to_replay(record, notice_id, request_id, plan.known[record.partition]) for record, notice_id in plan.records
        ]
        for start in range(0, len(outputs), _BATCH):
            self._publisher.publish(outputs[start : start + _BATCH])
        return len(outputs)

    def _check(self, subscription: str, wanted: Range) -> None:
        way = self._subscriptions.get(subscription)
        if way is None:
            names = ", ".join(self._subscriptions)
            raise UsageError(f"There is no subscription {subscription!r}; there are: {names}.")
        if way == "kafka":
            raise UsageError(f"{subscription} reads its inbox itself: it goes back there with a group of its own.")
        if wanted.since >= wanted.until:
            raise UsageError("The range ends before it begins: --from has to be earlier than --to.")

    def _spans(
        self, reader: SpanReader, topic: str, partitions: Collection[int], wanted: Range
    ) -> tuple[dict[tuple[str, int], Span], dict[int, int]]:
        """From the first record of the range to the end of now: what came later may have taken it back."""
        ends = reader.ends_of([(topic, number) for number in partitions])
        spans = reader.spans_since(int(wanted.since.timestamp() * 1000), ends)
        return spans, {number: end for (_, number), end in ends.items()}

    def _planned(
        self, subscription: str, wanted: Range, records: list[Record], committed: Mapping[int, int],
        known: Mapping[int, int], request_id: str | None,
    ) -> Plan:
        until = int(wanted.until.timestamp() * 1000)
        waiting = set(self._waiting(subscription, known))
        within: dict[str, tuple[Record, dict[str, Any]]] = {}
        last: dict[tuple[int, str], str] = {}
        written: set[str] = set()
        unreadable = 0
        for record, notice in self._read(subscription, records):
            if notice is None:
                unreadable += record.timestamp < until
            elif (mark := mark_of(record)) is not None:
                if mark.request_id == request_id:
                    written.add(notice["replay_of"])
            else:
                last[_fact(record, notice)] = notice["notice_id"]
                if record.timestamp < until and notice["event_type"] in (wanted.event_types or (notice["event_type"],)):
                    # A repeat of routing's puts the same notice there twice: the last one counts.
                    within[notice["notice_id"]] = (record, notice)
        is_under_way = {
            id: record.offset >= committed.get(record.partition, 0) or id in waiting
            for id, (record, _) in within.items()
        }
        free = {id for id in within if not is_under_way[id] and id not in written}
        chosen: list[tuple[Record, str]] = []
        types: Counter[str] = Counter()
        superseded = 0
        for id in free:
            record, notice = within[id]
            latest = last[_fact(record, notice)]
            # An earlier version goes only where the last one goes behind it: it would be the last that is heard.
            if id == latest or (wanted.with_superseded and latest in free):
                chosen.append((record, id))
                types[notice["event_type"]] += 1
            else:
                superseded += 1
        if len(chosen) > MOST:
            raise UsageError(f"{len(chosen):,} notices are more than {MOST:,} at once; narrow the range.")
        chosen.sort(key=lambda each: (each[0].partition, each[0].offset))
        moments = [datetime.fromtimestamp(record.timestamp / 1000, UTC) for record, _ in chosen]
        return Plan(
            subscription, tuple(chosen), dict(types), min(moments, default=None), max(moments, default=None),
            superseded, sum(is_under_way.values()), unreadable, len(within.keys() & written), known,
        )

    def _read(self, subscription: str, records: list[Record]) -> Iterator[tuple[Record, dict[str, Any] | None]]:
        for record in records:
            try:
                yield record, read_inbox(record, self._catalog, subscription)
            except (PoisonError, ContractError):
                yield record, None

    def _waiting(self, subscription: str, partitions: Collection[int]) -> Iterator[str]:
        for each in WaitLog(self._catalog).load(self._load_waits, partitions):
            if each.subscription == subscription:
                yield each.notice_id


def _fact(record: Record, notice: Mapping[str, Any]) -> tuple[int, str]:
    return record.partition, str(notice["correlation_id"])
