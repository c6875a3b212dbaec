"""A department reads its inbox itself: all of the delivery stage on a real Kafka, from the map to the proof."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import redis
import yaml
from typer.testing import CliRunner

from hub import wiring
from hub.bus.access import read_rights
from hub.bus.commits import GroupOffsets
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.bus.spans import SpanReader
from hub.bus.topics import admin
from hub.cli.main import build
from hub.delivery.answers import FEEDBACK_TOPIC
from hub.delivery.proof import verify
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.rights import reading_right
from hub.domain.direct import group_of, inbox_of, problems_of, user_of
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.embedded import KafkaCluster
from hub.settings import Settings, load
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_direct import DirectDepartment, poll
from tests.support_outlets import notice, notice_id

if TYPE_CHECKING:
    from tests.conftest import IndexLike

ROOT = Path(__file__).resolve().parents[2]
NAME, OTHER = "government-procurement", "works-bidding"
BECAUSE = ["--reason", "首次接入", "--by", "李四"]


class Hub(NamedTuple):
    """A cluster of its own, made from a map in which both subscriptions are read directly."""

    cluster: KafkaCluster
    data: Path
    environment: dict[str, str]
    passwords: dict[str, str]

    @property
    def bootstrap(self) -> str:
        return self.cluster.bootstrap

    @property
    def settings(self) -> Settings:
        return load()

    def department(self, name: str = NAME) -> DirectDepartment:
        return DirectDepartment(self.cluster.departments, name, self.passwords[name])

    def run(self, *arguments: str) -> Any:
        return CliRunner().invoke(build([arguments[0]]), list(arguments))

    def write(self, subject: str, *numbers: int, name: str = NAME) -> None:
        records = [notice(subject, number, subscription=name) for number in numbers]
        with closing(KafkaPublisher(self.bootstrap, client_id="test")) as publisher:
            publisher.publish([Output(each.topic, each.key, each.value, each.headers) for each in records])

    def receipts(self, subject: str) -> list[dict[str, Any]]:
        return [each for each in values(self.bootstrap, RECEIPTS_TOPIC) if each["subject"] == subject]

    def feedback(self, subject: str) -> list[dict[str, Any]]:
        return [each for each in values(self.bootstrap, FEEDBACK_TOPIC) if each["subject"] == subject]


def values(bootstrap: str, topic: str) -> list[dict[str, Any]]:
    records = sorted(read_topics(bootstrap, [topic]), key=lambda each: (each.partition, each.offset))
    return [catalog().decode(record.value or b"")[1] for record in records]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, valkey: IndexLike) -> Iterator[Hub]:
    data = tmp_path_factory.mktemp("direct")
    raw = yaml.safe_load((ROOT / "topics.yaml").read_text(encoding="utf-8"))
    # Those that have no Kafka would be without an address here.
    raw["subscriptions"] = {name: raw["subscriptions"][name] | {"delivery": "kafka"} for name in (NAME, OTHER)}
    for entry in raw["subscriptions"].values():
        entry.pop("probe_minutes", None)  # there is no endpoint to ask
    for topic in raw["topics"].values():
        # Few partitions: what is tested does not depend on their number, the time for it does.
        topic["partitions"] = min(topic.get("partitions", 12), 2)
    (data / "topics.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    (data / "endpoints.yaml").write_text("channels: {}\nsubscriptions: {}\n")
    with redis.Redis.from_url(valkey.url) as client, pytest.MonkeyPatch.context() as patch, \
            KafkaCluster(data / "kafka") as cluster:
        client.flushdb()
        # As the web side does when it has filled the index: what is not there never was.
        client.set("hub:notice:is-complete", "1")
        environment = {
            "HUB_BOOTSTRAP_SERVERS": cluster.bootstrap, "HUB_DEPARTMENTS_SERVERS": cluster.departments,
            "HUB_REDIS_INDEX_URL": f"{valkey.url}", "HUB_DATA": str(data), "HUB_MAP_FILE": str(data / "topics.yaml"),
            "HUB_REPLICATION": "1", "HUB_LOG_LEVEL": "warning", "HUB_VAULT_SECRET": "made up",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        found = Hub(cluster, data, environment, {})
        planned = found.run("topics", "plan")
        assert planned.exit_code == 1 and f"+ {user_of(NAME)}: may READ topic {inbox_of(NAME)}\n" in planned.output
        applied = found.run("topics", "apply")
        assert applied.exit_code == 0, applied.output
        again = found.run("topics", "plan")
        assert (again.exit_code, again.output) == (0, "The cluster is as the map says.\n")
        assert found.run("topics", "apply").output == "Nothing to change.\n"
        for name in (NAME, OTHER):
            shown = found.run("subscriptions", "credentials", name, *BECAUSE, "--json")
            assert shown.exit_code == 0, shown.output
            found.passwords[name] = json.loads(shown.output)["password"]
        yield found


@contextmanager
def delivering(hub: Hub) -> Iterator[None]:
    """The delivery stage in this process."""
    service = wiring.build_service(hub.settings, "delivery")
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def stage(hub: Hub) -> Iterator[Hub]:
    with delivering(hub):
        yield hub


@pytest.fixture
def delivery(stage: Hub) -> Hub:
    """The stage, and departments that have read everything: a test gets its own notices and problems."""
    offsets = GroupOffsets(stage.bootstrap)
    with closing(SpanReader(stage.bootstrap)) as reader:
        for name in (NAME, OTHER):
            counts = reader.partitions_of([inbox_of(name), problems_of(name)])
            ends = reader.ends_of([(topic, number) for topic, count in counts.items() for number in range(count)])
            committed = offsets.read([group_of(name)])[group_of(name)]
            if any(committed.get(place, 0) < end for place, end in ends.items()):
                offsets.write(group_of(name), ends)
    return stage


def answer(subject: str, number: int = 1, **more: Any) -> bytes:
    (written,) = [
        catalog().decode(each.value or b"")[1]
        for each in [notice(subject, number, subscription=more.get("subscription", NAME))]
    ]
    document = {name: written[name] for name in ("notice_id", "subscription", "correlation_id", "event_id", "subject")}
    return json.dumps({
        **document, "status": "acted", "measure": "restrict-government-procurement", "acted_on": "2026-03-04", **more,
    }, ensure_ascii=False).encode()


# -- receipts ------------------------------------------------------------------------------------


def test_receipts_follow_the_commit_in_order(delivery: Hub) -> None:
    delivery.write("direct-a", *range(1, 6))
    department = delivery.department()
    with closing(department.consumer()) as consumer:
        messages = [each for each in poll(consumer, 5)]
        time.sleep(2.5)
        assert delivery.receipts("direct-a") == []  # read is not received: the commit says so
        consumer.commit(message=messages[1], asynchronous=False)
        wait_until(lambda: len(delivery.receipts("direct-a")) == 2, "two receipts")
        consumer.commit(asynchronous=False)
        wait_until(lambda: len(delivery.receipts("direct-a")) == 5, "all receipts")
    found = delivery.receipts("direct-a")
    assert [each["notice_id"] for each in found] == [notice_id("direct-a", number) for number in range(1, 6)]
    assert {(each["status"], each["method"], each["signature"]) for each in found} == {("delivered", "kafka", None)}
    assert found[0]["endpoint"] == f"user {user_of(NAME)}, group {group_of(NAME)}"
    assert found[0]["place"].startswith(f"{inbox_of(NAME)}/")


def test_going_back_gives_no_second_receipt_and_skipping_acknowledges(delivery: Hub) -> None:
    delivery.write("direct-b", *range(1, 4))
    department, offsets = delivery.department(), GroupOffsets(delivery.bootstrap)
    department.read(3)
    wait_until(lambda: len(delivery.receipts("direct-b")) == 3, "receipts")
    before = offsets.read([group_of(NAME)])[group_of(NAME)]
    offsets.write(group_of(NAME), {place: 0 for place in before})
    delivery.write("direct-b", 4, 5)
    time.sleep(2.5)
    assert len(delivery.receipts("direct-b")) == 3
    # Beyond the end: that would acknowledge what nobody has written yet.
    offsets.write(group_of(NAME), {place: 10**9 for place in before})
    time.sleep(2.5)
    assert len(delivery.receipts("direct-b")) == 3
    ends = {place: end + 2 for place, end in before.items()}
    offsets.write(group_of(NAME), {place: 0 for place in before})
    (place,) = {(each["place"].rpartition("/")[0]) for each in delivery.receipts("direct-b")}
    partition = int(place.rpartition("/")[2])
    offsets.write(group_of(NAME), {(inbox_of(NAME), partition): ends[inbox_of(NAME), partition]})
    wait_until(lambda: len(delivery.receipts("direct-b")) == 5, "the receipts of what was skipped")
    assert max(Counter(each["receipt_id"] for each in delivery.receipts("direct-b")).values()) == 1


# -- answers -------------------------------------------------------------------------------------


def problem_of(delivery: Hub, value: bytes, name: str = NAME, **more: Any) -> dict[str, Any]:
    """The problem document that comes back for one answer."""
    department = delivery.department(name)
    with closing(department.consumer(topic=problems_of(name))) as consumer:
        known = len(list(read_topics(delivery.bootstrap, [problems_of(name)])))
        department.answer(value, **more)
        wait_until(
            lambda: len(list(read_topics(delivery.bootstrap, [problems_of(name)]))) == known + 1, "a problem document"
        )
        (message,) = poll(consumer, 1)
        consumer.commit(asynchronous=False)
        assert dict(message.headers() or [])["content-type"] == b"application/problem+json"
        found: dict[str, Any] = json.loads(message.value() or b"")
        return found


def test_an_answer_by_kafka_is_on_record_as_any_other(delivery: Hub) -> None:
    delivery.write("direct-c", 1)
    assert delivery.department().read(1)
    body = answer("direct-c")
    # At once: the notice was in the index before the department could have read it.
    delivery.department().answer(body, body)
    wait_until(lambda: len(delivery.feedback("direct-c")) == 2, "the answers")
    first, second = delivery.feedback("direct-c")
    assert first["feedback_id"] == second["feedback_id"]  # a repeat is absorbed by its id
    assert (first["way"], first["status"], first["content"], first["signature"]) == ("kafka", "acted", body, None)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"measure": "something-else"}, "invalid"),
        ({"status": "objected", "measure": None}, "invalid"),
        ({"notice_id": "nobody"}, "unknown-notice"),
        ({"subscription": OTHER}, "not-yours"),
        ({"more": 1}, "invalid"),
    ],
)
def test_what_does_not_fit_comes_back(delivery: Hub, change: dict[str, Any], kind: str) -> None:
    delivery.write("direct-d", 1)
    body = json.dumps(json.loads(answer("direct-d")) | change).encode()
    found = problem_of(delivery, body)
    assert found["type"] == f"/problems/{kind}"
    assert found["answer"]["topic"] == f"answers.{NAME}" and found["instance"].endswith(
        f"/{found['answer']['partition']}/{found['answer']['offset']}"
    )
    assert delivery.feedback("direct-d") == []


def test_poison_holds_up_nothing(delivery: Hub) -> None:
    delivery.write("direct-e", 1)
    department = delivery.department()
    poison = [b"\x00\xff", b"[]", b"{" * 2000, b'{"subscription": "\\ud800"}', b"x" * 70_000]
    department.answer(*poison, answer("direct-e"))
    wait_until(lambda: len(delivery.feedback("direct-e")) == 1, "the answer behind the poison")
    kinds = {json.loads(each.value() or b"")["type"] for each in department.problems(5)}
    assert kinds == {"/problems/malformed", "/problems/not-yours", "/problems/too-large"}
    assert not list(read_topics(delivery.bootstrap, ["delivery.dead-letters.v1"]))


def test_a_notice_of_another_subscription_cannot_be_answered(delivery: Hub) -> None:
    delivery.write("direct-f", 1, name=OTHER)
    assert problem_of(delivery, answer("direct-f"))["type"] == "/problems/unknown-notice"


def test_who_has_named_a_key_signs_and_nobody_else_answers_for_him(delivery: Hub) -> None:
    key = parse_secret(new_secret("ed25519"))
    changed = delivery.run("subscriptions", "set", OTHER, "--receiver-key", str(key.public), *BECAUSE)
    assert changed.exit_code == 0, changed.output
    delivery.write("direct-g", 1, name=OTHER)
    body = answer("direct-g", subscription=OTHER, measure="restrict-bidding", status="registered")
    body = json.dumps(json.loads(body) | {"measure": None}).encode()
    # Of a notice that is not there until the key holds: this one itself would be taken.
    nothing = answer("direct-none", subscription=OTHER)
    wait_until(
        lambda: problem_of(delivery, nothing, OTHER)["type"] == "/problems/unauthenticated", "that the key holds"
    )
    assert problem_of(delivery, body, OTHER)["type"] == "/problems/unauthenticated"
    wrong = sign([parse_secret(new_secret("ed25519"))], "answer-1", datetime.now(UTC), body)
    assert problem_of(delivery, body, OTHER, headers=packed(wrong))["type"] == "/problems/unauthenticated"
    right = sign([key], "answer-1", datetime.now(UTC), body)
    delivery.department(OTHER).answer(body, headers=packed(right))
    wait_until(lambda: len(delivery.feedback("direct-g")) == 1, "the signed answer")
    (found,) = delivery.feedback("direct-g")
    assert (found["signed_as"], found["signature"]) == ("answer-1", right["webhook-signature"])


def packed(headers: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in headers.items()]


# -- settings and looking ------------------------------------------------------------------------


def test_the_commands_show_how_it_stands(delivery: Hub) -> None:
    delivery.write("direct-h", 1, 2)
    shown = json.loads(delivery.run("subscriptions", "show", NAME, "--json").output)
    kafka = shown["kafka"]
    assert (shown["delivery"], shown["state"]) == ("kafka", "open")
    assert (kafka["user"], kafka["group"], kafka["topic"]) == (user_of(NAME), group_of(NAME), inbox_of(NAME))
    assert kafka["bootstrap"] == delivery.cluster.departments and kafka["has_password"]
    assert kafka["unacknowledged"] >= 2 and kafka["without_receipt"] >= 2
    assert any("gets a new password" in each["reason"] for each in shown["history"])
    assert delivery.passwords[NAME] not in json.dumps(shown)
    listed = delivery.run("subscriptions", "list")
    assert listed.exit_code == 0 and f"{NAME}\topen\tkafka {inbox_of(NAME)} user {user_of(NAME)}" in listed.output
    lag = {(each["group"], each["topic"]): each for each in json.loads(delivery.run("lag", "--json").output)}
    # Who writes the receipts is there: it is the department that has not taken what lies ready.
    position = lag[f"hub-delivery-{NAME}", inbox_of(NAME)]
    assert (position["verdict"], position["members"], position["waits_until"]) == ("waits", 1, None)
    delivery.department().read(kafka["unacknowledged"])
    wait_until(lambda: len(delivery.receipts("direct-h")) == 2, "receipts")


def test_the_password_is_changed_and_stands_nowhere(delivery: Hub, tmp_path: Path) -> None:
    before, file = delivery.department(OTHER), tmp_path / "password"
    before.admin().list_topics(timeout=15)
    done = delivery.run("subscriptions", "credentials", OTHER, *BECAUSE, "--secret-file", str(file))
    assert done.exit_code == 0 and file.stat().st_mode & 0o777 == 0o600
    delivery.passwords[OTHER] = file.read_text().strip()
    assert delivery.passwords[OTHER] not in done.output
    wait_until(lambda: bool(delivery.department(OTHER).admin().list_topics(timeout=15).topics), "the new password")
    with pytest.raises(Exception, match=r"_TRANSPORT|_TIMED_OUT|AUTHENTICATION"):
        DirectDepartment(delivery.cluster.departments, OTHER, before._config["sasl.password"]).admin().list_topics(
            timeout=3
        )
    log = b"".join(each.value or b"" for each in read_topics(delivery.bootstrap, ["subscription.settings.v1"]))
    assert not any(password.encode() in log for password in delivery.passwords.values())
    assert delivery.run("subscriptions", "credentials", OTHER, "--reason", " ").exit_code == 2


def test_a_pause_takes_the_right_away_and_a_plan_respects_it(delivery: Hub) -> None:
    assert delivery.run("subscriptions", "pause", OTHER, *BECAUSE).exit_code == 0

    def reads(is_allowed: bool) -> Callable[[], bool]:
        def look() -> bool:
            plan = delivery.run("topics", "plan")
            with admin(delivery.bootstrap) as client:
                found = read_rights(client) or set()
            return plan.exit_code == 0 and (reading_right(OTHER) in found) == is_allowed

        return look

    wait_until(reads(False), "that the right is gone", 0.5)
    assert delivery.run("topics", "apply").output == "Nothing to change.\n"
    assert json.loads(delivery.run("subscriptions", "show", OTHER, "--json").output)["state"] == "paused by a person"
    assert delivery.run("subscriptions", "resume", OTHER, *BECAUSE).exit_code == 0
    wait_until(reads(True), "that the right is back", 0.5)


# -- proof ---------------------------------------------------------------------------------------


def test_a_receipt_by_kafka_is_proved_by_the_record_itself(delivery: Hub, tmp_path: Path) -> None:
    delivery.write("direct-i", 1)
    delivery.department().read(1)
    wait_until(lambda: len(delivery.receipts("direct-i")) == 1, "the receipt")
    path = tmp_path / "proof.json"
    made = delivery.run("proof", notice_id("direct-i", 1), "-o", str(path))
    assert made.exit_code == 0, made.output
    document = json.loads(path.read_text())
    checks = {check.what: check for check in verify(document, catalog())}
    assert checks["receipt"].is_right is True and "by Kafka" in checks["receipt"].found
    assert checks["acknowledged"].is_right is True
    assert f"group {group_of(NAME)}" in checks["acknowledged"].found
    (inbox,) = [each for each in document["records"] if each["topic"] == inbox_of(NAME)]
    inbox["offset"] += 1
    moved = {check.what: check.is_right for check in verify(document, catalog())}
    assert moved["receipt"] is False
