"""An inbox that is read again from its beginning, and one whose head no endpoint takes, on a real Kafka."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from fastapi.testclient import TestClient

from hub.bus.reader import read_topics
from hub.delivery.alerts import ALERTS_TOPIC
from hub.delivery.pull import PullBox
from hub.delivery.service import Means, WebhookSender, group_of
from hub.delivery.settings import new_key
from hub.web.app import create_app
from tests.integration import test_pull
from tests.integration.test_delivery_settings import (
    GUARD,
    NAME,
    RECEIPTS,
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
