"""What the routing lane is held against: a plain confluent-kafka loop that writes the same outputs, and no lane."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, cast

import fastavro

from hub.bench.plain_avro import encoder
from hub.bench.usage import cpu_seconds
from hub.bus.clients import new_consumer, new_producer
from hub.bus.records import Headers
from hub.contracts.catalog import Catalog
from hub.domain.events import output_id
from hub.routing.holdings import HOLDINGS

TOPIC = "blacklist.notices.v1"
EVENT_TYPE = "blacklist.notice.listed"
SUBSCRIPTION = "bench-bidding"


@dataclass(frozen=True)
class Measured:
    """One run: events a second, CPU microseconds an event (all threads), records written."""

    events_per_second: float
    cpu_micros: float
    outputs: int


def measure(count: int, run: Callable[[], int]) -> Measured:
    """One run of so many events; ``run`` answers how many records it wrote."""
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    outputs = run()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return Measured(count / wall, cpu / count * 1e6, outputs)


def run_reference(bootstrap: str, catalog: Catalog, count: int, map_version: str) -> Measured:
    """The plain loop: same client and settings, same outputs, no lane."""
    notice = fastavro.parse_schema(catalog.schema("blacklist/notice").definition)
    encode_notice, encode_inbox, encode_decision, encode_holding = (
        encoder(catalog, name)
        for name in ("blacklist/notice", "hub/inbox-record", "hub/routing-decision", "hub/holding")
    )

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
                    "data": encode_notice(value),
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
                    encode_inbox(out),
                    key,
                    headers=[*base, ("ce_id", notice_id.encode()), ("ce_type", given["ce_type"])],
                )
                producer.produce(
                    "routing.decisions.v1",
                    encode_decision(decided),
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
                    encode_holding(held),
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

    return measure(count, run)
