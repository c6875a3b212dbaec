"""What the hub believes to be public: a fold of orders and receipts, by channel and record. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.disclosure.orders import ORDER_SCHEMA
from hub.disclosure.receipts import RECEIPT_SCHEMA
from hub.domain.disclosed import State, Step, state_of
from hub.errors import HubError


def fold(records: Iterable[Record], catalog: Catalog, channel: str | None = None) -> list[State]:
    """States out of records of both topics, in any order between them; of one channel, or of all.

    What cannot be read is passed over: no channel was asked for it.
    """
    steps: dict[str, Step] = {}
    ends: dict[str, tuple[str, str | None, str | None, datetime, datetime]] = {}
    for record in records:
        if record.value is None:
            continue
        try:
            schema, value = catalog.decode(record.value)
        except HubError:
            continue
        if channel not in (None, value.get("channel")):
            continue
        if schema.name == RECEIPT_SCHEMA:
            written_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            ends.setdefault(value["order_id"], (
                value["status"], value["public_reference"], value["reason"], value["received_at"], written_at,
            ))  # fmt: skip
        elif schema.name == ORDER_SCHEMA and value["order_id"] not in steps:
            steps[value["order_id"]] = Step(
                value["order_id"], value["channel"], value["correlation_id"], value["subject"], value["action"],
                value["sequence"], value["event_type"], value["ordered_at"], reissue_of=value.get("reissue_of"),
                asked_by=value.get("asked_by"), asked_why=value.get("asked_why"),
            )  # fmt: skip
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps.values():
        end = ends.get(step.order_id)
        if end is not None:
            step = step._replace(
                status=end[0], public_reference=end[1], reason=end[2], received_at=end[3], written_at=end[4]
            )
        groups.setdefault((step.channel, step.correlation_id), []).append(step)
    return [state_of(group) for _, group in sorted(groups.items())]
