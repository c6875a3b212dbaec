"""Recall on a real Kafka: kills, restarts and a replay from the beginning tell nobody anything twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.bus.clients import new_producer
from hub.bus.lane import Lane
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.bus.table_loader import TableLoader
from hub.cli.main import build
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.delivery.message import read_inbox
from hub.delivery.receipts import ReceiptWriter, Tried
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import RoutingStage
from tests.conftest import CreateTopics, KafkaLike
from tests.support_contracts import catalog
from tests.support_routing import NOTICES, NOW, SUBJECT, hub_map, version

PROCUREMENT, BIDDING = "government-procurement", "works-bidding"
INBOXES = [f"inbox.{PROCUREMENT}", f"inbox.{BIDDING}"]
WRITTEN = [*INBOXES, "routing.decisions.v1", "disclosure.orders.v1", "clock.signals.v1", HOLDINGS]


@pytest.fixture
def topics(create_topics: CreateTopics) -> None:
    create_topics(NOTICES, *INBOXES, "routing.decisions.v1", "disclosure.orders.v1", "clock.signals.v1")
    create_topics("routing.dead-letters.v1", "delivery.receipts.v1", "discipline.feedback.v1")
    create_topics(HOLDINGS, config={"cleanup.policy": "compact"})


def publish(kafka: KafkaLike, records: Sequence[Record]) -> None:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for record in records:
        producer.produce(NOTICES, record.value, record.key, headers=list(record.headers))
    assert producer.flush(30) == 0


def lane(kafka: KafkaLike, count: int, group: str, of: Catalog | None = None) -> Lane:
    stage = RoutingStage(hub_map(), of or catalog(), lambda: NOW, TableLoader(kafka.bootstrap, topic=HOLDINGS))
    return Lane(
        stage, name="routing", topics=[NOTICES], group=group, bootstrap=kafka.bootstrap, behind=(HOLDINGS,),
        dead_letters="routing.dead-letters.v1", stop_when=lambda metrics: metrics.records >= count,
    )


def route(kafka: KafkaLike, count: int, group: str = "hub-routing-test") -> None:
    """A stage that starts, reads ``count`` records and ends."""
    running = lane(kafka, count, group)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert running.metrics.dead_lettered == 0


def written(kafka: KafkaLike) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {topic: [] for topic in WRITTEN}
    for record in read_topics(kafka.bootstrap, WRITTEN):
        found[record.topic].append(from_headers(record.headers).id)
    return {topic: sorted(ids) for topic, ids in found.items()}


STORY = [
    version(1, "listed", list_kind="serious"),
    version(2, "amended", list_kind="abnormal"),
    version(3, "removed", list_kind="abnormal"),
]


@pytest.mark.usefixtures("topics")
def test_a_replay_from_the_beginning_writes_nothing(kafka: KafkaLike) -> None:
    for number, record in enumerate(STORY):
        publish(kafka, [record])
        route(kafka, 1)  # each by a process of its own
        assert len(written(kafka)["inbox.works-bidding"]) == min(number + 1, 2)
    before = written(kafka)
    actions = [
        (notice["subscription"], notice["action"])
        for record in read_topics(kafka.bootstrap, INBOXES)
        if (notice := read_inbox(record, catalog()))
    ]
    assert sorted(actions) == [
        (PROCUREMENT, "amend"), (PROCUREMENT, "apply"), (PROCUREMENT, "lift"), (BIDDING, "apply"), (BIDDING, "lift"),
    ]
    # A group of another name reads everything from the first record on, as one whose offsets were set back does.
    route(kafka, 3, group="hub-routing-again")
    assert written(kafka) == before


@pytest.mark.usefixtures("topics")
def test_a_kill_between_outputs_and_holdings_repeats_ids_and_loses_nobody(kafka: KafkaLike) -> None:
    publish(kafka, STORY[:1])
    route(kafka, 1)
    publish(kafka, STORY[1:])
    # A process that wrote the outputs of the rest and died before it wrote who holds them.
    stage = RoutingStage(hub_map(), catalog(), lambda: NOW, TableLoader(kafka.bootstrap, topic=HOLDINGS))
    place = next(record.partition for record in read_topics(kafka.bootstrap, [HOLDINGS]))
    read = [record for record in read_topics(kafka.bootstrap, [NOTICES]) if record.partition == place]
    stage.on_assigned([(NOTICES, place)])
    outputs = [output for of in stage.handle(read) for output in of if output.topic != HOLDINGS]
    publisher = KafkaPublisher(kafka.bootstrap, client_id="killed")
    publisher.publish(outputs)
    publisher.close()
    ids = {topic: set(found) for topic, found in written(kafka).items()}
    route(kafka, 2)
    after = {topic: set(found) for topic, found in written(kafka).items()}
    assert {topic: found for topic, found in after.items() if topic != HOLDINGS} == {
        topic: found for topic, found in ids.items() if topic != HOLDINGS
    }
    # And one that died when all was written, its offsets alone were not: nothing comes a third time.
    before = written(kafka)
    route(kafka, 3, group="hub-routing-again")
    assert written(kafka) == before


@pytest.mark.usefixtures("topics")
def test_the_command_names_who_holds_what_is_out_of_date(
    kafka: KafkaLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", kafka.bootstrap)
    publish(kafka, STORY)
    route(kafka, 3)
    deliver(kafka, {1})
    runner = CliRunner()
    said = runner.invoke(build(["holdings"]), ["holdings", "list", "--data", str(tmp_path)])
    assert said.exit_code == 1, said.output
    assert said.output.count("过时") == 3 and "version 3 (lift) is waiting" in said.output
    only = runner.invoke(
        build(["holdings"]), ["holdings", "list", "--stale", "--subject", SUBJECT, "--subscription", BIDDING]
    )
    assert only.exit_code == 1 and only.output.count(SUBJECT) == 1
    deliver(kafka, {2, 3})
    said = runner.invoke(build(["holdings"]), ["holdings", "list", "--data", str(tmp_path)])
    assert (said.exit_code, said.output.count("已解除")) == (0, 3), said.output


def deliver(kafka: KafkaLike, sequences: set[int]) -> None:
    """Receipts of the notices of these versions, as delivery writes them."""

    def receipts() -> Iterator[Output]:
        for record in read_topics(kafka.bootstrap, INBOXES):
            notice = read_inbox(record, catalog())
            if notice["sequence"] in sequences:
                writer = ReceiptWriter(catalog(), notice["subscription"], "webhook")
                yield writer.write(record, notice, from_headers(record.headers), "delivered", Tried(1, NOW, 200), NOW)

    publisher = KafkaPublisher(kafka.bootstrap, client_id="test")
    publisher.publish(list(receipts()))
    publisher.close()

