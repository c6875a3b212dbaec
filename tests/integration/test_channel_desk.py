"""The console's desk of channels on a real log: the ledger says what is stuck, and it is given again from there."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis
from confluent_kafka.cimpl import NewTopic

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.disclosure.book import fold
from hub.disclosure.status import ChannelStatus
from hub.domain.acts import Actor
from hub.errors import InputError
from hub.ops.acts import ACTS_TOPIC
from hub.wiring.acts import acts_desk
from hub.wiring.channel_notes import ChannelNotes, StatusNotes
from hub.wiring.channels import channel_desk
from hub.wiring.parts import open_map
from tests.conftest import IndexLike, KafkaLike
from tests.support_browser import site_settings
from tests.support_contracts import catalog
from tests.support_ledger import has_read, held_against_log, ledger_topics, running, service, wait_until, write
from tests.support_outlets import order
from tests.support_topics import having
from tests.unit.test_disclosure_book import answered

WHO = Actor("night-watch", "console")


def test_what_is_stuck_is_given_again_from_the_log_by_who_and_why(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path
) -> None:
    settings = site_settings(kafka.bootstrap, valkey.url, tmp_path)
    records = [
        *answered(order("A", 1), "published"),
        *answered(order("A", 2, action="withdraw"), "refused", None, reason="权限不足"),
        *answered(order("B", 1), "published"), order("C", 1),
    ]
    with (
        ledger_topics(kafka.bootstrap), having(kafka.bootstrap, [], NewTopic(ACTS_TOPIC, 1, -1)),
        closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher,
        running(service(kafka.bootstrap, redis_client)), ExitStack() as kept,
    ):
        write(kafka.bootstrap, (Output(each.topic, each.key, each.value, each.headers) for each in records))
        wait_until(lambda: has_read(redis_client, len(records)), "all records")
        acts = acts_desk(settings, publisher)
        desk = kept.enter_context(closing(channel_desk(settings, open_map(settings), catalog(), publisher, acts)))
        assert {name: count for name, count in desk.counts("website").items() if count} == {
            "stuck": 1, "public": 1, "waiting": 1,
        }
        (stuck,) = desk.page("website", "stuck").entries
        with pytest.raises(InputError, match="any more"):
            desk.give_again("website", ["entity-B"], WHO, "误选")
        with pytest.raises(InputError, match="hub disclosure withdraw website"):
            desk.give_again("website", ["entity-nowhere"], WHO, "误选")
        assert acts_desk(settings, publisher).read() == []
        assert desk.give_again("website", [], WHO, "已恢复权限") == 1
        wait_until(lambda: desk.counts("website").get("waiting") == 2, "the order that was given again")
        assert desk.page("website", "stuck").entries == []
        with pytest.raises(InputError, match="any more"):
            desk.give_again("website", [stuck.correlation_id], WHO, "再次")
        (act,) = acts_desk(settings, publisher).read()
        assert (act.asked.kind, act.asked.actor, act.asked.target, act.state) == (
            "disclosure.withdraw", "night-watch", "website", "done",
        )
        orders = list(read_topics(kafka.bootstrap, ["disclosure.orders.v1", "disclosure.receipts.v1"]))
        state = next(each for each in fold(orders, catalog()) if each.correlation_id == stuck.correlation_id)
        last = state.steps[-1]
        assert (last.action, last.sequence, last.asked_by, last.asked_why, state.standing) == (
            "withdraw", 2, "night-watch", "已恢复权限", "waiting",
        )
        assert held_against_log(kafka.bootstrap, redis_client).is_same


def test_how_a_sender_stands_is_noted_while_it_runs(redis_client: redis.Redis) -> None:
    class Sender:
        status = ChannelStatus("open", 12.5, 3, "HTTP 503")

    notes = ChannelNotes(redis_client)
    assert notes.status("gsxt") is None and notes.reconciled("gsxt") is None
    with running(StatusNotes({"gsxt": Sender()}, notes)):
        wait_until(lambda: notes.status("gsxt") is not None, "the note")
    assert notes.status("gsxt") == Sender.status
    assert redis_client.pttl("hub:disclosure:status:gsxt") > 0
