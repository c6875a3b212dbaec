"""How fast the routing lane is, beside a plain confluent-kafka loop that writes the same outputs.

Both read the same events and write, for each, one inbox record (the value passed on whole), one routing decision and
who holds the fact now, and commit. The reference remembers nothing: it does what a careful programmer
writes first: decode, choose, encode, produce, flush, commit.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from confluent_kafka.admin import AdminClient

from hub.bench.beside import Beside, Used
from hub.bench.routing_plain import EVENT_TYPE, TOPIC, Measured, measure, run_reference
from hub.bus.batch import LaneMetrics
from hub.bus.clients import new_producer
from hub.bus.lane import Lane
from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import Router, RoutingStage

#: Of the stage routing.
GROUP = "hub-routing"
_REQUEST_SECONDS = 60.0
MAP = Path(__file__).parent / "routing-map.yaml"


def sample_notice(number: int) -> dict[str, Any]:
    """A listing of a made-up enterprise; about 400 bytes of Avro."""
    day = datetime(2026, 7, 1, tzinfo=UTC).date()
    return {
        "record_unique_identity": f"合市监严列〔2026〕第{number:06d}号",
        "region_code": "623001",
        "department_code": "116230019901000185",
        "department_name": "合作市市场监督管理局",
        "party_kind": "02",
        "party_name": f"合作市雪域牦牛乳业{number:06d}有限责任公司",
        "party_uscc": "91623000739699913A",
        "legal_representative": "扎西东智",
        "is_public": True,
        "list_kind": "serious",
        "listed_date": day,
        "listing_reason_code": "s1",
        "listing_reason": "生产销售不符合食品安全标准的食品",
        "listing_body": "合作市市场监督管理局",
        "listing_document": f"合市监严列〔2026〕第{number:06d}号",
        "related_persons": [],
        "violation_nature": "食品安全严重违法",
        "handling_result": "罚款并列入严重违法失信名单",
    }


def preload(bootstrap: str, catalog: Catalog, count: int) -> list[Record]:
    """Writes ``count`` events; returns the first thousand as the lane would see them."""
    schema, producer = catalog.schema("blacklist/notice"), new_producer(bootstrap, client_id="bench-preload")
    kept: list[Record] = []
    for number in range(count):
        key, natural = f"9162300{number % 5000:011d}", str(number)
        envelope = Envelope(
            id=event_id("/sources/bench", natural, 1),
            source="/sources/bench",
            type=EVENT_TYPE,
            subject=key,
            time=datetime(2026, 7, 1, tzinfo=UTC),
            correlation_id=entity_id("/sources/bench", natural),
            traceparent=new_traceparent(natural),
            sequence=1,
            natural_key="0" * 32,
            digest="0" * 16,
        )
        value, headers = schema.encode(sample_notice(number)), to_headers(envelope)
        producer.produce(TOPIC, value, key, headers=cast(Any, headers))
        if number < 1000:
            kept.append(Record(TOPIC, 0, number, 1782864000000, key.encode(), value, headers))
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the broker did not take the events of the bench")
    return kept


def run_lane(
    bootstrap: str, catalog: Catalog, hub_map: HubMap, count: int, group: str | None = None
) -> Measured:
    """The real stage in the real lane, until all events are committed; in a group of its own, or in this one."""

    def run() -> int:
        lane = Lane(
            RoutingStage(hub_map, catalog, loader=lambda _: iter(())),
            name="routing",
            behind=(HOLDINGS,),
            topics=[TOPIC],
            group=group or f"bench-{uuid.uuid4()}",
            bootstrap=bootstrap,
            stop_when=lambda metrics: metrics.records >= count,
        )
        lane.run()
        found: LaneMetrics = lane.metrics
        assert found.records == count and found.dead_lettered == 0
        return found.outputs

    return measure(count, run)


def decision_micros(catalog: Catalog, hub_map: HubMap, records: list[Record]) -> float:
    """CPU microseconds of one routing decision without I/O: headers, leading fields, rules."""
    router = Router(hub_map, catalog)
    for _ in range(3):
        cpu = time.process_time()
        for record in records:
            router.decide(record, dict(record.headers)["ce_type"].decode())
        cpu = time.process_time() - cpu
    return cpu / len(records) * 1e6


class Pair(NamedTuple):
    """One round: the plain loop, the lane alone, and the lane beside other stages with what they used."""

    plain: Measured
    lane: Measured
    beside: Measured | None = None
    used: Used | None = None


def bench_routing(
    bootstrap: str, catalog: Catalog, reference: Path, count: int, rounds: int, beside: Beside | None = None
) -> dict[str, Any]:
    """Alternates reference and lane ``rounds`` times, and with ``beside`` the lane beside other stages; medians, and
    the ratio pair by pair.

    The topics of ``routing-map.yaml`` have to exist.
    """
    hub_map = HubMap.load(MAP, catalog, reference)
    records = preload(bootstrap, catalog, count)
    pairs: list[Pair] = []
    for number in range(rounds):
        plain = run_reference(bootstrap, catalog, count, hub_map.version)
        # The other way round each time: what gets slower in the course of a run touches both.
        lane = run_lane(bootstrap, catalog, hub_map, count) if number % 2 == 0 or beside is None else None
        found, used = _lane_beside(bootstrap, catalog, hub_map, count, beside) if beside else (None, None)
        lane = lane or run_lane(bootstrap, catalog, hub_map, count)
        pairs.append(Pair(plain, lane, found, used))
        assert {each.outputs for each in (plain, lane, found) if each is not None} == {3 * count}

    def median(pick: Callable[[Pair], float]) -> float:
        return round(statistics.median(map(pick, pairs)), 2)

    return {
        "events": count,
        "rounds": rounds,
        "outputs_per_event": 3,
        "reference_events_per_second": median(lambda pair: pair.plain.events_per_second),
        "lane_events_per_second": median(lambda pair: pair.lane.events_per_second),
        "ratio": median(lambda pair: pair.lane.events_per_second / pair.plain.events_per_second),
        "reference_cpu_micros": median(lambda pair: pair.plain.cpu_micros),
        "lane_cpu_micros": median(lambda pair: pair.lane.cpu_micros),
        "decision_cpu_micros": round(decision_micros(catalog, hub_map, records), 2),
        "value_bytes": len(records[0].value or b""),
        **(_beside(pairs) if beside is not None else {}),
    }


def _lane_beside(
    bootstrap: str, catalog: Catalog, hub_map: HubMap, count: int, beside: Beside
) -> tuple[Measured, Used]:
    """The lane in the group of the stage, so that whoever watches it has it to watch."""
    with beside.running() as used:
        found = run_lane(bootstrap, catalog, hub_map, count, GROUP)
    client = AdminClient({"bootstrap.servers": bootstrap})  # its answers come for as long as it is held
    for future in client.delete_consumer_groups([GROUP]).values():
        future.result(_REQUEST_SECONDS)
    return found, used[0]


def _beside(pairs: Sequence[Pair]) -> dict[str, Any]:
    """What other stages cost the lane. CPU of each is microseconds an event that was routed meanwhile; ``followed`` is
    the part of what the lane wrote that the ledger had followed when the lane was done."""
    both = [(pair.lane, pair.beside, pair.used) for pair in pairs if pair.beside is not None and pair.used is not None]
    return {
        "beside_events_per_second": round(statistics.median(found.events_per_second for _, found, _ in both), 2),
        "beside_cpu_micros": round(statistics.median(found.cpu_micros for _, found, _ in both), 2),
        "beside_ratios": [round(found.events_per_second / lane.events_per_second, 3) for lane, found, _ in both],
        "beside_cpu_ratios": [round(found.cpu_micros / lane.cpu_micros, 3) for lane, found, _ in both],
        "beside_stages": {
            name: round(statistics.median(used.cpu_seconds[name] * 3e6 / found.outputs for _, found, used in both), 1)
            for name in both[0][2].cpu_seconds
        },
        "beside_followed": round(statistics.median(used.followed / found.outputs for _, found, used in both), 3),
    }
