"""The orders of one channel that are under way: in order by enterprise and by record, none in another's way."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterator
from enum import StrEnum

from hub.bus.batch import Place
from hub.bus.records import Record
from hub.disclosure.ahead import Ahead
from hub.disclosure.orders import Read
from hub.disclosure.sink import REFUSED, Order, Receipt


class ItemState(StrEnum):
    """Draws what becomes of an order.

        queued ──▶ ready ──▶ busy ──▶ ended     answered, refused; a receipt stands on the log
           │         ▲ │       ├──▶ resting ──▶ ready    failed; again in seconds, at most a minute
           │         │ │       └──▶ asked    the channel answers later ──▶ ended
           └─────────┴─┴──▶ ended            superseded by the withdrawal of its record

    Queued: something of its enterprise or of its record is before it. What is over when it goes out goes as a
    withdrawal, and ends as one.
    """

    QUEUED = "queued"
    READY = "ready"
    BUSY = "busy"
    RESTING = "resting"
    ASKED = "asked"
    ENDED = "ended"


class Item:
    """One order. ``limit`` is the largest batch that it may be sent in, ``order`` what the sink gets or got last."""

    __slots__ = ("attempts", "brief", "is_gone", "last_error", "limit", "order", "read", "record", "state")

    def __init__(self, record: Record, read: Read, limit: int) -> None:
        self.record, self.read, self.limit = record, read, limit
        self.brief, self.order = read.brief, read.order
        self.state = ItemState.QUEUED
        self.attempts = 0
        #: Its partition goes to somebody else: what was sent may still be answered, nothing is sent again.
        self.is_gone = False
        self.last_error = ""

    @property
    def place(self) -> Place:
        return self.record.topic, self.record.partition

    @property
    def order_id(self) -> str:
        return self.brief.order_id

    @property
    def keys(self) -> tuple[Hashable, Hashable]:
        """What it keeps its turn by."""
        return ("subject", self.record.partition, self.record.key), ("record", self.brief.correlation_id)

    def end_of(self, receipt: Receipt) -> Receipt:
        """What is written of the channel's answer: of what was over that it is not public, and why."""
        if self.order is self.read.order or receipt.status == REFUSED:
            return receipt
        return Receipt("withdrawn", reason=self.order.reason, received_at=receipt.received_at)

    @property
    def is_sent(self) -> bool:
        """Whether the channel may have it: it cannot be left out any more."""
        return self.state in (ItemState.BUSY, ItemState.ASKED)


class OrderQueue:
    """All orders that have no receipt yet, in the order in which they came."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Item]] = {}
        self._by_id: dict[str, Item] = {}
        #: Those that go out under another id, by that.
        self._renamed: dict[str, Item] = {}
        #: Partition and record -> the last withdrawal in the backlog, if any.
        self._ahead: dict[tuple[int, str], Ahead] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._by_id.values()))

    def find(self, order_id: str) -> Item | None:
        return self._by_id.get(order_id)

    def sent_as(self, order_id: str) -> Item | None:
        """The one that the sink knows by this id."""
        found = self._renamed.get(order_id) or self._by_id.get(order_id)
        return found if found is not None and found.order.order_id == order_id else None

    def give(self, item: Item, order: Order) -> None:
        """``order`` is what the sink gets for it from now on."""
        item.order = order
        self._renamed[order.order_id] = item

    def add(self, item: Item) -> None:
        self._by_id[item.order_id] = item
        for key in item.keys:
            self._queues.setdefault(key, deque()).append(item)

    def is_first(self, item: Item) -> bool:
        """Whether its turn has come."""
        return all(self._queues[key][0] is item for key in item.keys)

    def remove(self, item: Item) -> list[Item]:
        """It has ended; returns those whose turn has come by it."""
        item.state = ItemState.ENDED
        self._by_id.pop(item.order_id, None)
        self._renamed.pop(item.order.order_id, None)
        nexts: list[Item] = []
        for key in item.keys:
            queue = self._queues.get(key)
            if queue is None or item not in queue:
                continue
            queue.remove(item)
            if queue:
                nexts.append(queue[0])
            else:
                del self._queues[key]
        freed = {
            id(each): each for each in nexts
            if each.state is ItemState.QUEUED and not each.is_gone and self.is_first(each)
        }
        return list(freed.values())

    def note(self, ahead: Ahead) -> None:
        """Remembers what is still to be read and may overtake what is before it."""
        place = (ahead.partition, ahead.brief.correlation_id)
        before = self._ahead.get(place)
        if before is None or ahead.brief.overtakes(before.brief):
            self._ahead[place] = ahead

    def overtaken(self, item: Item) -> list[tuple[Item, str]]:
        """(order, id of the later one) of what need not go out, now that ``item`` is known.

        What was sent is not among them: the channel may have done it.
        """
        found = [
            (each, item.order_id) for each in self._queues[item.keys[1]]
            if each is not item and not each.is_sent and each.place == item.place and item.brief.overtakes(each.brief)
        ]
        later = self.later_than(item)
        return found + ([(item, later)] if later is not None else [])

    def later_than(self, item: Item) -> str | None:
        """The order still to be read that makes this one needless, if there is one."""
        place = (item.record.partition, item.brief.correlation_id)
        ahead = self._ahead.get(place)
        if ahead is None:
            return None
        if ahead.offset <= item.record.offset:
            del self._ahead[place]
            return None
        # Routing may have written an order twice: it does not overtake itself.
        is_later = ahead.brief.order_id != item.order_id and ahead.brief.overtakes(item.brief)
        return ahead.brief.order_id if is_later and not item.is_sent else None

    def forget(self, places: Collection[Place]) -> list[Item]:
        """Takes the orders of some partitions out, but those that are being sent, which it marks as gone.

        Returns those whose turn has come by it.
        """
        going = [item for item in self if item.place in places]
        partitions = {partition for _, partition in places}
        self._ahead = {place: ahead for place, ahead in self._ahead.items() if place[0] not in partitions}
        freed: list[Item] = []
        for item in going:
            item.is_gone = True
        for item in going:
            if item.state is not ItemState.BUSY:
                freed += self.remove(item)
        return [each for each in freed if each.state is ItemState.QUEUED and not each.is_gone]
