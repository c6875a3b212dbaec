"""An inbox that is read again from its beginning, and one whose head no endpoint takes, on a real Kafka."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.testclient import TestClient

from hub.bus.reader import read_topics
from hub.delivery.alerts import ALERTS_TOPIC
from hub.delivery.answers import AnswerDesk
from hub.delivery.filedrop.box import Packing
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.sender import Drop, WebhookOrFileSender
from hub.delivery.pull import PullBox
from hub.delivery.service import Means, WebhookSender, group_of
from hub.delivery.settings import SubscriptionSettings, new_key
from hub.web.app import create_app
from tests import support_filedrop as filedrop
from tests.integration import test_pull
from tests.integration.test_delivery_settings import (
    GUARD,
    NAME,
    RECEIPTS,
    VAULT,
    delivery,
    desk,
    now,
    put,
    set_up,
)  # fmt: skip
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_delivery import EveryDay, NoIndex
from tests.support_groups import delete_groups
from tests.support_outlets import notice, notice_id
from tests.support_receivers import Receiver, Status

if TYPE_CHECKING:
    from hub.delivery.settings_desk import SettingsDesk
    from tests.conftest import CreateTopics, KafkaLike

__all__ = ["desk"]


class Nobody:
    """Knows no notice: nobody answers here."""

    def get(self, notice_id: str) -> None:
        return None


def ends(kafka: KafkaLike) -> dict[str, str]:
    """Notice -> how its delivery ended last."""
    found = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS])]
    return {each["notice_id"]: each["status"] for each in found}


def has_ended(kafka: KafkaLike, count: int) -> bool:
    return len(ends(kafka)) == count


def fetch(department: test_pull.Department, taken: list[str]) -> int:
    """Takes what is offered and acknowledges it; how many there were so far."""
    sets = department.ask()["sets"]
    if sets:
        department.take(sets)
        taken.extend(id for id in sets if id not in taken)
        department.ask(ack=list(sets), maxEvents=0)
    return len(taken)


def test_an_inbox_that_is_read_again_sends_nothing_of_a_removed_listing(kafka: KafkaLike, desk: SettingsDesk) -> None:
    with Receiver() as receiver:
        desk.change(NAME, set_up(receiver.url, new_key("hmac")), by="李四", reason="首次设置")
        with delivery(kafka):
            put(kafka, notice("A", 1), notice("A", 2, action="amend", type="blacklist.notice.amended"))
            wait_until(partial(has_ended, kafka, 2), "the listing", 0.1)
            put(kafka, notice("A", 3, action="lift", type="blacklist.notice.removed"), notice("B", 4))
            wait_until(partial(has_ended, kafka, 4), "the removal", 0.1)
        assert receiver.effects == [notice_id("A", 1), notice_id("A", 2), notice_id("A", 3), notice_id("B", 4)]
        came = len(receiver.received)
        # An operator takes the group's position away: all is read again.
        delete_groups(kafka.bootstrap, [group_of(NAME)])
        with delivery(kafka):
            wait_until(lambda: len(receiver.received) == came + 2, "what still holds", 0.1)
            wait_until(lambda: ends(kafka)[notice_id("A", 1)] == "superseded", "the listing", 0.1)
            wait_until(lambda: ends(kafka)[notice_id("A", 2)] == "superseded", "its amendment", 0.1)
        assert {post.headers["webhook-id"] for post in receiver.received[came:]} == {
            notice_id("A", 3), notice_id("B", 4)
        }


def test_what_a_dead_endpoint_does_not_take_is_fetched_before_its_period_ends(
    kafka: KafkaLike, create_topics: CreateTopics, desk: SettingsDesk
) -> None:
    create_topics(ALERTS_TOPIC, partitions=1)
    by = now() + timedelta(hours=5)
    with Receiver(otherwise=Status(503)) as receiver:
        box = PullBox(now, resend_seconds=0.3)
        sender = WebhookSender(
            NAME, Means(kafka.bootstrap, catalog(), NoIndex(), test_pull.VAULT, GUARD, EveryDay(), now, "test"),
            other=(box, "pull"),
        )
        sender.use(replace(test_pull.Desk().settings, url=receiver.url, is_verified=True))
        thread = threading.Thread(target=sender.run)
        thread.start()
        try:
            app = create_app([("", test_pull.router_of(test_pull.Desk(), {NAME: sender.puller(box)}))])
            with TestClient(app) as client:
                put(kafka, *(notice("A", n, deliver_by=by) for n in (1, 2)), notice("B", 3, deliver_by=by),
                    notice("C", 4, deliver_by=by + timedelta(days=30)))
                taken: list[str] = []
                department = test_pull.Department(client)
                wait_until(lambda: fetch(department, taken) == 3, "all that is urgent", 0.1)
        finally:
            sender.stop()
            thread.join(30)
            assert not thread.is_alive()
    assert [id for id in taken if id != notice_id("B", 3)] == [notice_id("A", 1), notice_id("A", 2)]
    assert receiver.effects == []
    alerts = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [ALERTS_TOPIC])]
    assert {alert["kind"] for alert in alerts} == {"fell-back"}
    assert notice_id("C", 4) not in {alert["notice_id"] for alert in alerts}
    receipts = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS])]
    assert {(each["notice_id"], each["status"], each["method"]) for each in receipts} == {
        (id, "delivered", "pull") for id in taken
    }


def test_what_a_dead_endpoint_does_not_take_goes_into_the_folder_before_its_period_ends(
    kafka: KafkaLike, create_topics: CreateTopics, desk: SettingsDesk, tmp_path: Path
) -> None:
    create_topics(ALERTS_TOPIC, partitions=1)
    by, key = now() + timedelta(hours=5), new_key("hmac")
    desk_of_answers = AnswerDesk(catalog(), Nobody(), lambda name: [], now)
    drop = Drop(
        tmp_path, filedrop.columns(), desk_of_answers, Nobody(), Packing(window_seconds=0.1), Timing(0.05, 0.05, 0.0)
    )
    with Receiver(otherwise=Status(503)) as receiver:
        sender = WebhookOrFileSender(
            NAME, Means(kafka.bootstrap, catalog(), NoIndex(), VAULT, GUARD, EveryDay(), now, "test"), drop
        )
        sender.use(set_up(receiver.url, key)(SubscriptionSettings(NAME)))
        thread = threading.Thread(target=sender.run)
        thread.start()
        try:
            put(kafka, notice("A", 1, deliver_by=by), notice("A", 2, deliver_by=by), notice("B", 3, deliver_by=by))
            clerk = filedrop.Department(tmp_path / NAME, key)
            read: set[str] = set()
            wait_until(lambda: acknowledge(clerk, read) == {notice_id("A", 1), notice_id("A", 2), notice_id("B", 3)},
                       "all in packages", 0.1)
            wait_until(partial(has_ended, kafka, 3), "the receipts", 0.1)
        finally:
            sender.stop()
            thread.join(30)
            assert not thread.is_alive()
    assert receiver.effects == []
    receipts = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [RECEIPTS])]
    assert {(each["status"], each["method"], each["file"] is not None) for each in receipts} == {
        ("delivered", "file", True)
    }


def acknowledge(clerk: filedrop.Department, read: set[str]) -> set[str]:
    """Reads what lies in the folder and says of each package that it came; ids so far."""
    for package in clerk.packages():
        if not package.notices.keys() <= read:
            read.update(package.notices)
            clerk.put(f"{package.name}.ack.json", {"received": "all"})
    return read
