"""A department that fetches, on a real Kafka: whatever replies are lost, nothing is, and nothing comes twice by id."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks
from fastapi.testclient import TestClient

from hub.bus.address_guard import AddressGuard
from hub.bus.clients import new_producer, produce
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.delivery.commands import COMMANDS_TOPIC, Command, write_command
from hub.delivery.pull import Batch
from hub.delivery.service import Means, PullSender, group_of
from hub.delivery.settings import SubscriptionSettings, digest_of, new_key, new_token
from hub.delivery.waits import WAITS_TOPIC
from hub.domain.vault import Vault
from hub.errors import BrokerError, InputError
from hub.web.app import create_app
from hub.web.subscriptions import subscriptions_router
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_delivery import EveryDay, NoIndex
from tests.support_groups import delete_groups
from tests.support_outlets import notice, notice_id

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

NAME, RECEIPTS = "procurement", "delivery.receipts.v1"
INBOX = f"inbox.{NAME}"
VAULT, KEY, TOKEN = Vault(b"made up"), new_key("hmac"), new_token()
SETTINGS = replace(
    SubscriptionSettings(NAME, token_digest=digest_of(TOKEN), revision=1)
    .with_key(KEY, VAULT, datetime(2026, 1, 1, tzinfo=UTC))
)


def now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """Settings in memory, for what the web side does with them."""

    def __init__(self) -> None:
        self.settings = SETTINGS
        self.is_away = False

    def get(self, subscription: str) -> SubscriptionSettings | None:
        return self.settings if subscription == NAME else None

    def change(self, subscription: str, change: Any, *, by: str, reason: str) -> SubscriptionSettings:
        if self.is_away:
            raise BrokerError("away")
        self.settings = replace(
            change(self.settings), revision=self.settings.revision + 1, changed_by=by, reason=reason
        )
        return self.settings


class Department:
    """A client that fetches: verifies each notice, and keeps what it took by id."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.taken: dict[str, list[int]] = defaultdict(list)
        self.ids: set[str] = set()
        self.repeats = 0
        self.largest = 0

    def ask(self, **body: Any) -> dict[str, Any]:
        answer = self._client.post(
            f"/v1/subscriptions/{NAME}/poll", json={"returnImmediately": True, **body},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def take(self, sets: dict[str, Any]) -> list[str]:
        """Books a batch; returns its ids."""
        self.largest = max(self.largest, len(sets))
        for id, each in sets.items():
            body = standardwebhooks.Webhook(KEY).verify(each["body"], each["headers"])
            assert each["headers"]["webhook-id"] == id == body["data"]["notice_id"]
            if id in self.ids:
                self.repeats += 1
                continue
            self.ids.add(id)
            self.taken[body["data"]["subject"]].append(body["data"]["sequence"])
        return list(sets)


@pytest.fixture
def topics(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[None]:
    create_topics(INBOX, COMMANDS_TOPIC, WAITS_TOPIC, partitions=3)
    create_topics(RECEIPTS, "delivery.dead-letters.v1", partitions=1)
    yield
    delete_groups(kafka.bootstrap, [group_of(NAME)])


@contextmanager
def web_side(kafka: KafkaLike, desk: Desk | None = None) -> Iterator[TestClient]:
    """The web side with the sender of one subscription, as a process of the hub has them."""
    sender = PullSender(NAME, Means(
        kafka.bootstrap, catalog(), NoIndex(), VAULT, AddressGuard(), EveryDay(), now, "test",
    ), resend_seconds=0.3)
    desk = desk or Desk()
    sender.use(desk.settings)
    thread = threading.Thread(target=sender.run)
    thread.start()
    try:
        with TestClient(create_app([("", router_of(desk, {NAME: sender.puller}))])) as client:
            yield client
    finally:
        sender.stop()
        thread.join(30)
        assert not thread.is_alive()


def router_of(desk: Desk, pullers: dict[str, Any]) -> Any:
    async def verify(current: SubscriptionSettings, url: str) -> None:
        if "refusing" in url:
            raise InputError("the endpoint was asked whether it agrees, and refused: HTTP 404")

    return subscriptions_router(desk, desk, pullers, verify)


def write(kafka: KafkaLike, subjects: Sequence[str], versions: Sequence[int]) -> set[str]:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for number in versions:
        for subject in subjects:
            record = notice(subject, number)
            produce(producer, INBOX, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0
    return {notice_id(subject, number) for subject in subjects for number in versions}


def receipts(kafka: KafkaLike, status: str = "delivered") -> list[str]:
    found = (catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS]))
    return [each["notice_id"] for each in found if each["status"] == status]


def test_lost_replies_and_repeated_acknowledgements_lose_and_repeat_nothing(kafka: KafkaLike, topics: None) -> None:
    subjects, chance = [f"S{number}" for number in range(1100)], random.Random(20260701)
    ids = write(kafka, subjects, [1, 2])
    owed: list[str] = []
    until = time.monotonic() + 120
    with web_side(kafka) as client:
        department = Department(client)
        # None of these replies arrives: what they held is offered again and again.
        wait_until(lambda: len(department.ask(maxEvents=1000)["sets"]) == 1000, "a thousand in one reply", 0.35)
        while department.ids != ids or owed:
            assert time.monotonic() < until, f"{len(department.ids)} of {len(ids)}"
            sets = department.ask(maxEvents=1000, ack=owed)["sets"]
            if chance.random() < 0.2:
                continue  # the reply is lost; what it acknowledged is acknowledged again with the next one
            owed = [*department.take(sets), *(owed if chance.random() < 0.3 else [])]
        wait_until(lambda: set(receipts(kafka)) == ids, "all receipts", 0.2)
        assert department.ask()["sets"] == {}
    assert department.largest == 1000
    assert all(numbers == [1, 2] for numbers in department.taken.values())
    assert len(receipts(kafka)) == len(ids)


def test_what_was_not_acknowledged_is_offered_by_the_next_process(kafka: KafkaLike, topics: None) -> None:
    ids = write(kafka, ["A", "B", "C"], [1])
    taken: list[str] = []
    with web_side(kafka) as client:
        department = Department(client)
        wait_until(partial(_polls, department, ids), "all of them", 0.05)
        taken = [notice_id("A", 1)]
        department.ask(ack=taken)
        wait_until(lambda: receipts(kafka) == taken, "the receipt", 0.1)
    with web_side(kafka) as client:
        heir = Department(client)
        wait_until(partial(_polls, heir, ids - set(taken)), "the rest", 0.05)
        heir.ask(ack=sorted(ids))
        wait_until(lambda: set(receipts(kafka)) == ids, "all receipts", 0.1)
    assert heir.ids == ids - set(taken)


def _polls(department: Department, ids: set[str]) -> bool:
    department.take(department.ask()["sets"])
    return department.ids >= ids


def test_what_is_refused_waits_for_a_person_with_those_behind_it(kafka: KafkaLike, topics: None) -> None:
    write(kafka, ["A", "B"], [1, 2])
    refused, behind = notice_id("A", 1), notice_id("A", 2)
    with web_side(kafka) as client:
        department = Department(client)
        wait_until(partial(_polls, department, {refused, notice_id("B", 1)}), "the first ones", 0.05)
        department.ask(setErrs={refused: {"err": "invalid", "description": "案号缺失"}}, ack=[notice_id("B", 1)])
        wait_until(partial(_polls, department, {notice_id("B", 2)}), "the next of the other", 0.05)
        wait_until(lambda: set(receipts(kafka, "parked")) == {refused, behind}, "both parked", 0.1)
        assert behind not in department.ids
        with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
            release = Command("release", NAME, refused, "李四", "已补正", now())
            publisher.publish(write_command(release, range(3), catalog()))
        acknowledged: set[str] = set()

        def all_taken() -> bool:
            found = department.take(department.ask(ack=sorted(acknowledged))["sets"])
            acknowledged.update(found)
            return {refused, behind} <= set(receipts(kafka))

        wait_until(all_taken, "both after the release", 0.1)
    assert department.taken["A"] == [1, 2]


def test_a_poll_waits_for_what_comes(kafka: KafkaLike, topics: None) -> None:
    with web_side(kafka) as client:
        answers: list[dict[str, Any]] = []
        department = Department(client)
        thread = threading.Thread(target=lambda: answers.append(department.ask(returnImmediately=False)))
        thread.start()
        write(kafka, ["A"], [1])
        thread.join(20)
        assert [list(answer["sets"]) for answer in answers] == [[notice_id("A", 1)]]


class Idle:
    """A sender that has nothing to give."""

    blocked: str | None = None

    async def poll(self, acknowledged: Any, refused: Any, most: int, wait_seconds: float) -> Any:
        return Batch({}, False)


@pytest.fixture
def client() -> Iterator[TestClient]:
    desk = Desk()
    with TestClient(create_app([("", router_of(desk, {NAME: Idle()}))])) as client:
        yield client


BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATH = f"/v1/subscriptions/{NAME}"


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": f"Bearer {new_token()}"},
])  # fmt: skip
@pytest.mark.parametrize("name", [NAME, "nobody"])
def test_without_its_token_nobody_learns_anything(client: TestClient, name: str, headers: dict[str, str]) -> None:
    for answer in (
        client.get(f"/v1/subscriptions/{name}", headers=headers),
        client.post(f"/v1/subscriptions/{name}/poll", json={}, headers=headers),
        client.patch(f"/v1/subscriptions/{name}", json={}, headers=headers),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.json()["detail"] == "a valid token of this subscription is needed"
    assert client.get("/v1/subscriptions/nobody", headers=BEARER).status_code == 401


@pytest.mark.parametrize(("body", "status", "pointer"), [
    (b'{"maxEvents": 1001}', 422, "/maxEvents"), (b'{"maxEvents": -1}', 422, "/maxEvents"),
    (b'{"ack": "x"}', 422, "/ack"), (b'{"ack": [1]}', 422, "/ack/0"), (b'{"max": 1}', 422, "/max"),
    (b'{"setErrs": {"x": {}}}', 422, "/setErrs/x/err"), (b"[]", 400, None), (b"{", 400, None), (b"\xff", 400, None),
    (b'{"ack": ["' + b"x" * 2_000_000 + b'"]}', 413, None),
])  # fmt: skip
def test_a_bad_poll_is_told_what_is_wrong(client: TestClient, body: bytes, status: int, pointer: str | None) -> None:
    answer = client.post(f"{PATH}/poll", content=body, headers={**BEARER, "Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert [each["pointer"] for each in answer.json().get("errors", [])] == ([pointer] if pointer else [])


def test_a_poll_without_a_body_asks_for_what_is_there(client: TestClient) -> None:
    answer = client.post(f"{PATH}/poll", headers={**BEARER, "Content-Type": "application/json"})
    assert answer.json() == {"sets": {}, "moreAvailable": False}


def test_a_department_changes_its_own_settings(client: TestClient) -> None:
    def change(**body: Any) -> Any:
        return client.patch(PATH, json={"by": "王五", "reason": "系统维护", **body}, headers=BEARER)

    assert change(is_paused=True, rate_per_minute=60, office_hours="08:30-12:00", contact="值班席").status_code == 200
    found = client.get(PATH, headers=BEARER).json()
    assert (found["is_paused"], found["rate_per_minute"], found["office_hours"]) == (True, 60, "08:30-12:00")
    assert (found["changed_by"], found["reason"], found["revision"]) == (f"王五 ({NAME})", "系统维护", 2)
    assert KEY not in client.get(PATH, headers=BEARER).text
    assert change(office_hours="", rate_per_minute=None).json()["office_hours"] is None
    assert change(url="https://new.example/hook").json()["is_verified"] is True
    for body, pointer in (
        ({"office_hours": "9-5"}, "/office_hours"), ({"url": "https://refusing.example"}, "/url"),
        ({"url": None}, "/url"),
        ({"is_paused": None}, "/is_paused"), ({"rate_per_minute": 0}, "/rate_per_minute"), ({"keys": []}, "/keys"),
    ):
        refused = change(**body)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
        assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]
    assert change().status_code == 422
    assert client.get(PATH, headers=BEARER).json()["revision"] == 4


def test_what_cannot_be_done_now_is_said() -> None:
    desk, idle = Desk(), Idle()
    with TestClient(create_app([("", router_of(desk, {}))])) as client:
        assert client.post(f"{PATH}/poll", json={}, headers=BEARER).json()["type"] == "/problems/not-pulled"
    idle.blocked, desk.is_away = "paused by a person", True
    with TestClient(create_app([("", router_of(desk, {NAME: idle}))])) as client:
        blocked = client.post(f"{PATH}/poll", json={}, headers=BEARER)
        assert (blocked.status_code, blocked.json()["detail"]) == (409, "paused by a person")
        away = client.patch(PATH, json={"by": "王五", "reason": "x", "contact": "y"}, headers=BEARER)
        assert (away.status_code, away.headers["retry-after"]) == (503, "30")
        assert client.get("/v2", headers=BEARER).headers["content-type"] == "application/problem+json"
