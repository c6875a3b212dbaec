"""One fact and its versions, and a routing stage that remembers who was sent them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hub.bus.records import Output, Record
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent
from hub.domain.recall import Holding
from hub.routing.holdings import HOLDINGS, HoldingCodec
from hub.routing.stage import RoutingStage
from tests.support_contracts import ROOT, catalog, sample

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
SUBJECT = "91623000739699913A"
NOTICES = "blacklist.notices.v1"


@cache
def hub_map() -> HubMap:
    return HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")


def version(
    number: int, word: str, *, row: str = "r1", topic: str = NOTICES, offset: int | None = None, **content: Any
) -> Record:
    """Version ``number`` of a row of a listing (or of ``topic``), whose event type ends with ``word``."""
    schema = catalog().schema(hub_map().topics[topic].schema_ or "")
    noun = hub_map().topics[topic].events[0].rpartition(".")[0]
    envelope = Envelope(
        id=event_id("market", row, number), source="/sources/market", type=f"{noun}.{word}", subject=SUBJECT,
        time=NOW, correlation_id=entity_id("market", row), traceparent=new_traceparent(row), sequence=number,
        natural_key=row,
    )
    place = 16 + number if offset is None else offset
    value = schema.encode(sample(schema, **content))
    return Record(topic, 3, place, 1772413200000, SUBJECT.encode(), value, to_headers(envelope))


class Log:
    """What stages wrote to ``routing.holdings.v1``, for the stages after them."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes | None]] = []

    def write(self, outputs: Collection[Output]) -> None:
        self.records += [
            (each.partition or 0, each.key or b"", each.value) for each in outputs if each.topic == HOLDINGS
        ]

    def load(self, partitions: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
        return iter([each for each in self.records if each[0] in partitions])

    def stage(self, of: HubMap | None = None) -> RoutingStage:
        """A stage that has just started and finds what the log holds."""
        return RoutingStage(of or hub_map(), catalog(), lambda: NOW, self.load)

    def holdings(self) -> list[Holding]:
        latest = {key: value for _, key, value in self.records}
        return [HoldingCodec(catalog()).decode(value) for value in latest.values() if value is not None]


def notices(outputs: Collection[Output]) -> dict[str, dict[str, Any]]:
    """Subscription -> its notice."""
    found = [catalog().decode(each.value or b"")[1] for each in outputs if each.topic.startswith("inbox.")]
    return {each["subscription"]: each for each in found}


def asked(outputs: Collection[Output]) -> dict[str, str]:
    """Subscription -> what its notice asks for."""
    return {name: each["action"] for name, each in notices(outputs).items()}


def decision(outputs: Collection[Output]) -> dict[str, Any]:
    [found] = [catalog().decode(each.value or b"")[1] for each in outputs if each.topic == "routing.decisions.v1"]
    return found
