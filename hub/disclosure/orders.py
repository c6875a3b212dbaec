"""Orders as they stand on the log, and as a sink gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.contracts.codec import Schema
from hub.contracts.fields import Field
from hub.contracts.map_models import VIEWS_OF
from hub.contracts.views import PARTY_NUMBER, UPLINK
from hub.disclosure.reasons import ended_reason, withdrawal_reason
from hub.disclosure.sink import STATUSES, Order
from hub.domain.calendar import local_date
from hub.domain.events import Envelope, output_id
from hub.errors import ContractError, PoisonError

ORDERS_TOPIC = "disclosure.orders.v1"
ORDER_SCHEMA = "hub/disclosure-order"
#: A view's field that names the last day of publication (公示截止期).
PUBLISH_UNTIL = "publish_until"


class Brief(NamedTuple):
    """What can be known of an order at little cost: its leading fields alone are decoded."""

    order_id: str
    correlation_id: str
    channel: str
    action: str
    sequence: int

    def overtakes(self, earlier: Brief) -> bool:
        """Whether this order, which stands behind ``earlier`` on the log, makes it needless.

        Both are of one record in one channel. Only a withdrawal does. An amendment may be refused, and whether the
        channel has the version before, of which a reply may have been lost, would then be on no record.
        """
        return self.action == "withdraw" and self.sequence >= earlier.sequence


class Read(NamedTuple):
    """An order of this channel: its fields on the log, its envelope, and what the sink gets.

    ``ends_on`` is the last day on which what it shows may be public.
    """

    fields: Mapping[str, Any]
    envelope: Envelope
    order: Order
    ends_on: date | None = None

    @property
    def brief(self) -> Brief:
        found = self.order
        return Brief(found.order_id, found.correlation_id, found.channel, found.action, found.sequence)

    @property
    def ids(self) -> tuple[str, ...]:
        """What the sink may know it by."""
        id = self.order.order_id
        return (id,) if self.ends_on is None else (id, _ended_id(id))

    def is_over(self, today: date) -> bool:
        """Whether it is to show what may not be public any more."""
        return self.order.action != "withdraw" and self.ends_on is not None and self.ends_on < today

    def as_of(self, today: date) -> Order:
        """What the sink gets on that day: what is over takes back what may be public, under an id of its own, for the
        sink may know the order by its id as what it was."""
        if self.ends_on is None or not self.is_over(today):
            return self.order
        return replace(
            self.order, order_id=_ended_id(self.order.order_id), action="withdraw", reason=ended_reason(self.ends_on)
        )


def _ended_id(order_id: str) -> str:
    return output_id(order_id, "ended")


class OrderReader:
    """Reads the orders of all channels; not thread-safe. ``audience`` is that of the channel whose orders are read
    whole: what it may not see is no order for it."""

    def __init__(self, catalog: Catalog, audience: str = "public") -> None:
        self.catalog, self._audience = catalog, audience
        self._channel_of: dict[int, Callable[[bytes], dict[str, Any]]] = {}
        self._brief_of: dict[int, Callable[[bytes], dict[str, Any]]] = {}
        self._disclosable: set[int] = set()

    def channel_of(self, record: Record) -> str:
        """The channel that an order is for. Raises PoisonError or ContractError if it is no order."""
        schema, value = self._schema_of(record)
        read = self._channel_of.get(schema.id)
        if read is None:
            read = self._channel_of[schema.id] = schema.prefix(["channel"])
        return str(read(value)["channel"])

    def brief(self, record: Record) -> Brief:
        """Raises as ``channel_of``."""
        schema, value = self._schema_of(record)
        read = self._brief_of.get(schema.id)
        if read is None:
            read = self._brief_of[schema.id] = schema.prefix(Brief._fields)
        found = read(value)
        return Brief(*(found[name] for name in Brief._fields))

    def read(self, record: Record) -> Read:
        """The whole order. Raises PoisonError or ContractError for one that nobody can carry out."""
        schema, value = self._schema_of(record)
        fields = schema.decode(value)
        envelope = from_headers(record.headers)
        if fields["action"] not in STATUSES:
            raise ContractError(f"an order publishes, amends or withdraws; {fields['action']!r} is none of them")
        written_as, content = self.catalog.decode(fields["data"])
        self._check_view(written_as, fields["view"])
        named = content.get(PUBLISH_UNTIL)
        until = named if isinstance(named, date) else None
        ends_on = self._ends_on(fields, until)
        order = Order(
            order_id=fields["order_id"], channel=fields["channel"], action=fields["action"],
            correlation_id=fields["correlation_id"], subject=fields["subject"], sequence=fields["sequence"],
            kind=written_as.name, content=content, ordered_at=fields["ordered_at"],
            reason=_reason(fields, content, ends_on) if fields["action"] == "withdraw" else None, publish_until=until,
            is_reissued=fields.get("reissue_of") is not None, traceparent=envelope.traceparent,
        )
        return Read(fields, envelope, order, ends_on)

    def _ends_on(self, fields: Mapping[str, Any], until: date | None) -> date | None:
        if "ends_on" in fields:
            found = fields["ends_on"]
            return found if isinstance(found, date) else None
        # Of before orders named it. What is reported to the government has no term.
        return until if self._audience == "public" else None

    def _schema_of(self, record: Record) -> tuple[Schema, bytes]:
        if record.value is None:
            raise PoisonError("an order without a value")
        schema = self.catalog.identify(record.value)
        if schema.name != ORDER_SCHEMA:
            raise ContractError(f"{ORDERS_TOPIC} holds orders, not {schema.name}")
        return schema, record.value

    def _check_view(self, schema: Schema, view: str) -> None:
        if schema.view != view:
            raise ContractError(f"the order names view {view!r} and carries {schema.view!r} of {schema.name}")
        if schema.id not in self._disclosable:
            check_disclosable(schema, self._audience)
            self._disclosable.add(schema.id)


def _reason(fields: Mapping[str, Any], content: Mapping[str, Any], ends_on: date | None) -> str:
    """Of an order to show that is given again as a withdrawal: that it is over, if it is."""
    if fields.get("reissue_of") and ends_on is not None and ends_on < local_date(fields["ordered_at"]):
        return ended_reason(ends_on)
    return withdrawal_reason(fields["event_type"], content)


def check_disclosable(schema: Schema, audience: str = "public") -> None:
    """Raises ContractError if the view is not for this audience, or holds a field of the class ``sensitive``.

    The projection has removed or masked them long before; this is the last door before the public (ID numbers are
    sensitive data under the Personal Information Protection Law, art. 28). To a system of the government's own goes
    what ``partner`` masks, and by ``uplink`` the number of the party, which the national standard requires.
    """
    if schema.view not in VIEWS_OF[audience]:
        raise ContractError(f"{schema.name} as {schema.view}: no view for a channel whose audience is {audience}")
    for path, found in _walk(schema.fields, ""):
        is_required = schema.view == UPLINK and path == f"/{PARTY_NUMBER}"
        if found.privacy == "sensitive" and not is_required and schema.view != "partner":
            raise ContractError(f"{schema.name} as {schema.view}: {path} is sensitive, not for a channel")


def _walk(fields: tuple[Field, ...], path: str) -> Iterator[tuple[str, Field]]:
    """Every field with its path, those of records within arrays too."""
    for item in fields:
        yield f"{path}/{item.name}", item
        yield from _walk(item.items, f"{path}/{item.name}")
