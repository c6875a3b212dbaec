"""Direct Kafka: a department that has a client of its own reads its inbox itself.

Delivered is what its group has committed: an offset behind a record says that the department has that record and all
before it. This part looks at the commits of all such groups every second and writes the receipts, in the order of
the inbox. How far they are written stands in the hub's own group of the subscription, as with every other way; so a
group that goes back gets no second receipt, and after a kill the same receipts come again under the same ids.

Of several processes each looks after its own partitions. They are shared out by a group that only does that: it
fetches nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from hashlib import sha256

import structlog
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from hub.bus.batch import Place
from hub.bus.clients import new_consumer
from hub.bus.commits import GroupOffsets
from hub.bus.dead_letters import to_dead_letter
from hub.bus.publisher import Publisher
from hub.bus.records import Output, Record
from hub.bus.spans import Span, SpanReader
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.delivery.message import read_inbox
from hub.delivery.receipts import ReceiptWriter, Sent, Tried
from hub.delivery.rights import PauseKeeper
from hub.domain.direct import group_of, inbox_of, user_of
from hub.domain.retry import doubled
from hub.errors import HubError

#: The group by which processes share the inboxes out among them.
SHARING_GROUP = "hub-direct"
#: A receipt is so much later than the commit that it tells of; each look is one small question a subscription.
LOOK_SECONDS = 1.0
_LONGEST_WAIT = 30.0
_log = structlog.get_logger()


def said_by(subscription: str) -> str:
    """What a receipt names for an address: who acknowledged, and by what."""
    return f"user {user_of(subscription)}, group {group_of(subscription)}"


class Acknowledged:
    """What is written of a record that was acknowledged. ``now`` gives aware UTC."""

    def __init__(
        self, subscriptions: Collection[str], catalog: Catalog, now: Callable[[], datetime], rule_version: str = ""
    ) -> None:
        self._subscriptions = {inbox_of(name): name for name in subscriptions}
        self._writers = {name: ReceiptWriter(catalog, name, "kafka") for name in subscriptions}
        self._catalog, self._now, self._rule_version = catalog, now, rule_version

    def receipt(self, record: Record) -> Output:
        """That the department has ``record``; or, if that is no notice, the record as a dead letter."""
        subscription, now = self._subscriptions[record.topic], self._now()
        try:
            notice = read_inbox(record, self._catalog, subscription)
            envelope = from_headers(record.headers)
        except HubError as error:
            _log.error("dead letter", topic=record.topic, partition=record.partition, offset=record.offset,
                       error=str(error))
            return to_dead_letter(record, "delivery", error, attempts=1, first_failed_at=now,
                                  rule_version=self._rule_version)
        _log.info("delivery.finished", notice_id=notice["notice_id"], event_id=notice["event_id"], status="delivered")
        offered_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return self._writers[subscription].write(
            record, notice, envelope, "delivered", Tried(1, offered_at), now, endpoint=said_by(subscription),
            sent=Sent(sha256(record.value or b"").hexdigest()),
        )


class DirectReceipts:
    """Writes the receipts of subscriptions that are read directly. ``run`` blocks until ``stop``, from any thread.

    ``position_group`` names the group that holds how far the receipts of a subscription are written. ``pauses``
    is enforced at each look. ``now`` gives aware UTC.
    """

    def __init__(
        self, bootstrap: str, subscriptions: Collection[str], catalog: Catalog, publisher: Publisher,
        now: Callable[[], datetime], *, position_group: Callable[[str], str], pauses: PauseKeeper | None = None,
        sharing_group: str = SHARING_GROUP, rule_version: str = "", look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._bootstrap, self._publisher = bootstrap, publisher
        self._subscriptions = {inbox_of(name): name for name in subscriptions}
        self._acknowledged = Acknowledged(subscriptions, catalog, now, rule_version)
        self._position_group, self._pauses = position_group, pauses
        self._sharing_group, self._look_seconds = sharing_group, look_seconds
        self._offsets, self._reader = GroupOffsets(bootstrap), SpanReader(bootstrap)
        self._stopping = threading.Event()
        self._owned: set[Place] = set()
        #: Of the places that are ours: how far receipts are written, and how far that is committed.
        self._positions: dict[Place, int | None] = {}
        self._committed: dict[Place, int | None] = {}
        self._odd: set[Place] = set()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Raises only what no retry can mend."""
        sharing = new_consumer(self._bootstrap, group=self._sharing_group, client_id="direct")
        sharing.subscribe(
            list(self._subscriptions), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    if self._pauses is not None:
                        self._pauses.enforce()
                    self.look()
                    failures = 0
                except HubError as error:
                    failures += 1
                    _log.warning("direct.again", error=str(error), failures=failures)
                wait = doubled(failures, first=self._look_seconds, longest=_LONGEST_WAIT)
                until = time.monotonic() + wait
                # The time between two looks is the group's: here partitions come and go, and nothing else comes.
                while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
                    said = sharing.poll(min(left, 0.5))
                    if said is not None and (fault := said.error()) is not None:
                        _log.warning("broker said", error=fault.str(), topic=said.topic())
        finally:
            with contextlib.suppress(HubError):
                self._commit()
            sharing.close()
            self._reader.close()
            self._publisher.close()

    def look(self) -> None:
        """Writes the receipts of what was committed since the last look. Raises HubError; nothing is lost by it."""
        names = sorted({self._subscriptions[topic] for topic, _ in self._owned})
        if not names:
            return
        self._find_positions(names)
        acknowledged = self._offsets.read([group_of(name) for name in names])
        moved: dict[Place, int] = {}
        for place in sorted(self._owned):
            until = acknowledged[group_of(self._subscriptions[place[0]])].get(place)
            # Back is not taken back, and nothing is said twice.
            if until is not None and until > (self._positions[place] or 0):
                moved[place] = until
        ends = self._reader.ends_of(moved)
        spans = {
            place: Span(self._positions[place], until)
            for place, until in moved.items() if self._is_in_log(place, until, ends[place])
        }
        if spans:
            for records in self._reader.read(spans):
                if self._stopping.is_set():
                    break
                self._write(records)
            else:
                self._positions |= {place: span.end for place, span in spans.items()}
        self._commit()

    def _find_positions(self, names: Sequence[str]) -> None:
        """Of what became ours: how far its receipts are written."""
        new = {place for place in self._owned if place not in self._positions}
        if not new:
            return
        found = self._offsets.read([self._position_group(name) for name in names])
        for place in new:
            at = found[self._position_group(self._subscriptions[place[0]])].get(place)
            self._positions[place] = self._committed[place] = at

    def _is_in_log(self, place: Place, until: int, end: int) -> bool:
        """Whether a commit is of what there is: one beyond the end would acknowledge what was never written."""
        is_there = until <= end
        if not is_there and place not in self._odd:
            _log.warning("direct.commit_beyond_end", topic=place[0], partition=place[1], committed=until)
            self._odd.add(place)
        return is_there

    def _write(self, records: Sequence[Record]) -> None:
        self._publisher.publish([self._acknowledged.receipt(record) for record in records])
        # Acknowledged by all in-sync replicas: now they stand.
        self._positions |= {(record.topic, record.partition): record.offset + 1 for record in records}

    def _commit(self) -> None:
        news: dict[str, dict[Place, int]] = {}
        for place, at in self._positions.items():
            if at is not None and at != self._committed[place]:
                news.setdefault(self._position_group(self._subscriptions[place[0]]), {})[place] = at
        for group, offsets in news.items():
            self._offsets.write(group, offsets)
            self._committed |= offsets

    # -- sharing --------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            each.offset = OFFSET_END
        consumer.assign(partitions)
        if partitions:
            consumer.pause(partitions)
        self._owned = {(each.topic, each.partition) for each in partitions}
        self._positions, self._committed = {}, {}
        _log.info("direct.assigned", partitions=len(partitions))

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        # Nothing is under way: a look ends before the group is asked again.
        self._owned, self._positions, self._committed = set(), {}, {}
