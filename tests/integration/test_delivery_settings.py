"""Settings of subscriptions on a real Kafka: what a person changes holds at once, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import standardwebhooks

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.clients import new_producer, produce
from hub.bus.follower import Follower
from hub.bus.http_client import HttpClient
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.handshake import shake_hands
from hub.delivery.service import Means, WebhookSender, group_of
from hub.delivery.settings import SETTINGS_TOPIC, SettingsLog, SubscriptionSettings, new_key
from hub.delivery.settings_desk import AnswerKeys, SettingsDesk, SettingsTable
from hub.delivery.waits import WAITS_TOPIC
from hub.domain.vault import Vault
from hub.domain.webhook import parse_public, parse_secret, verify
from hub.errors import InputError
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_delivery import EveryDay, NoIndex
from tests.support_groups import delete_groups
from tests.support_outlets import notice, notice_id
from tests.support_receivers import Raw, Receiver, Status, gone, redirect

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

NAME, RECEIPTS = "procurement", "delivery.receipts.v1"
INBOX = f"inbox.{NAME}"
VAULT, GUARD = Vault(b"made up"), AddressGuard(parse_networks("127.0.0.1"))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def desk(kafka: KafkaLike, create_topics: CreateTopics) -> Iterator[SettingsDesk]:
    create_topics(INBOX, COMMANDS_TOPIC, WAITS_TOPIC, partitions=2)
    create_topics(SETTINGS_TOPIC, partitions=1, config={"cleanup.policy": "compact"})
    create_topics(RECEIPTS, "delivery.dead-letters.v1", partitions=1)
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        yield SettingsDesk(kafka.bootstrap, publisher, SettingsLog(catalog()), now)
    delete_groups(kafka.bootstrap, [group_of(NAME)])


@contextmanager
def delivery(kafka: KafkaLike, **more: Any) -> Iterator[WebhookSender]:
    """Delivery as a process of the hub runs it."""
    sender = WebhookSender(NAME, Means(
        kafka.bootstrap, catalog(), NoIndex(), VAULT, GUARD, EveryDay(), now, "test",
    ), **more)
    table = SettingsTable(
        Follower(kafka.bootstrap, SETTINGS_TOPIC, look_seconds=0.05), SettingsLog(catalog()), sender.use,
        pause_seconds=0.05,
    )
    threads = [threading.Thread(target=each.run) for each in (sender, table)]
    for thread in threads:
        thread.start()
    try:
        yield sender
    finally:
        sender.stop()
        table.stop()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


def write(kafka: KafkaLike, *numbers: int) -> None:
    put(kafka, *(notice("A", number) for number in numbers))


def put(kafka: KafkaLike, *records: Record) -> None:
    producer = new_producer(kafka.bootstrap, client_id="test")
    for record in records:
        produce(producer, INBOX, record.value, record.key, headers=record.headers)
    assert producer.flush(30) == 0


def set_up(url: str, text: str, **more: Any) -> Callable[[SubscriptionSettings], SubscriptionSettings]:
    def apply(current: SubscriptionSettings) -> SubscriptionSettings:
        return replace(current.with_key(text, VAULT, now()), url=url, is_verified=True, **more)

    return apply


def change(desk: SettingsDesk, **news: Any) -> SubscriptionSettings:
    return desk.change(NAME, lambda current: replace(current, **news), by="李四", reason="试验")


def is_delivered(kafka: KafkaLike, *numbers: int) -> bool:
    found = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS])]
    return {each["notice_id"] for each in found if each["status"] == "delivered"} == {
        notice_id("A", number) for number in numbers
    }


def test_an_address_a_pause_and_a_new_key_hold_at_once(kafka: KafkaLike, desk: SettingsDesk) -> None:
    first, second = new_key("hmac"), new_key("ed25519")
    with Receiver() as receiver, Receiver() as other, delivery(kafka) as sender:
        write(kafka, 1)
        desk.change(NAME, set_up(receiver.url, first), by="李四", reason="首次设置")
        wait_until(partial(is_delivered, kafka, 1), "the first", 0.1)
        change(desk, is_paused=True)
        wait_until(lambda: sender.blocked == "paused by a person", "the pause", 0.05)
        write(kafka, 2)
        desk.change(
            NAME, lambda current: replace(
                current.with_key(second, VAULT, now(), keep=timedelta(hours=1)), url=other.url, is_paused=False
            ), by="李四", reason="更换",
        )
        wait_until(partial(is_delivered, kafka, 1, 2), "the second", 0.1)
    assert receiver.effects == [notice_id("A", 1)]
    (post,) = other.posts()
    standardwebhooks.Webhook(first).verify(post.body, dict(post.headers))
    public = parse_secret(second).public
    assert public is not None
    verify([parse_public(public)], post.headers, post.body, now())


def test_a_pause_keeps_the_queue(kafka: KafkaLike, desk: SettingsDesk) -> None:
    with Receiver() as receiver:
        desk.change(NAME, set_up(receiver.url, new_key("hmac"), is_paused=True), by="李四", reason="首次设置")
        with delivery(kafka) as sender:
            write(kafka, 1, 2, 3)
            change(desk, contact="值班席")
            wait_until(lambda: sender.blocked == "paused by a person", "the pause", 0.05)
            assert receiver.received == []
            change(desk, is_paused=False)
            wait_until(partial(is_delivered, kafka, 1, 2, 3), "all", 0.1)
        assert receiver.effects == [notice_id("A", number) for number in (1, 2, 3)]


def test_an_endpoint_that_is_gone_is_left_alone_until_a_person_sets_another(
    kafka: KafkaLike, desk: SettingsDesk
) -> None:
    with Receiver(otherwise=gone()) as old, Receiver() as new:
        desk.change(NAME, set_up(old.url, new_key("hmac")), by="李四", reason="首次设置")
        with delivery(kafka):
            write(kafka, 1, 2)
            wait_until(lambda: desk.read()[NAME].disabled_reason is not None, "that it is disabled", 0.1)
            write(kafka, 3)
            asked = len(old.posts())
            assert asked == 1
        disabled = desk.read()[NAME]
        assert (disabled.changed_by, disabled.disabled_reason) == ("hub", "HTTP 410: the endpoint is gone")
        # Also another process, which was never told by the endpoint itself, does not ask it.
        with delivery(kafka) as sender:
            write(kafka, 4)
            wait_until(lambda: "410" in (sender.blocked or ""), "that it knows", 0.05)
            change(desk, url=new.url, disabled_reason=None)
            wait_until(partial(is_delivered, kafka, 1, 2, 3, 4), "all", 0.1)
        assert len(old.posts()) == asked
        assert new.effects == [notice_id("A", number) for number in (1, 2, 3, 4)]


def test_changes_at_the_same_time_are_all_kept(kafka: KafkaLike, desk: SettingsDesk) -> None:
    news: list[dict[str, Any]] = [
        {"contact": "值班席"}, {"rate_per_minute": 60}, {"office_hours": "08:30-12:00"}, {"is_paused": True},
    ]
    # All of them see the same settings before the first one writes.
    barrier, seen = threading.Barrier(len(news)), threading.local()

    def apply(current: SubscriptionSettings, each: dict[str, Any]) -> SubscriptionSettings:
        if not getattr(seen, "once", False):
            seen.once = True
            barrier.wait(30)
        return replace(current, **each)

    threads = [
        threading.Thread(
            target=desk.change, args=(NAME, partial(apply, each=each)), kwargs={"by": "甲", "reason": "并发"}
        )
        for each in news
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = desk.read()[NAME]
    assert {name: getattr(found, name) for each in news for name in each} == {
        name: value for each in news for name, value in each.items()
    }
    assert found.revision == len(news)


def test_the_file_of_addresses_gives_way_to_what_a_person_changed(kafka: KafkaLike, desk: SettingsDesk) -> None:
    def entries(url: str) -> dict[str, Any]:
        return {NAME: lambda current: replace(current, url=url)}

    def fits(url: str) -> Callable[[str, SubscriptionSettings], bool]:
        return lambda name, current: current.url == url

    assert desk.publish_file(entries("http://a.example"), fits("http://a.example"))[NAME].revision == 1
    assert desk.publish_file(entries("http://a.example"), fits("http://a.example"))[NAME].revision == 1
    assert desk.publish_file(entries("http://b.example"), fits("http://b.example"))[NAME].url == "http://b.example"
    change(desk, url="http://c.example")
    assert desk.publish_file(entries("http://b.example"), fits("http://b.example"))[NAME].url == "http://c.example"


def test_a_change_needs_a_reason(desk: SettingsDesk) -> None:
    with pytest.raises(InputError, match="reason"):
        desk.change(NAME, lambda current: current, by="李四", reason="  ")
    assert desk.read() == {}


def test_answers_are_verified_by_the_settings_in_force(kafka: KafkaLike, desk: SettingsDesk) -> None:
    text = new_key("hmac")
    table = SettingsTable(Follower(kafka.bootstrap, SETTINGS_TOPIC, look_seconds=0.0), SettingsLog(catalog()))
    keys = AnswerKeys(table, VAULT, now)
    assert keys(NAME) == []
    desk.change(NAME, set_up("http://a.example", text, receiver_keys=("whpk_x",)), by="李四", reason="首次设置")

    def are_known() -> bool:
        table.look()
        return keys(NAME) == [text, "whpk_x"]

    wait_until(are_known, "the keys", 0.05)


@pytest.mark.parametrize(("act", "said"), [
    (Status(204), "without the challenge"), (Status(200, body=b'{"challenge": "x"}'), "without the challenge"),
    (Status(200, body=b"[1]"), "without the challenge"), (Status(200, body=b"["), "without the challenge"),
    (Status(404), "HTTP 404"), (Status(500), "HTTP status 500"), (redirect("http://127.0.0.1:9/"), "HTTP status 307"),
    (Raw(b"no\r\n\r\n"), "no HTTP answer"),
])  # fmt: skip
def test_who_does_not_give_the_challenge_back_gets_nothing(act: Any, said: str) -> None:
    with Receiver(otherwise=act, echoes=False) as receiver, pytest.raises(InputError, match=said):
        asyncio.run(ask(receiver.url))


def test_who_gives_the_challenge_back_has_agreed() -> None:
    text = new_key("ed25519")
    with Receiver(keys=[parse_secret(text)]) as receiver:
        asyncio.run(ask(receiver.url, text))
        assert [post.is_genuine for post in receiver.posts()] == [True]
    with pytest.raises(InputError, match="not connected"):
        asyncio.run(ask("http://127.0.0.2:9/"))


async def ask(url: str, text: str | None = None) -> None:
    client = HttpClient(now, guard=GUARD)
    try:
        await shake_hands(client, url, [parse_secret(text or new_key("hmac"))], NAME, now)
    finally:
        await client.close()
