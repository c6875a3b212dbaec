"""Notices that wait apart from their inbox, on the compacted topic ``delivery.waits.v1``.

A notice that does not get through, while others to the same endpoint do, is written here whole, and so is
every later one of its subject; then the inbox goes on. The record's key is the notice's id, its partition
that of the subject, so whoever owns the inbox's partition owns what waits of it. A tombstone says that it
waits no more.

    retrying ──▶ delivered            tried again by itself, after 5 s, 5 min, 30 min … of the policy
       │   └───▶ parked               refused for good, or tried for three days in vain
    fallback ──▶ delivered, parked    handed out the other way, since its period ends; until that says how it ended
    behind                            in its place behind one of those; goes as soon as that is gone
    parked ────▶ released, dropped    by a person
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from hub.bus.records import Output, Record
from hub.bus.table_loader import Loader
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, output_id

WAITS_TOPIC = "delivery.waits.v1"
WAIT_SCHEMA = "hub/delivery-wait"
SOURCE = "/stages/delivery"
WaitState = Literal["retrying", "behind", "fallback", "parked"]


class Wait(NamedTuple):
    """Why a notice waits and what was tried so far. Times are aware UTC."""

    state: WaitState
    reason: str
    attempts: int = 0
    http_status: int | None = None
    first_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None


class Waiting(NamedTuple):
    """One entry of the topic: the record as it stood in its inbox, and its wait."""

    notice_id: str
    subscription: str
    record: Record
    wait: Wait
    subject: str
    deliver_by: datetime | None


class WaitLog:
    """Writes and reads the entries of one topic."""

    def __init__(self, catalog: Catalog) -> None:
        self._schema = catalog.schema(WAIT_SCHEMA)
        self._catalog = catalog

    def entry(self, record: Record, notice: Mapping[str, Any], envelope: Envelope, wait: Wait, now: datetime) -> Output:
        """``record``, whose fields are ``notice``, as one that waits."""
        value = self._schema.encode({
            "notice_id": notice["notice_id"],
            "event_id": notice["event_id"],
            "correlation_id": notice["correlation_id"],
            "subscription": notice["subscription"],
            "subject": notice["subject"],
            **wait._asdict(),
            "deliver_by": notice["deliver_by"],
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": record.key,
            "value": record.value or b"",
            "headers": [{"name": name, "value": value} for name, value in record.headers],
        })
        id = output_id(notice["notice_id"], f"wait:{wait.state}:{wait.attempts}")
        caused = envelope.caused(id=id, source=SOURCE, type="delivery.wait.changed", time=now)
        return Output(WAITS_TOPIC, notice["notice_id"].encode(), value, to_headers(caused), record.partition)

    def gone(self, record: Record, notice_id: str) -> Output:
        """It waits no more."""
        return Output(WAITS_TOPIC, notice_id.encode(), None, [], record.partition)

    def read(self, value: bytes) -> Waiting:
        """An entry as it was written."""
        found = self._catalog.decode(value)[1]
        record = Record(
            found["topic"], found["partition"], found["offset"], found["timestamp"], found["key"], found["value"],
            [(header["name"], header["value"]) for header in found["headers"]],
        )
        wait = Wait(**{name: found[name] for name in Wait._fields})
        return Waiting(
            found["notice_id"], found["subscription"], record, wait, found["subject"], found["deliver_by"]
        )

    def load(self, loader: Loader, partitions: Collection[int]) -> Iterator[Waiting]:
        """What waits in some partitions, in the order of the inboxes. Raises BrokerError."""
        values: dict[bytes, bytes] = {}
        for _, key, value in loader(partitions):
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
        found = [self.read(value) for value in values.values()]
        yield from sorted(found, key=lambda each: (each.record.topic, each.record.partition, each.record.offset))
