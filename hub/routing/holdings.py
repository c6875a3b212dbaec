"""Who holds what, in memory: a copy of ``routing.holdings.v1`` for the partitions that are ours.

Values are held as they stand on the topic and read when an event of their fact comes. They are written behind all
else that an event brought (see ``Lane``): what the topic tells of a version is on the log, and a version that it names
is not routed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from hub.bus.records import Headers, Output
from hub.bus.table_loader import Loader
from hub.contracts.catalog import Catalog
from hub.contracts.flat import array, compile_item, compile_writer, number
from hub.domain.recall import Holder, Holding, NoticeAction

HOLDINGS = "routing.holdings.v1"
HOLDING_SCHEMA = "hub/holding"
EVENT_TYPE = b"routing.holding.changed"
log = structlog.get_logger()

_FIELDS = ("topic", "correlation_id", "subject", "event_type", "sequence", "routed", "changed_at", "holders")


def key_of(topic: str, correlation_id: bytes) -> bytes:
    """Key of a fact. Rows of two topics may have one name, and so one correlation id."""
    return topic.encode() + b":" + correlation_id


class HoldingCodec:
    """Writes and reads records of ``hub/holding``."""

    def __init__(self, catalog: Catalog) -> None:
        schema = catalog.schema(HOLDING_SCHEMA)
        self._catalog = catalog
        self._write = compile_writer(schema, {}, _FIELDS)
        self._holder = compile_item(schema, "holders")

    def encode(self, holding: Holding) -> bytes:
        holders = [
            self._holder((
                each.subscription.encode(), each.view.encode(), each.action.encode(), each.notice_id.encode(),
                each.sequence, each.since,
            ))
            for each in holding.holders
        ]
        return self._write((
            holding.topic.encode(), holding.correlation_id.encode(), holding.subject.encode(),
            holding.event_type.encode(), holding.sequence, array([number(each) for each in holding.routed]),
            holding.changed_at, array(holders),
        ))

    def first(
        self, topic: bytes, correlation_id: bytes, subject: bytes, event_type: bytes, sequence: int, now: int,
        holders: Sequence[bytes],
    ) -> bytes:
        """The first holding of a fact, out of what the headers of its event hold; most have no other.

        ``holders`` are what ``holder`` gives; the rest is as ``encode`` writes it.
        """
        routed = array((number(sequence),))
        return self._write((topic, correlation_id, subject, event_type, sequence, routed, now, array(holders)))

    def holder(
        self, subscription: bytes, view: bytes, action: bytes, notice_id: bytes, sequence: int, now: int
    ) -> bytes:
        """One holder, encoded."""
        return self._holder((subscription, view, action, notice_id, sequence, now))

    def decode(self, value: bytes) -> Holding:
        """Raises ContractError or PoisonError where the bytes are no holding."""
        found = self._catalog.decode(value)[1]
        holders = tuple(_holder(each) for each in found["holders"])
        return Holding(
            found["topic"], found["correlation_id"], found["subject"], found["event_type"], found["sequence"],
            tuple(found["routed"]), _millis(found["changed_at"]), holders,
        )


class HoldingTable:
    """The holdings of the partitions that are ours.

    ``loader`` reads the topic; ``None`` begins empty. It is called before the first record of a partition is handled
    and may raise a retryable error, which the lane answers by waiting. ``kept`` says how long events of a topic can be
    read again: what nobody has held for so long is forgotten.
    """

    def __init__(self, catalog: Catalog, loader: Loader | None, kept: Callable[[str], timedelta]) -> None:
        self.codec, self._loader, self._kept = HoldingCodec(catalog), loader, kept
        self._tables: dict[int, dict[bytes, bytes]] = {}
        self._assigned: set[tuple[str, int]] = set()
        self._undo: list[tuple[dict[bytes, bytes], bytes, bytes | None]] = []
        self._restored: list[int] = []

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.update(partitions)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._assigned.difference_update(partitions)
        kept = {partition for _, partition in self._assigned}
        for partition in self._tables.keys() - kept:
            del self._tables[partition]
        self._undo.clear()

    def get(self, partition: int, key: bytes) -> Holding | None:
        """Who was sent the fact; ``None`` if nobody ever was. Raises BrokerError (retryable)."""
        table = self._tables.get(partition)
        if table is None:
            table = self._restore(partition)
        value = table.get(key)
        return None if value is None else self.codec.decode(value)

    def put(self, partition: int, key: bytes, holding: Holding, headers: Headers) -> Output:
        """From now on it is so; returns the record that says it."""
        return self.put_value(partition, key, self.codec.encode(holding), headers)

    def put_value(self, partition: int, key: bytes, value: bytes, headers: Headers) -> Output:
        """As ``put``, of a holding that is encoded already."""
        table = self._tables[partition]
        self._undo.append((table, key, table.get(key)))
        table[key] = value
        return Output(HOLDINGS, key, value, headers, partition)

    def begin(self) -> None:
        """What is put from now on can be taken back together."""
        self._undo.clear()

    def take_back(self) -> None:
        """Undoes all that was put since ``begin``."""
        for table, key, before in reversed(self._undo):
            if before is None:
                table.pop(key, None)
            else:
                table[key] = before
        self._undo.clear()

    def forget_closed(self, now: datetime) -> list[Output]:
        """Tombstones of what nobody holds and no event can be read of again; looked for once after a restore."""
        outputs: list[Output] = []
        for partition in self._restored:
            table = self._tables.get(partition, {})
            gone = [key for key, value in table.items() if self._is_over(self.codec.decode(value), now)]
            for key in gone:
                del table[key]
            outputs += [Output(HOLDINGS, key, None, [], partition) for key in gone]
        self._restored.clear()
        return outputs

    def _is_over(self, holding: Holding, now: datetime) -> bool:
        kept = self._kept(holding.topic)
        if holding.is_held or kept == timedelta.max:
            return False
        return now.timestamp() * 1000 - holding.changed_at > kept.total_seconds() * 1000

    def _restore(self, partition: int) -> dict[bytes, bytes]:
        wanted = {partition, *(assigned for _, assigned in self._assigned)} - self._tables.keys()
        tables = self._load(wanted)
        self._tables |= tables
        self._restored += wanted
        if self._loader is not None:
            log.info("holdings restored", stage="routing", partitions=len(wanted), facts=sum(map(len, tables.values())))
        return self._tables[partition]

    def _load(self, partitions: Collection[int]) -> dict[int, dict[bytes, bytes]]:
        tables: dict[int, dict[bytes, bytes]] = {each: {} for each in partitions}
        if self._loader is None:
            return tables
        for partition, key, value in self._loader(partitions):
            table = tables[partition]
            known = table.get(key)
            if value is None:
                table.pop(key, None)
            elif known is None or self._is_newer(value, known):
                table[key] = value
        return tables

    def _is_newer(self, value: bytes, known: bytes) -> bool:
        """What was routed only grows. Less of it, behind more, was written late by an owner that had lost the
        partition without knowing, and does not count."""
        return len(self.codec.decode(value).routed) >= len(self.codec.decode(known).routed)


def _holder(found: Mapping[str, Any]) -> Holder:
    return Holder(
        found["subscription"], found["view"], cast("NoticeAction", found["action"]), found["notice_id"],
        found["sequence"], _millis(found["since"]),
    )


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
