"""How fast the routing lane is, beside a plain confluent-kafka loop that writes the same outputs.

Both read the same events and write, for each, one inbox record (the value passed on whole), one routing decision and
who holds the fact now, and commit. The reference remembers nothing: it does what a careful programmer
writes first: decode, choose, encode, produce, flush, commit.
"""

from __future__ import annotations

import gc
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import fastavro

from hub.bench.usage import cpu_seconds
from hub.bus.batch import LaneMetrics
from hub.bus.clients import new_consumer, new_producer
from hub.bus.lane import Lane
from hub.bus.records import Headers, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent, output_id
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import Router, RoutingStage

TOPIC = "blacklist.notices.v1"
EVENT_TYPE = "blacklist.notice.listed"
SUBSCRIPTION = "bench-bidding"
MAP = Path(__file__).parent / "routing-map.yaml"


@dataclass(frozen=True)
class Measured:
    """One run: events a second, CPU microseconds an event (all threads), records written."""

    events_per_second: float
    cpu_micros: float
    outputs: int


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


def _measure(count: int, run: Callable[[], int]) -> Measured:
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    outputs = run()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return Measured(count / wall, cpu / count * 1e6, outputs)


def run_lane(bootstrap: str, catalog: Catalog, hub_map: HubMap, count: int) -> Measured:
    """The real stage in the real lane, until all events are committed."""

    def run() -> int:
        lane = Lane(
            RoutingStage(hub_map, catalog, loader=lambda _: iter(())),
            name="routing",
            behind=(HOLDINGS,),
            topics=[TOPIC],
            group=f"bench-{uuid.uuid4()}",
            bootstrap=bootstrap,
            stop_when=lambda metrics: metrics.records >= count,
        )
        lane.run()
        found: LaneMetrics = lane.metrics
        assert found.records == count and found.dead_lettered == 0
        return found.outputs

    return _measure(count, run)


def run_reference(bootstrap: str, catalog: Catalog, count: int, map_version: str) -> Measured:
    """The plain loop: same client and settings, same outputs, no lane."""
    notice = fastavro.parse_schema(catalog.schema("blacklist/notice").definition)
    inbox = fastavro.parse_schema(catalog.schema("hub/inbox-record").definition)
    decision = fastavro.parse_schema(catalog.schema("hub/routing-decision").definition)
    holding = fastavro.parse_schema(catalog.schema("hub/holding").definition)
    frames = {
        name: b"\x00" + catalog.schema(name).id.to_bytes(4, "big")
        for name in ("blacklist/notice", "hub/inbox-record", "hub/routing-decision", "hub/holding")
    }

    def encode(schema: Any, name: str, value: dict[str, Any]) -> bytes:
        buffer = BytesIO()
        buffer.write(frames[name])
        fastavro.schemaless_writer(buffer, schema, value)
        return buffer.getvalue()

    def run() -> int:
        producer = new_producer(bootstrap, client_id="bench-reference")
        consumer = new_consumer(
            bootstrap,
            group=f"bench-{uuid.uuid4()}",
            client_id="bench-reference",
            **{"enable.auto.offset.store": True},
        )
        consumer.subscribe([TOPIC])
        done = written = 0
        while done < count:
            messages = consumer.consume(2000, 0.1)
            now = datetime.now(UTC)
            for message in messages:
                raw, given = cast(bytes, message.value()), dict(cast(Headers, message.headers()))
                value = cast(dict[str, Any], fastavro.schemaless_reader(BytesIO(raw[5:]), notice, None))
                if value["list_kind"] != "serious":
                    continue
                id, subject = given["ce_id"].decode(), given["ce_subject"].decode()
                notice_id, rule = output_id(id, "subscription:bench"), "subscription:bench"
                correlation = given["ce_correlationid"].decode()
                common = {
                    "event_id": id,
                    "event_type": EVENT_TYPE,
                    "correlation_id": correlation,
                    "source": given["ce_source"].decode(),
                    "subject": subject,
                    "map_version": map_version,
                }
                out = {
                    **common,
                    "notice_id": notice_id,
                    "subscription": SUBSCRIPTION,
                    "view": "full",
                    "department_code": "11623000990000025U",
                    "rule": rule,
                    "sequence": 1,
                    "issued_at": now,
                    "expected_measures": ["依法限制参加工程招标投标"],
                    "legal_basis": "bench",
                    "data": encode(notice, "blacklist/notice", value),
                }
                decided = {
                    **common,
                    "decision_id": output_id(id, "decision"),
                    "input_topic": TOPIC,
                    "input_partition": message.partition(),
                    "input_offset": message.offset(),
                    "decided_at": now,
                    "is_matched": True,
                    "withheld": [],
                    "reason": None,
                    "outputs": [
                        {
                            "rule": rule,
                            "kind": "subscription",
                            "target": SUBSCRIPTION,
                            "output_id": notice_id,
                            "action": "notify",
                        }
                    ],
                }
                base: Any = [
                    ("ce_specversion", b"1.0"),
                    ("ce_source", b"/stages/routing"),
                    ("ce_subject", given["ce_subject"]),
                    ("ce_time", now.isoformat().encode()),
                    ("content-type", b"application/avro"),
                    ("ce_correlationid", correlation.encode()),
                    ("ce_causationid", given["ce_id"]),
                    ("ce_sequence", b"1"),
                    ("traceparent", given["traceparent"]),
                ]
                key = message.key()
                producer.produce(
                    f"inbox.{SUBSCRIPTION}",
                    encode(inbox, "hub/inbox-record", out),
                    key,
                    headers=[*base, ("ce_id", notice_id.encode()), ("ce_type", given["ce_type"])],
                )
                producer.produce(
                    "routing.decisions.v1",
                    encode(decision, "hub/routing-decision", decided),
                    key,
                    headers=[
                        *base,
                        ("ce_id", str(decided["decision_id"]).encode()),
                        ("ce_type", b"routing.event.decided"),
                    ],
                )
                holder = {
                    "subscription": SUBSCRIPTION,
                    "view": "full",
                    "action": "apply",
                    "notice_id": notice_id,
                    "sequence": 1,
                    "since": now,
                }
                held = {
                    "topic": TOPIC,
                    "correlation_id": correlation,
                    "subject": subject,
                    "event_type": EVENT_TYPE,
                    "sequence": 1,
                    "routed": [1],
                    "changed_at": now,
                    "holders": [holder],
                }
                producer.produce(
                    HOLDINGS,
                    encode(holding, "hub/holding", held),
                    f"{TOPIC}:{correlation}",
                    headers=[
                        *base,
                        ("ce_id", output_id(id, "holding").encode()),
                        ("ce_type", b"routing.holding.changed"),
                    ],
                    partition=cast(int, message.partition()),
                )
                written += 3
            if messages:
                producer.flush()
                consumer.commit(asynchronous=False)
                done += len(messages)
        consumer.close()
        return written

    return _measure(count, run)


def decision_micros(catalog: Catalog, hub_map: HubMap, records: list[Record]) -> float:
    """CPU microseconds of one routing decision without I/O: headers, leading fields, rules."""
    router = Router(hub_map, catalog)
    for _ in range(3):
        cpu = time.process_time()
        for record in records:
            router.decide(record, dict(record.headers)["ce_type"].decode())
        cpu = time.process_time() - cpu
    return cpu / len(records) * 1e6


def bench_routing(bootstrap: str, catalog: Catalog, reference: Path, count: int, rounds: int) -> dict[str, Any]:
    """Alternates reference and lane ``rounds`` times; medians, and the ratio pair by pair.

    The topics of ``routing-map.yaml`` have to exist.
    """
    hub_map = HubMap.load(MAP, catalog, reference)
    records = preload(bootstrap, catalog, count)
    pairs: list[tuple[Measured, Measured]] = []
    for _ in range(rounds):
        plain = run_reference(bootstrap, catalog, count, hub_map.version)
        pairs.append((plain, run_lane(bootstrap, catalog, hub_map, count)))
        assert pairs[-1][0].outputs == pairs[-1][1].outputs == 3 * count

    def median(pick: Callable[[tuple[Measured, Measured]], float]) -> float:
        return round(statistics.median(map(pick, pairs)), 2)

    return {
        "events": count,
        "rounds": rounds,
        "outputs_per_event": 3,
        "reference_events_per_second": median(lambda pair: pair[0].events_per_second),
        "lane_events_per_second": median(lambda pair: pair[1].events_per_second),
        "ratio": median(lambda pair: pair[1].events_per_second / pair[0].events_per_second),
        "reference_cpu_micros": median(lambda pair: pair[0].cpu_micros),
        "lane_cpu_micros": median(lambda pair: pair[1].cpu_micros),
        "decision_cpu_micros": round(decision_micros(catalog, hub_map, records), 2),
        "value_bytes": len(records[0].value or b""),
    }
