"""What departments' receivers do wrong, on a real Kafka: nothing is lost, nothing overtakes, nobody is led astray."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aiohttp.abc import AbstractResolver

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.clients import new_producer, produce
from hub.bus.flow import Flow
from hub.bus.reader import read_topics
from hub.bus.table_loader import TableLoader
from hub.delivery.engine import DeliveryEngine
from hub.delivery.waits import WAITS_TOPIC
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.circuit import Circuit
from hub.domain.retry import RetryPolicy, Schedule
from hub.domain.webhook import parse_verifier
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_delivery import NoIndex
from tests.support_outlets import notice, notice_id
from tests.support_receivers import (
    Act,
    Cut,
    Drip,
    Late,
    Raw,
    Received,
    Receiver,
    Silent,
    Status,
    client_tls,
    redirect,
    server_tls,
    too_many,
)
from tests.unit.test_address_guard import Names

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NAME = "procurement"
INBOX, RECEIPTS, COMMANDS = f"inbox.{NAME}", "delivery.receipts.v1", "delivery.commands.v1"
POLICY = RetryPolicy(max_attempts=2, first_delay_seconds=0.01, max_delay_seconds=0.1)
SOON = Schedule((0.05,) * 1000)
LOOPBACK = "127.0.0.1"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def topics(create_topics: CreateTopics) -> None:
    create_topics(INBOX, COMMANDS, WAITS_TOPIC, partitions=2)
    create_topics(RECEIPTS, "delivery.dead-letters.v1", partitions=1)


@contextmanager
def delivery(
    kafka: KafkaLike, url: str, *, tls: ssl.SSLContext | None = None,
    resolver: Callable[[], AbstractResolver] | None = None, timeout_seconds: float = 0.5,
) -> Iterator[None]:
    """The real engine on the real broker, with an endpoint at ``url``."""
    networks = parse_networks(LOOPBACK)
    guard = AddressGuard(networks, resolver) if resolver else AddressGuard(networks)
    endpoint = WebhookEndpoint(url, SECRET, timeout_seconds=timeout_seconds)
    engine = DeliveryEngine(
        NAME, WebhookTransport(endpoint, now, guard=guard, tls=tls), catalog(), now, NoIndex(),
        TableLoader(kafka.bootstrap, topic=WAITS_TOPIC), policy=POLICY, schedule=SOON,
        circuit=Circuit(delay=0.05, longest=0.2),
    )
    flow = Flow(engine, name="delivery", topics=[INBOX, COMMANDS], group=f"faults-{uuid.uuid4()}",
                bootstrap=kafka.bootstrap)
    thread = threading.Thread(target=flow.run)
    thread.start()
    try:
        yield
    finally:
        flow.stop()
        thread.join(30)
        assert not thread.is_alive()


def write(kafka: KafkaLike, subjects: Sequence[str], versions: int = 2) -> None:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for number in range(1, versions + 1):
        for subject in subjects:
            record = notice(subject, number)
            produce(producer, INBOX, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0


def receipts(kafka: KafkaLike) -> dict[str, dict[str, Any]]:
    """Notice -> its last receipt."""
    found = (catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS]))
    return {receipt["notice_id"]: receipt for receipt in found}


def is_delivered(kafka: KafkaLike, ids: set[str]) -> bool:
    found = receipts(kafka)
    return {id for id, receipt in found.items() if receipt["status"] == "delivered"} == ids


#: What the receiver does at the first attempt, whether it then has the notice, and whether it is sent again.
FAULTS: dict[str, tuple[Act, bool, bool]] = {
    "times out after doing the work": (Silent(does_work=True), True, True),
    "times out": (Silent(does_work=False), False, True),
    "answers 200 late": (Late(), True, True),
    "301": (Status(301, {"Location": "http://127.0.0.1:9/"}), False, True),
    "500": (Status(500), False, True),
    "425": (Status(425), False, True),
    "429": (too_many("0"), False, True),
    "drips": (Drip(), True, False),
    "cuts before": (Cut(does_work=True), True, True),
    "cuts in the middle": (Cut(is_in_the_middle=True), True, False),
    "no HTTP": (Raw(b"SSH-2.0-x\r\n\r\n"), False, True),
    "an endless head": (Raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), False, True),
}


def test_each_fault_ends_in_one_effect_in_order(kafka: KafkaLike, topics: None) -> None:
    subjects = list(FAULTS)
    first = {notice_id(subject, 1): FAULTS[subject][0] for subject in subjects}

    def choose(received: Received, before: int) -> Act:
        return first.get(received.webhook_id, Status()) if before == 0 else Status()

    ids = {notice_id(subject, number) for subject in subjects for number in (1, 2)}
    with Receiver(keys=[parse_verifier(SECRET)], choose=choose) as receiver:
        with delivery(kafka, receiver.url):
            write(kafka, subjects)
            wait_until(lambda: is_delivered(kafka, ids), "all receipts", 0.1)
        posts = receiver.posts()
        effects = receiver.effects
    assert all(post.is_genuine for post in posts)
    assert sorted(effects) == sorted(ids)
    for subject, (_, _, is_sent_again) in FAULTS.items():
        one, two = notice_id(subject, 1), notice_id(subject, 2)
        assert effects.index(one) < effects.index(two)
        attempts = [post for post in posts if post.webhook_id == one]
        assert (len(attempts) > 1) == is_sent_again, subject
        # By the specification the id stays, and so do the bytes; the timestamp is the attempt's own.
        assert len({post.body for post in attempts}) == 1
        assert [post.timestamp for post in attempts] == sorted(post.timestamp for post in attempts)


def test_a_wish_to_wait_is_obeyed(kafka: KafkaLike, topics: None) -> None:
    came: list[float] = []

    def choose(received: Received, before: int) -> Act:
        came.append(datetime.now(UTC).timestamp())
        return too_many("2") if len(came) == 1 else Status()

    with Receiver(choose=choose) as receiver, delivery(kafka, receiver.url):
        write(kafka, ["A"], 1)
        wait_until(lambda: is_delivered(kafka, {notice_id("A", 1)}), "the receipt", 0.1)
    assert len(came) == 2
    assert came[1] - came[0] >= 1.9


def test_a_redirect_is_not_followed(kafka: KafkaLike, topics: None) -> None:
    statuses = (301, 302, 303, 307, 308)
    with Receiver() as trap, Receiver(script=[redirect(trap.url, status) for status in statuses]) as it:
        with delivery(kafka, it.url):
            write(kafka, ["A"], 1)
            wait_until(lambda: is_delivered(kafka, {notice_id("A", 1)}), "the receipt", 0.1)
        assert len(it.posts()) == 6
        assert not trap.received


def test_nothing_goes_to_a_bad_certificate_and_all_to_the_renewed_one(kafka: KafkaLike, topics: None) -> None:
    trusted, stranger = trustme.CA(), trustme.CA()
    ids = {notice_id("A", number) for number in (1, 2)}
    faulty = {
        "signed by a stranger": server_tls(stranger, LOOPBACK),
        "of another name": server_tls(trusted, "other.example"),
        "expired": server_tls(trusted, LOOPBACK, ends_at=datetime(2020, 1, 1, tzinfo=UTC)),
    }
    write(kafka, ["A"])
    for context in faulty.values():
        with Receiver(tls=context) as receiver:
            with delivery(kafka, receiver.url, tls=client_tls(trusted)):
                wait_until(lambda: waits_with(kafka, "certificate"), "that it waits for the certificate's sake", 0.1)
            assert not receiver.received
    with Receiver(tls=server_tls(trusted, LOOPBACK)) as receiver:
        with delivery(kafka, receiver.url, tls=client_tls(trusted), timeout_seconds=10):
            wait_until(lambda: is_delivered(kafka, ids), "all receipts", 0.1)
        assert receiver.effects == [notice_id("A", 1), notice_id("A", 2)]


def waits_with(kafka: KafkaLike, reason: str) -> bool:
    """Whether the last entry on the topic of waits names ``reason``."""
    values = [record.value for record in read_topics(kafka.bootstrap, [WAITS_TOPIC]) if record.value]
    return any(reason in catalog().decode(value)[1]["reason"] for value in values)


def test_a_name_that_moves_to_a_private_address_gets_nothing(kafka: KafkaLike, topics: None) -> None:
    names = Names(LOOPBACK)
    # Each answer ends its connection, so that every request asks for the name anew.
    leaving = Status(204, {"Connection": "close"})
    with Receiver(otherwise=leaving) as honest, socket.socket() as trap:
        port = int(honest.url.rpartition(":")[2])
        trap.bind(("127.0.0.2", port))
        trap.listen()
        trap.setblocking(False)
        with delivery(kafka, f"http://department.example:{port}", resolver=lambda: names):
            write(kafka, ["A"], 1)
            wait_until(lambda: is_delivered(kafka, {notice_id("A", 1)}), "the first", 0.1)
            names.addresses = ["127.0.0.2"]
            write(kafka, ["B"], 1)
            wait_until(lambda: waits_with(kafka, "not public"), "that the second waits", 0.1)
            with pytest.raises(BlockingIOError):
                trap.accept()
            names.addresses = [LOOPBACK]
            wait_until(
                lambda: is_delivered(kafka, {notice_id("A", 1), notice_id("B", 1)}), "the second", 0.1
            )
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_what_was_listed_amended_and_removed_while_an_endpoint_was_down_ends_with_nothing_stale(
    kafka: KafkaLike, topics: None
) -> None:
    steps, subjects = ("listed", "amended", "removed"), [f"S{number}" for number in range(12)]
    ids = {notice_id(subject, number) for subject in subjects for number in (1, 2, 3)}
    held: dict[str, int] = {}
    with Receiver() as gone_soon:
        url = gone_soon.url
    producer = new_producer(kafka.bootstrap, client_id="test")
    with delivery(kafka, url):
        for number, step in enumerate(steps, 1):
            for subject in subjects:
                record = notice(subject, number, type=f"blacklist.notice.{step}")
                produce(producer, INBOX, record.value, record.key, headers=record.headers)
            assert producer.flush(30) == 0
        # Nobody listens; what is tried meanwhile fails.
        assert receipts(kafka) == {}

    def choose(received: Received, before: int) -> Act:
        data = json.loads(received.body)["data"]
        if data["event_type"].endswith(".removed"):
            held.pop(data["subject"], None)
        else:
            held[data["subject"]] = data["sequence"]
        # Some of what was taken is not acknowledged, and comes again.
        return Status() if before or int(received.webhook_id[:2], 16) % 3 else Silent()

    with Receiver(choose=choose) as receiver, delivery(kafka, receiver.url):
        wait_until(lambda: is_delivered(kafka, ids), "all receipts", 0.1)
    assert len(receiver.posts()) > len(ids)
    assert held == {}
