"""Sinks that are used without a hub: orders for them, and a loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from hub.disclosure import Order, Receipt, Sink
from hub.disclosure.config import ChannelConfig, build_sink
from hub.domain.events import derive_id
from tests.support_contracts import catalog, sample

T = TypeVar("T")
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
CHANNEL = "channel"


def an_order(
    name: str, version: int = 1, action: Any = "publish", *, kind: str = "enforcement/penalty", view: str = "public",
    **content: Any,
) -> Order:
    """An order for one record of one enterprise of its own; ``content`` replaces fields of the record."""
    schema = catalog().schema(kind)
    amount = {"fine_amount": Decimal("1.5")} if kind == "enforcement/penalty" else {}
    record = sample(schema, version, **{"party_name": f"合作市{name}有限责任公司", **amount, **content})
    return Order(
        derive_id("order", name, str(version), action), CHANNEL, action, derive_id("entity", name), f"subject-{name}",
        version, kind, catalog().projection(schema, view).apply(record), NOW,
        reason="处罚决定被依法撤销" if action == "withdraw" else None, publish_until=date(2027, 3, 1),
    )


def open_sink(
    connector: str, base: Path, *, now: Callable[[], datetime] = lambda: NOW, view: str = "public", **settings: Any
) -> Sink:
    config = ChannelConfig.of(CHANNEL, "渠道", view, connector, settings, base)
    return build_sink(config, catalog(), base / "data", now)


def with_sink(sink: Sink, work: Callable[[Sink], Awaitable[T]]) -> T:
    """Runs ``work`` and closes the sink."""

    async def run() -> T:
        try:
            return await work(sink)
        finally:
            await sink.close()

    return asyncio.run(run())


def send(sink: Sink, *orders: Order) -> Sequence[Any]:
    return with_sink(sink, lambda it: it.send(orders))


def collect(sink: Sink) -> dict[str, Receipt]:
    return dict(with_sink(sink, lambda it: it.collect()))
