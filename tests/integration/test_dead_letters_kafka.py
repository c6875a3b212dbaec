"""``hub dead-letters`` on a real Kafka: by cause, a masked look, and putting back, once and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from hub.bus.dead_letters import to_dead_letter
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.cli.main import build
from hub.errors import ContractError, PoisonError
from hub.ops.acts import ACTS_TOPIC
from tests.support_contracts import IDENTITY_NUMBER, catalog, sample
from tests.unit.test_routing import hub_map

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

LETTERS, ORIGIN = "routing.dead-letters.v1", "enforcement.penalties.v1"
BECAUSE = ["--reason", "分发规则已修正"]
SCHEMA = "enforcement/penalty"


class Hub:
    """Commands, and what stands on the topics."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def run(self, *arguments: str, group: str = "dead-letters", code: int = 0) -> str:
        result = CliRunner().invoke(build([group]), [group, *arguments])
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def read(self, topic: str) -> list[Record]:
        found = sorted(read_topics(self.bootstrap, [topic]), key=lambda each: (each.partition, each.offset))
        return [each._replace(timestamp=0) for each in found]

    def publish(self, *outputs: Output) -> None:
        with closing(KafkaPublisher(self.bootstrap, client_id="test")) as publisher:
            publisher.publish(outputs)

    def bury(self, *numbers: int, error: Exception | None = None, value: bytes | None = None) -> None:
        """Letters of as many enterprises as numbers."""
        at = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
        schema = catalog().schema(SCHEMA)
        for number in numbers:
            content = value if value is not None else schema.encode(sample(schema, number, party_kind="01"))
            headers = [("ce_id", f"e{number}".encode()), ("ce_type", b"enforcement.penalty.recorded")]
            record = Record(ORIGIN, number % 3, number, 0, f"subject-{number}".encode(), content, headers)
            fault = error or PoisonError(f"no rule for {number}")
            self.publish(to_dead_letter(record, "routing", fault, attempts=1, first_failed_at=at, rule_version="m1"))

    def fail_again(self, record: Record) -> None:
        at = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
        self.publish(to_dead_letter(record, "routing", PoisonError("no rule for 1"), attempts=1, first_failed_at=at,
                                    rule_version="m1"))  # fmt: skip


@pytest.fixture
def hub(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    create_topics(LETTERS, ORIGIN, partitions=3)
    create_topics(ACTS_TOPIC, partitions=1)
    for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    # They take a second each time and have tests of their own.
    monkeypatch.setattr("hub.wiring.acts.open_catalog", lambda settings: catalog())
    monkeypatch.setattr("hub.wiring.acts.open_map", lambda settings, catalog: hub_map())
    yield Hub(kafka.bootstrap)


def test_letters_of_one_cause_are_one_class_and_content_is_masked(hub: Hub) -> None:
    assert hub.json("list") == []
    hub.bury(1, 2, 3)
    hub.bury(4, error=ContractError("there is no schema with the id 99"), value=b"\x00garbage")
    groups = hub.json("list", "--by-reason", code=1)
    assert [(group["count"], group["open"], group["reason"]) for group in groups] == [
        (3, 3, "PoisonError"), (1, 1, "ContractError"),
    ]
    (other,) = hub.json("list", "--class", groups[1]["class"], code=1)
    (place, *_) = [each["place"] for each in hub.json("list", "--stage", "routing", code=1) if each["id"] == "e1"]
    assert hub.json("list", "--stage", "clocks") == []
    hub.run("list", "--stage", "kitchen", code=2)
    # Without a purpose there is no content, and with one it is in a view, on record before it is shown.
    assert "content" not in hub.json("show", place)
    hub.run("show", place, "--why", " ", code=1)
    shown = hub.json("show", place, "--why", "核对案件文号")
    assert shown["content"]["schema"].startswith(SCHEMA) and IDENTITY_NUMBER not in json.dumps(shown)
    garbage = hub.json("show", other["place"], "--why", "核对", "--view", "partner")["content"]
    assert garbage["bytes"] == 8 and len(garbage["sha256"]) == 64 and "garbage" not in json.dumps(garbage)
    hub.run("show", place, "--why", "核对", "--view", "full", code=2)
    acts = [catalog().decode(record.value or b"")[1] for record in hub.read(ACTS_TOPIC)]
    assert [(act["kind"], act["target"], act["reason"]) for act in acts] == [
        ("record.look", place, "核对案件文号"), ("record.look", other["place"], "核对"),
    ]


def test_what_is_put_back_is_marked_and_a_letter_that_comes_back_names_the_earlier_one(hub: Hub) -> None:
    hub.bury(1, 2)
    place = next(each["place"] for each in hub.json("list", code=1) if each["id"] == "e1")
    hub.run("redrive", place, code=2)
    done = hub.json("redrive", place, *BECAUSE)
    (back,) = hub.read(ORIGIN)
    letter = next(each for each in hub.read(LETTERS) if dict(each.headers)["ce_id"] == b"e1")
    assert (back.key, back.value, back.partition) == (letter.key, letter.value, 1)
    assert dict(back.headers)["__hub.redriven.request"] == done["request"].encode()
    assert [each["id"] for each in hub.json("list", code=1)] == ["e2"]
    statuses = {each["id"]: each["status"] for each in hub.json("list", "--all", code=1)}
    assert statuses == {"e1": "redriven", "e2": "open"}
    # Again gives the same record with the same id.
    hub.json("redrive", place, *BECAUSE)
    assert [(each.key, each.value, dict(each.headers)["ce_id"]) for each in hub.read(ORIGIN)] == [
        (back.key, back.value, b"e1")
    ] * 2

    hub.fail_again(back)
    again = next(each for each in hub.json("list", code=1) if each["id"] == "e1")
    assert (again["earlier"], again["status"]) == (place, "open") and again["place"] != place
    preview = hub.json("redrive", "--all", "--dry-run")
    assert (preview["count"], preview["came_back"], preview["redriven"], preview["to"]) == (2, 1, 1, {ORIGIN: 2})
    assert preview["oldest"] < preview["newest"] and preview["needs_second"]
    assert hub.json("redrive", "--class", again["class"], "--since", "2026-03-03", "--dry-run")["count"] == 1
    assert len(hub.read(ORIGIN)) == 2, "a preview moves nothing"


def test_all_waits_for_a_second_person_and_then_moves_what_was_asked_and_no_more(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.bury(1, 2, 3)
    asked = hub.json("redrive", "--all", *BECAUSE, code=1)
    assert asked["waits_for_second"] and asked["count"] == 3 and hub.read(ORIGIN) == []
    request = asked["request"]
    hub.run("redrive", "--request", request, code=1)
    assert "another person" in hub.run("approve", request, "--reason", "同意", group="acts", code=1)
    monkeypatch.setattr("hub.cli.on_record.machine_user", lambda: "wangwu")
    hub.run("approve", request, "--reason", "同意", group="acts")
    hub.bury(4)  # came after it was asked
    assert hub.json("redrive", "--request", request)["redriven"] == 3
    hub.run("redrive", "--request", request, code=1)
    hub.run("redrive", "--request", request, "--all", code=2)
    assert {dict(each.headers)["ce_id"] for each in hub.read(ORIGIN)} == {b"e1", b"e2", b"e3"}
    assert [each["id"] for each in hub.json("list", code=1)] == ["e4"]
    # Many of one class need two as well.
    monkeypatch.setattr("hub.ops.dead_letters.MANY", 1)
    hub.bury(5)
    (name,) = {each["class"] for each in hub.json("list", code=1)}
    assert hub.json("redrive", "--class", name, *BECAUSE, code=1)["count"] == 2


@pytest.mark.parametrize("arguments", [
    [], ["--all", "--class", "x"], ["somewhere"], [f"{LETTERS}:0:99"], ["--class", "nothing", *BECAUSE],
    ["audit.acts.v1:0:0", *BECAUSE],
])  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_moved(hub: Hub, arguments: list[str]) -> None:
    hub.bury(1)
    hub.run("redrive", *arguments, code=2)
    assert hub.read(ORIGIN) == [] and hub.read(ACTS_TOPIC) == []
