"""The file drop on a real Kafka: as the wiring builds it, beside another process, with a person who releases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import yaml
from typer.testing import CliRunner

from hub import wiring
from hub.bus.clients import new_producer, produce
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli.main import build
from hub.delivery.commands import COMMANDS_TOPIC, Command, write_command
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.service import group_of
from hub.delivery.settings import SETTINGS_TOPIC
from hub.delivery.waits import WAITS_TOPIC
from hub.settings import PROJECT_ROOT, load
from tests.chaos.filedrop_process import file_sender
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_filedrop import KEY, NAME, Department, now
from tests.support_groups import delete_groups
from tests.support_outlets import notice, notice_id

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, IndexLike, KafkaLike

FEEDBACK = "discipline.feedback.v1"
#: Of the project's map, turned into a file drop.
MAPPED = "government-procurement"


@pytest.fixture
def topics(kafka: KafkaLike, create_topics: CreateTopics, redis_client: redis.Redis) -> Iterator[None]:
    inboxes = [f"inbox.{name}" for name in (NAME, MAPPED, "works-bidding")]
    create_topics(*inboxes, COMMANDS_TOPIC, WAITS_TOPIC, partitions=3)
    create_topics(RECEIPTS_TOPIC, FEEDBACK, "delivery.dead-letters.v1", partitions=1)
    create_topics(SETTINGS_TOPIC, partitions=1, config={"cleanup.policy": "compact"})
    create_topics("audit.acts.v1", partitions=1)
    yield
    delete_groups(kafka.bootstrap, [group_of(name) for name in (NAME, MAPPED, "works-bidding")])


@contextmanager
def running(service: Any) -> Iterator[Any]:
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join(30)
        assert not thread.is_alive()


def write(kafka: KafkaLike, *subjects: str, subscription: str = NAME, number: int = 1) -> None:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for subject in subjects:
        record = notice(subject, number, subscription=subscription)
        produce(producer, record.topic, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0


def read(kafka: KafkaLike, topic: str) -> list[dict[str, Any]]:
    return [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [topic])]


def receipts(kafka: KafkaLike, status: str) -> set[str]:
    return {each["notice_id"] for each in read(kafka, RECEIPTS_TOPIC) if each["status"] == status}


def has_package(department: Department, id: str) -> bool:
    return department.home.exists() and any(id in each.notices for each in department.packages())


def test_refused_released_and_taken(kafka: KafkaLike, valkey: IndexLike, topics: None, tmp_path: Path) -> None:
    id, department = notice_id("A", 1), Department(tmp_path / NAME)
    write(kafka, "A")
    with running(file_sender(kafka.bootstrap, valkey.url, tmp_path, KEY)):
        wait_until(lambda: has_package(department, id), "the package", 0.05)
        (first,) = department.packages()
        department.put(f"{first.name}.ack.json", {"refused": {id: "案号缺失"}})
        wait_until(lambda: receipts(kafka, "parked") == {id}, "the refusal", 0.1)
        wait_until(lambda: department.files("inbox") == [] and not department.names(), "its end", 0.05)
        with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
            publisher.publish(write_command(Command("release", NAME, id, "李四", "已补正", now()), range(3), catalog()))
        wait_until(lambda: has_package(department, id), "another package", 0.05)
        (second,) = department.packages()
        department.put(f"{second.name}.ack.xlsx", department.fill(second, {"全部": {"收到情况": "已收到"}}))
        wait_until(lambda: receipts(kafka, "delivered") == {id}, "the receipt", 0.1)
    delivered = [each for each in read(kafka, RECEIPTS_TOPIC) if each["status"] == "delivered"]
    assert [(each["method"], each["file"]) for each in delivered] == [("file", second.name)]
    assert second.name != first.name


def test_of_two_processes_one_writes_and_the_other_takes_over(
    kafka: KafkaLike, valkey: IndexLike, topics: None, tmp_path: Path
) -> None:
    department = Department(tmp_path / NAME)
    first, second = (file_sender(kafka.bootstrap, valkey.url, tmp_path, KEY) for _ in range(2))
    with running(first):
        write(kafka, "A", "B")
        wait_until(lambda: has_package(department, notice_id("B", 1)), "the first package", 0.05)
        with running(second):
            first.stop()
            write(kafka, "C")
            wait_until(lambda: has_package(department, notice_id("C", 1)), "a package of the heir", 0.05)
            names = department.names()
            assert len([name for name in names if notice_id("A", 1) in department.read(name).notices]) == 1
            for name in names:
                department.put(f"{name}.ack.json", {"received": "all"})
            ids = {notice_id(subject, 1) for subject in "ABC"}
            wait_until(lambda: receipts(kafka, "delivered") == ids, "all receipts", 0.1)


def test_a_department_of_the_map_gets_files(
    kafka: KafkaLike, valkey: IndexLike, topics: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = yaml.safe_load((PROJECT_ROOT / "topics.yaml").read_text(encoding="utf-8"))
    raw["subscriptions"][MAPPED]["delivery"] = "file"
    raw["subscriptions"][MAPPED].pop("probe_minutes", None)  # there is no endpoint to ask
    map_file = tmp_path / "topics.yaml"
    map_file.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    for name, value in {
        "BOOTSTRAP_SERVERS": kafka.bootstrap, "REDIS_INDEX_URL": valkey.url, "DATA": str(tmp_path / "data"),
        "MAP_FILE": str(map_file), "DROP_WINDOW_SECONDS": "0.1", "LOG_LEVEL": "error", "DROP_FORM": "csv",
    }.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    app = build(["subscriptions"])

    def hub(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["subscriptions", *arguments])

    blocked = json.loads(hub("show", MAPPED, "--json").output)
    home = tmp_path / "data" / "drop" / MAPPED
    assert (blocked["state"], blocked["delivery"], blocked["folder"]) == ("no key signs", "file", str(home))
    secret = json.loads(hub("rotate", MAPPED, "--kind", "hmac", "--reason", "首次接入", "--json").output)["secret"]
    listed = {line.split("\t")[0]: line.rstrip("\n").split("\t") for line in hub("list").output.splitlines()}
    assert listed[MAPPED][1:3] == ["open", str(home)] and listed[MAPPED][4] == "file"
    assert listed["works-bidding"][4] == "webhook"

    (tmp_path / "data" / "endpoints.yaml").write_text("channels: {}\n")
    write(kafka, "A", subscription=MAPPED)
    id, department = notice_id("A", 1), Department(home, secret)
    with running(wiring.build_service(load(), "delivery")):
        wait_until(lambda: has_package(department, id), "the package", 0.05)
        (package,) = department.packages()
        assert f"{package.name}.enforcement-penalty.csv" in package.files
        # The web side never ran: what is not in the index is looked for in the inboxes.
        department.put("三月.answers.json", {"answers": [
            {"notice_id": id, "status": "registered", "case_number": "甘南财采〔2026〕3号"},
            {"notice_id": "nobody", "status": "registered"},
        ]})
        wait_until(lambda: department.files("done") == ["三月.answers.json"], "the result", 0.1)
    result = department.result("三月.answers.json")
    assert (result["answered"], [fault["row"] for fault in result["faults"]]) == (1, [2])
    (answer,) = read(kafka, FEEDBACK)
    assert (answer["notice_id"], answer["way"], answer["status"]) == (id, "file", "registered")
    assert receipts(kafka, "delivered") == {id}
