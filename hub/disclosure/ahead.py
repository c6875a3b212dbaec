"""What a channel's backlog holds: orders that overtake others, and orders whose receipt stands on the log already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.disclosure.orders import Brief, OrderReader
from hub.errors import ContractError, HubError, PoisonError

#: Clocks of producers may differ by so much: receipts of so long before the first open order are looked at too.
SKEW_MILLISECONDS = 3_600_000
#: The records of some partitions that are still to be read.
Backlog = Callable[[Collection[int]], Iterable[Record]]
#: Receipts of some partitions that were written since a moment (milliseconds since the epoch).
ReceiptLoader = Callable[[Collection[int], int], Iterable[Record]]


class Ahead(NamedTuple):
    """A withdrawal that is still to be read: it may overtake others."""

    partition: int
    offset: int
    brief: Brief


class Seen(NamedTuple):
    """The withdrawals of the backlog, in its order, and which of its orders are answered."""

    ahead: list[Ahead]
    answered: set[str]


class LookAhead:
    """Looks through the backlog of one channel; blocks, so it is called in a thread. One object serves one thread."""

    def __init__(
        self, catalog: Catalog, channel: str, backlog: Backlog, load_receipts: ReceiptLoader
    ) -> None:
        self._catalog, self._channel = catalog, channel
        self._backlog, self._load_receipts = backlog, load_receipts
        self._reader = OrderReader(catalog)

    def look(self, partitions: Collection[int]) -> Seen:
        """Raises BrokerError."""
        ahead: list[Ahead] = []
        order_ids, since = set[str](), None
        for record in self._backlog(partitions):
            try:
                brief = self._reader.brief(record)
            except (PoisonError, ContractError):
                continue  # it is buried when its turn comes
            if brief.channel != self._channel:
                continue
            order_ids.add(brief.order_id)
            since = record.timestamp if since is None else min(since, record.timestamp)
            if brief.action == "withdraw":
                ahead.append(Ahead(record.partition, record.offset, brief))
        if since is None:
            return Seen(ahead, set())
        return Seen(ahead, set(self._answered(order_ids, partitions, since - SKEW_MILLISECONDS)))

    def _answered(self, order_ids: Collection[str], partitions: Collection[int], since: int) -> Iterator[str]:
        for record in self._load_receipts(partitions, since):
            if record.value is None:
                continue
            try:
                _, receipt = self._catalog.decode(record.value)
            except HubError:
                continue  # not a receipt of ours: whoever wrote it, it answers none of these orders
            if receipt.get("channel") == self._channel and receipt.get("order_id") in order_ids:
                yield receipt["order_id"]
