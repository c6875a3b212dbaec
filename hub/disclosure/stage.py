"""Orders to publish, amend or withdraw, carried out at the channel that each names.

In: ``disclosure.orders.v1``. Out: ``disclosure.receipts.v1``, one receipt for each order, with an
id derived from the order's. The channel recognises a repeated order by its Idempotency-Key, so a
repeat after a crash or a lost reply publishes nothing twice and brings the same receipt.

``401`` and ``403`` are not refusals of a record but of us: the token is wrong for every record.
They wait like an outage until somebody puts it right; a channel's queue is never refused away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import structlog

from hub.bus.http_client import TIMEOUT_SECONDS, HttpClient
from hub.bus.outlet import AttemptFailedError, Job, OutletRunner
from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers, to_headers
from hub.contracts.codec import Schema
from hub.disclosure.wire import STATUSES, Receipt, check_disclosable, read_answer, request_body
from hub.domain.events import Envelope, output_id
from hub.domain.retry import RetryPolicy
from hub.errors import ContractError, PoisonError

ORDERS_TOPIC = "disclosure.orders.v1"
RECEIPTS_TOPIC = "disclosure.receipts.v1"
ORDER_SCHEMA = "hub/disclosure-order"
RECEIPT_SCHEMA = "hub/disclosure-receipt"
SOURCE = "/stages/disclosure"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChannelEndpoint:
    """Where a channel's system listens. ``url`` is its root, ``token`` what it knows us by."""

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class _Order:
    fields: Mapping[str, Any]
    envelope: Envelope
    body: bytes


class DisclosureStage(Stage):
    """``handle`` for the lane. Not thread-safe: one lane, one stage.

    ``channels`` maps a channel's id to its endpoint; an order for another channel is a fault of
    the map (ContractError). ``now`` gives aware UTC. Raises OutletError while a channel does not
    answer; what the other channels and subjects took in the meantime is remembered.
    """

    def __init__(
        self,
        channels: Mapping[str, ChannelEndpoint],
        catalog: Catalog,
        now: Callable[[], datetime],
        policy: RetryPolicy | None = None,
        *,
        max_concurrent: int = 32,
    ) -> None:
        self._channels = dict(channels)
        self._catalog = catalog
        self._now = now
        self._order_schema = catalog.schema(ORDER_SCHEMA)
        self._receipt_schema = catalog.schema(RECEIPT_SCHEMA)
        self._disclosable: set[int] = set()
        self._client = HttpClient(now, max_connections=max_concurrent)
        self._runner: OutletRunner[_Order] = OutletRunner(
            self._carry_out, policy=policy or RetryPolicy(), max_concurrent=max_concurrent
        )

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        return self._runner.handle(records, self._prepare)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._runner.forget(partitions)

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def _prepare(self, record: Record) -> Job[_Order]:
        if record.value is None:
            raise PoisonError("an order without a value")
        envelope = from_headers(record.headers)
        written_as, order = self._catalog.decode(record.value)
        if written_as.name != ORDER_SCHEMA:
            raise ContractError(f"{ORDERS_TOPIC} holds orders, not {written_as.name}")
        channel, action = order["channel"], order["action"]
        if channel not in self._channels:
            raise ContractError(f"no endpoint is known for channel {channel!r}")
        if action not in STATUSES:
            raise ContractError(f"an order publishes, amends or withdraws; {action!r} is none of them")
        schema, content = self._catalog.decode(order["data"])
        self._check_view(schema, order["view"])
        job = _Order(order, envelope, request_body(order, schema, content))
        # Channels are separate systems: one that is down holds back nobody at the others.
        keys = ((channel, "subject", record.key), (channel, "entity", order["correlation_id"]))
        return Job(record, channel, keys, job)

    def _check_view(self, schema: Schema, view: str) -> None:
        if schema.view != view:
            raise ContractError(f"the order names view {view!r} and carries {schema.view!r} of {schema.name}")
        if schema.id not in self._disclosable:
            check_disclosable(schema)
            self._disclosable.add(schema.id)

    async def _carry_out(self, job: Job[_Order]) -> list[Output]:
        order, endpoint = job.item.fields, self._channels[job.outlet]
        headers = {"Content-Type": "application/json", "Idempotency-Key": order["order_id"]}
        if endpoint.token is not None:
            headers["Authorization"] = f"Bearer {endpoint.token}"
        if job.item.envelope.traceparent is not None:
            headers["traceparent"] = job.item.envelope.traceparent
        answer = await self._client.request(
            "PUT", f"{endpoint.url.rstrip('/')}/api/v1/records/{quote(order['correlation_id'], safe='')}",
            body=job.item.body, headers=headers, timeout_seconds=endpoint.timeout_seconds,
        )
        if answer.status in (401, 403):
            raise AttemptFailedError(f"HTTP status {answer.status}: the channel does not accept our token")
        receipt = read_answer(answer, order["action"])
        _log.info(
            "disclosure.answered", channel=job.outlet, order_id=order["order_id"],
            event_id=order["event_id"], status=receipt.status,
        )
        return [self._output(job, receipt)]

    def _output(self, job: Job[_Order], receipt: Receipt) -> Output:
        order = job.item.fields
        received_at = receipt.received_at or self._now()
        receipt_id = output_id(order["order_id"], "receipt")
        envelope = job.item.envelope.caused(
            id=receipt_id, source=SOURCE, type=f"disclosure.receipt.{receipt.status}", time=received_at
        )
        value = self._receipt_schema.encode({
            "receipt_id": receipt_id,
            "order_id": order["order_id"],
            "event_id": order["event_id"],
            "event_type": order["event_type"],
            "correlation_id": order["correlation_id"],
            "source": order["source"],
            "subject": order["subject"],
            "channel": order["channel"],
            "action": order["action"],
            "status": receipt.status,
            "public_reference": receipt.public_reference,
            "reason": receipt.reason,
            "received_at": received_at,
        })
        return Output(RECEIPTS_TOPIC, job.record.key, value, to_headers(envelope))
