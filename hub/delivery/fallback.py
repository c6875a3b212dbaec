"""The other way of a subscription, for notices whose period runs out while they do not get through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.delivery.alerts import AlertWriter
from hub.delivery.gate import Gate
from hub.delivery.lines import Item
from hub.delivery.receipts import ReceiptWriter
from hub.delivery.transport import Transport
from hub.domain.urgency import Nearness, Urgency


class Way(NamedTuple):
    """One way out: what hands a notice over, and what writes the receipt of it."""

    transport: Transport
    receipts: ReceiptWriter


class Deadlines:
    """What the end of a notice's period means for it. ``now`` gives aware UTC; without urgency nothing is urgent."""

    def __init__(self, urgency: Urgency | None, gate: Gate, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._urgency, self._gate, self._now = urgency, gate, now
        self._alerts = AlertWriter(catalog)

    def delay(self, item: Item, planned: float | None, chance: float) -> float | None:
        """Seconds until the next attempt, where the schedule says ``planned``; ``None`` gives up."""
        if self._urgency is None:
            return planned
        return self._urgency.delay(planned, self._now(), _deliver_by(item), self._gate.hours, chance=chance)

    def is_last(self, item: Item) -> bool:
        """Whether so little is left that nobody may rely on the next attempt."""
        if self._urgency is None:
            return False
        return self._urgency.nearness(self._now(), _deliver_by(item)) in (Nearness.LAST, Nearness.LATE)

    def fell_back(self, item: Item, reason: str) -> Output:
        """Tells a person that the notice was handed out the other way."""
        return self._alerts.write("fell-back", item, reason, self._contact, self._now())

    def at_risk(self, item: Item, reason: str) -> Output:
        """Tells a person that the notice is about to be late, and that there is no other way."""
        return self._alerts.write("at-risk", item, reason, self._contact, self._now())

    @property
    def _contact(self) -> str | None:
        return self._gate.settings.contact if self._gate.settings is not None else None


def _deliver_by(item: Item) -> datetime | None:
    found: Any = item.notice["deliver_by"]
    return found if isinstance(found, datetime) else None
