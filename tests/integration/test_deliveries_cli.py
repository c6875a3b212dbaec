"""``hub deliveries`` on a real Kafka: what waits is shown, released and dropped, each on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli.main import build
from hub.cli.on_record import machine_user
from hub.contracts.cloudevents import from_headers
from hub.delivery.commands import COMMANDS_TOPIC, Command, read_command
from hub.delivery.message import read_inbox
from hub.delivery.waits import WAITS_TOPIC, Wait, WaitLog
from hub.ops.acts import ACTS_TOPIC
from tests.support_contracts import catalog
from tests.support_outlets import notice, notice_id
from tests.unit.test_routing import hub_map

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

NAME = "government-procurement"
PARKED, BEHIND = notice_id("A", 1), notice_id("A", 2)
BECAUSE = ["--reason", "接收系统已修复", "--by", "李四"]


@pytest.fixture
def hub(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    partitions = hub_map().topics[WAITS_TOPIC].partitions
    create_topics(WAITS_TOPIC, COMMANDS_TOPIC, partitions=partitions)
    create_topics(ACTS_TOPIC, partitions=1)
    for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    app = build(["deliveries"])
    yield lambda *arguments: CliRunner().invoke(app, ["deliveries", *arguments])


def put_aside(kafka: KafkaLike) -> None:
    """Two notices of one enterprise: one was refused, one stands behind it."""
    log, at = WaitLog(catalog()), datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    entries = []
    for number, wait in ((1, Wait("parked", "HTTP 422", 1, 422, at, at)), (2, Wait("behind", f"behind {PARKED}"))):
        record = notice("A", number, subscription=NAME)._replace(partition=5)
        entries.append(log.entry(record, read_inbox(record, catalog()), from_headers(record.headers), wait, at))
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        publisher.publish(entries)


def commands(kafka: KafkaLike) -> list[tuple[int, Command]]:
    found = read_topics(kafka.bootstrap, [COMMANDS_TOPIC])
    return [(record.partition, read_command(record, catalog())) for record in found]


def test_what_waits_is_shown_in_its_order(kafka: KafkaLike, hub: Any) -> None:
    nothing: Result = hub("list")
    assert (nothing.exit_code, "nothing waits" in nothing.output) == (0, True)
    put_aside(kafka)
    found = hub("list", "--json")
    assert found.exit_code == 1
    assert [(each["notice_id"], each["state"], each["reason"]) for each in json.loads(found.output)] == [
        (PARKED, "parked", "HTTP 422"), (BEHIND, "behind", f"behind {PARKED}"),
    ]
    assert "behind 1\tparked 1" in hub("list", "--subscription", NAME).output
    assert hub("list", "--subscription", "works-bidding").exit_code == 0


def test_a_release_and_a_drop_stand_on_record_where_the_notice_is(kafka: KafkaLike, hub: Any) -> None:
    put_aside(kafka)
    assert hub("release", PARKED, *BECAUSE).exit_code == 0
    assert hub("release", "--subscription", NAME, *BECAUSE).exit_code == 0
    assert json.loads(hub("drop", BEHIND, *BECAUSE, "--json").output)["notices"] == 1
    given = commands(kafka)
    assert {partition for partition, _ in given} == {5}
    assert [(each.kind, each.notice_id, each.asked_by, each.reason) for _, each in given] == [
        ("release", PARKED, "李四", "接收系统已修复"), ("release", None, "李四", "接收系统已修复"),
        ("drop", BEHIND, "李四", "接收系统已修复"),
    ]
    acts = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [ACTS_TOPIC])]
    assert [(act["kind"], act["target"], act["state"]) for act in acts] == [
        (f"delivery.{kind}", target, state)
        for kind, target in (("release", PARKED), ("release", NAME), ("drop", BEHIND)) for state in ("asked", "done")
    ]
    # Who acted is the account of the machine; whom it was for stands beside it.
    assert {act["actor"] for act in acts} == {machine_user()}
    assert {(act["reason"], act["details"][-1]["value"]) for act in acts} == {("接收系统已修复", "李四")}


@pytest.mark.parametrize(("arguments", "said"), [
    (["release", *BECAUSE], "either one notice or --subscription"),
    (["release", PARKED, "--subscription", NAME, *BECAUSE], "either one notice or --subscription"),
    (["release", "nobody", *BECAUSE], "Nothing waits under nobody"),
    (["release", PARKED, "--reason", " "], "--reason must say why"),
    (["drop", "nobody", *BECAUSE], "Nothing waits"),
    (["list", "--subscription", "nobody"], "There is no subscription"),
])
def test_what_is_wrong_is_said_and_nothing_is_asked(
    kafka: KafkaLike, hub: Any, arguments: list[str], said: str
) -> None:
    put_aside(kafka)
    result = hub(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert commands(kafka) == []
