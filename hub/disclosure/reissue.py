"""Orders that are given again because what they did did not last: new orders, under ids that follow from the old."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers, to_headers
from hub.disclosure.orders import ORDER_SCHEMA, ORDERS_TOPIC
from hub.disclosure.reconcile import Difference
from hub.domain.events import output_id

SOURCE = "/stages/disclosure"


def reissue(
    differences: Iterable[Difference], orders: Mapping[str, Record], catalog: Catalog, *, by: str, why: str,
    now: datetime,
) -> Iterator[Output]:
    """An order for each difference that has a remedy; ``orders`` holds the records of the orders that they rest on.

    The same difference asked for twice before it is carried out gives the same order.
    """
    schema = catalog.schema(ORDER_SCHEMA)
    for difference in differences:
        state = difference.state
        if difference.remedy is None or state is None or state.order_id is None:
            continue
        record = orders[state.order_id]
        _, before = catalog.decode(record.value or b"")
        order_id = output_id(state.order_id, f"reissue:{difference.remedy}:{state.reissues + 1}")
        value = schema.encode({
            **before, "order_id": order_id, "action": difference.remedy, "ordered_at": now,
            "reissue_of": state.order_id, "asked_by": by, "asked_why": why,
        })
        envelope = from_headers(record.headers).caused(
            id=order_id, source=SOURCE, type="disclosure.order.issued", time=now
        )
        yield Output(ORDERS_TOPIC, record.key, value, to_headers(envelope))


def orders_of(records: Iterable[Record], wanted: set[str]) -> dict[str, Record]:
    """The records of some orders, by id."""
    found: dict[str, Record] = {}
    for record in records:
        headers = dict(record.headers)
        order_id = headers.get("ce_id", b"").decode()
        if order_id in wanted:
            found.setdefault(order_id, record)
    return found
