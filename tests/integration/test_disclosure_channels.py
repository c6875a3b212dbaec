"""Channels on a real Kafka: each by itself, an outage, a poison record, and nothing lost, doubled or skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.bus.clients import new_producer, produce
from hub.bus.commits import Position
from hub.bus.lag import read_lag
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.bus.topics import admin
from hub.disclosure import Sink
from hub.disclosure.orders import ORDERS_TOPIC
from hub.disclosure.receipts import RECEIPTS_TOPIC
from hub.disclosure.service import FORMER_GROUP, group_of, take_over
from hub.errors import BrokerError
from tests.support_contracts import catalog
from tests.support_disclosure import InMemorySink, platform, serving
from tests.support_groups import delete_groups
from tests.support_outlets import NOW, OutletServer, Reply, Seen, order, order_id
from tests.support_served import wait_until

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

LETTERS = "disclosure.dead-letters.v1"
CHANNELS = ("website", "creditchina")


def write(bootstrap: str, records: list[Record]) -> None:
    producer = new_producer(bootstrap, client_id="test")
    for record in records:
        produce(producer, record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0


def receipts(kafka: KafkaLike, channel: str) -> dict[str, dict[str, Any]]:
    found = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS_TOPIC])]
    return {each["order_id"]: each for each in found if each["channel"] == channel}


def lag_of(kafka: KafkaLike, channel: str) -> int:
    with admin(kafka.bootstrap) as client:
        return sum(each.lag for each in read_lag(client, {group_of(channel): [ORDERS_TOPIC]}))


def topics(kafka: KafkaLike, create_topics: CreateTopics) -> None:
    create_topics(ORDERS_TOPIC, RECEIPTS_TOPIC, partitions=3)
    create_topics(LETTERS, partitions=1)


def test_a_channel_that_is_down_holds_up_no_other_and_shows_in_the_lag(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path
) -> None:
    topics(kafka, create_topics)
    is_down = True

    def respond(seen: Seen, before: int) -> Reply:
        if is_down:
            return Reply(503)
        given = json.loads(seen.body)
        answers = [
            {"order_id": each["order_id"], "status": 201, "receipt": {
                "public_reference": "GS", "status": "published", "received_at": NOW.isoformat()}}
            for each in given.get("records", [given])
        ]
        return Reply(200, json.dumps(answers[0] if seen.method == "PUT" else {"answers": answers}))

    records = [
        order(f"S{n}", number, channel=channel)
        for number in range(1, 31) for n in (number % 6,) for channel in CHANNELS
    ]
    poison = [records[0]._replace(value=b"garbage"), order("S1", 99, channel="radio")]
    write(kafka.bootstrap, [*poison, *unique(records)])
    ids = {order_id(f"S{number % 6}", number) for number in range(1, 31)}
    working = InMemorySink()
    with OutletServer(respond) as server:
        sinks: dict[str, Sink] = {"website": platform(tmp_path, server.url), "creditchina": working}
        with serving(kafka.bootstrap, sinks, CHANNELS):
            wait_until(lambda: receipts(kafka, "creditchina").keys() == ids, "all of the one that is up")
            assert receipts(kafka, "website") == {}
            wait_until(lambda: lag_of(kafka, "creditchina") == 0, "the commit")
            assert lag_of(kafka, "website") > 0
            is_down = False
            wait_until(lambda: receipts(kafka, "website").keys() == ids, "all of the one that was down")
            wait_until(lambda: lag_of(kafka, "website") == 0, "the commit")
    letters = list(read_topics(kafka.bootstrap, [LETTERS]))
    assert sorted(letter.value or b"" for letter in letters) == sorted(each.value or b"" for each in poison)
    for number in range(6):
        mine = [each.sequence for batch in working.batches for each in batch if each.subject == f"S{number}"]
        assert mine == sorted(mine)
    delete_groups(kafka.bootstrap, map(group_of, CHANNELS))


def unique(records: list[Record]) -> list[Record]:
    """Each order of a row of its own, so that none overtakes another."""
    made: list[Record] = []
    for place, record in enumerate(records):
        schema, value = catalog().decode(record.value or b"")
        made.append(record._replace(value=schema.encode({**value, "correlation_id": f"row-{place}"})))
    return made


def is_written(kafka: KafkaLike, former: dict[Any, int]) -> bool:
    """A broker on which nobody has joined a group yet has to make a coordinator first."""
    with Position(kafka.bootstrap, FORMER_GROUP, ORDERS_TOPIC) as position:
        try:
            position.write(former)
        except BrokerError:
            return False
        return True


def position_of(kafka: KafkaLike, group: str) -> dict[Any, int]:
    with Position(kafka.bootstrap, group, ORDERS_TOPIC) as position:
        return position.read()


def test_a_new_group_begins_where_the_former_one_had_got_to(kafka: KafkaLike, create_topics: CreateTopics) -> None:
    topics(kafka, create_topics)
    write(kafka.bootstrap, [order(f"S{n}", n) for n in range(1, 13)])
    former = {(ORDERS_TOPIC, partition): 1 for partition in range(3)}
    wait_until(lambda: is_written(kafka, former), "the former group")
    sink = InMemorySink()
    with serving(kafka.bootstrap, {"website": sink}, CHANNELS):
        wait_until(lambda: len(sink.sent) == 9, "what the former group had not done")
    assert position_of(kafka, FORMER_GROUP) == former
    # A group with a position of its own keeps it, whatever the former one says.
    before = position_of(kafka, group_of("website"))
    take_over(kafka.bootstrap, group_of("website"))
    assert position_of(kafka, group_of("website")) == before
    delete_groups(kafka.bootstrap, [FORMER_GROUP, group_of("website")])


def test_without_a_former_group_it_begins_at_the_beginning_and_sends_nothing_twice(
    kafka: KafkaLike, create_topics: CreateTopics
) -> None:
    topics(kafka, create_topics)
    write(kafka.bootstrap, [order(f"S{n}", n) for n in range(1, 10)])
    first, second = InMemorySink(), InMemorySink()
    with serving(kafka.bootstrap, {"website": first}, CHANNELS):
        wait_until(lambda: len(receipts(kafka, "website")) == 9, "the receipts")
    # The position is lost, as after a week without a member.
    delete_groups(kafka.bootstrap, [group_of("website")])
    write(kafka.bootstrap, [order("S1", 10, action="withdraw"), order("T", 11)])
    with serving(kafka.bootstrap, {"website": second}, CHANNELS):
        wait_until(lambda: len(receipts(kafka, "website")) == 11, "the receipts of what is new")
    assert sorted(second.sent) == sorted([order_id("S1", 10), order_id("T", 11)])
    delete_groups(kafka.bootstrap, [group_of("website")])
