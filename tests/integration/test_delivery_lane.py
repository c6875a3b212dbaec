"""Delivery on a real Kafka: an outage, a refusal, and nothing lost or doubled."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import TopicPartition

from hub.bus.clients import new_consumer, new_producer
from hub.bus.flow import Flow
from hub.bus.records import Record
from hub.bus.table_loader import TableLoader
from hub.delivery.engine import DeliveryEngine
from hub.delivery.waits import WaitLog
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.retry import Schedule
from tests.support_contracts import catalog
from tests.support_delivery import NoIndex
from tests.support_outlets import QUICK, OutletServer, Reply, Seen, notice, notice_id

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
TopicName = Callable[..., str]


def write(kafka: Any, topic: str, records: list[Record]) -> None:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for record in records:
        producer.produce(topic, record.value, record.key, headers=list(record.headers))
    producer.flush(30)


def read_all(kafka: Any, topic: str, group: str, ids: set[str], field: str) -> list[dict[str, Any]]:
    """The records of ``topic`` whose ``field`` is one of ``ids``, until each has come."""
    consumer = new_consumer(kafka.bootstrap, group=f"read-{group}", client_id="test")
    consumer.subscribe([topic])
    found: list[dict[str, Any]] = []
    while {item[field] for item in found} != ids:
        message = consumer.poll(30)
        assert message is not None, f"{topic} holds {len(found)} of {len(ids)}"
        item = catalog().decode(message.value() or b"")[1]
        if item[field] in ids:
            found.append(item)
    consumer.close()
    return found


def test_notices_become_receipts(kafka: Any, topic_name: TopicName, create_topics: Any) -> None:
    topic = "inbox.procurement"
    create_topics(topic, partitions=3)
    create_topics("delivery.receipts.v1", "delivery.dead-letters.v1", partitions=1)
    create_topics("delivery.commands.v1", "delivery.waits.v1", partitions=3)

    def respond(seen: Seen, before: int) -> Reply:
        subject = json.loads(seen.body)["data"]["subject"]
        if subject == "D3" and before < QUICK.max_attempts + 1:
            return Reply(is_dropped=True)
        return Reply(404 if subject == "D4" else 204, "")

    records = [notice(f"D{n}", number) for number in (1, 2) for n in range(6)]
    write(kafka, topic, records)
    ids = {notice_id(f"D{n}", number) for number in (1, 2) for n in range(6)}
    waits = TableLoader(kafka.bootstrap, topic="delivery.waits.v1")
    with OutletServer(respond) as server:
        transport = WebhookTransport(WebhookEndpoint(server.url, SECRET), lambda: datetime.now(UTC))
        engine = DeliveryEngine(
            topic.removeprefix("inbox."), transport, catalog(), lambda: datetime.now(UTC), NoIndex(), waits,
            policy=QUICK, schedule=Schedule((0.05,) * 100),
        )
        flow = Flow(engine, name="delivery", topics=[topic, "delivery.commands.v1"], group=topic,
                    bootstrap=kafka.bootstrap)
        thread = threading.Thread(target=flow.run)
        thread.start()
        try:
            found = read_all(kafka, "delivery.receipts.v1", topic, ids, "notice_id")
        finally:
            flow.stop()
            thread.join(30)
        assert not thread.is_alive()
        sent = [seen.headers["webhook-id"] for seen in server.seen]
    receipts = {item["notice_id"]: item for item in found}
    parked = {notice_id("D4", 1), notice_id("D4", 2)}
    assert {item["notice_id"] for item in receipts.values() if item["status"] == "parked"} == parked
    assert receipts[notice_id("D3", 1)]["attempts"] == QUICK.max_attempts + 2
    assert [sent.count(notice_id(f"D{n}", number)) for n in (0, 1, 2, 5) for number in (1, 2)] == [1] * 8
    assert notice_id("D4", 2) not in sent
    # All of it is committed, and what waits is what was parked.
    consumer = new_consumer(kafka.bootstrap, group=topic, client_id="test")
    places = [TopicPartition(topic, partition) for partition in range(3)]
    committed = {place.partition: place.offset for place in consumer.committed(places, timeout=10)}
    assert sum(max(0, offset) for offset in committed.values()) == len(records)
    consumer.close()
    waiting = WaitLog(catalog()).load(waits, range(3))
    assert {each.notice_id for each in waiting if each.record.topic == topic} == parked
