"""What a person is told of a notice that does not get through while its period runs out: ``delivery.alerts.v1``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.delivery.lines import Item
from hub.domain.events import output_id

ALERTS_TOPIC = "delivery.alerts.v1"
ALERT_SCHEMA = "hub/delivery-alert"
SOURCE = "/stages/delivery"

#: ``at-risk``: there is no other way; ``fell-back``: it was handed out another way. Codes of ``delivery-alert-kind``.
AlertKind = Literal["at-risk", "fell-back"]
_COPIED = ("notice_id", "event_id", "correlation_id", "subject", "subscription", "department_code", "deliver_by")


class AlertWriter:
    """Alerts of one hub. An alert of a kind has one id for each notice, however often it is raised."""

    def __init__(self, catalog: Catalog) -> None:
        self._schema = catalog.schema(ALERT_SCHEMA)

    def write(self, kind: AlertKind, item: Item, reason: str, contact: str | None, now: datetime) -> Output:
        id = output_id(item.notice_id, f"alert:{kind}")
        value = self._schema.encode({
            "alert_id": id, "kind": kind, **{name: item.notice[name] for name in _COPIED},
            "attempts": item.attempts, "reason": reason, "contact": contact, "raised_at": now,
        })
        caused = item.envelope.caused(id=id, source=SOURCE, type="delivery.alert.raised", time=now)
        return Output(ALERTS_TOPIC, item.record.key, value, to_headers(caused))
