"""What a person is told of a notice that does not get through while its period runs out: ``delivery.alerts.v1``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.delivery.lines import Item
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.domain.events import output_id

ALERTS_TOPIC = "delivery.alerts.v1"
ALERT_SCHEMA = "hub/delivery-alert"
SOURCE = "/stages/delivery"

#: ``at-risk``: there is no other way; ``fell-back``: it was handed out another way. Codes of ``delivery-alert-kind``.
AlertKind = Literal["at-risk", "fell-back"]
_COPIED = ("notice_id", "event_id", "correlation_id", "subject", "subscription", "department_code", "deliver_by")


def open_alerts(records: Iterable[Record], catalog: Catalog) -> list[Mapping[str, Any]]:
    """Of the records of alerts and receipts: the last alert of each notice that has no end, the earliest due first.

    What a person has parked before his eyes is no end.
    """
    alerts: dict[str, Mapping[str, Any]] = {}
    ended: set[str] = set()
    for record in records:
        if record.value is None or record.topic not in (ALERTS_TOPIC, RECEIPTS_TOPIC):
            continue
        value = catalog.decode(record.value)[1]
        if record.topic == RECEIPTS_TOPIC:
            if value["status"] != "parked":
                ended.add(value["notice_id"])
            continue
        known = alerts.get(value["notice_id"])
        if known is None or known["raised_at"] <= value["raised_at"]:
            alerts[value["notice_id"]] = value
    return sorted(
        (alert for id, alert in alerts.items() if id not in ended),
        key=lambda alert: (alert["deliver_by"], alert["subscription"], alert["notice_id"]),
    )


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
