"""``hub replay`` on a real Kafka: to one subscription, in order, marked, after a second person, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from hub.bus.reader import read_topics
from hub.cli.main import build
from hub.delivery.replays import replay_id
from hub.delivery.settings import new_key
from hub.ops.acts import ACTS_TOPIC
from hub.routing.holdings import HOLDINGS
from tests.integration.test_delivery_replay import ends
from tests.integration.test_delivery_settings import INBOX, NAME, delivery, desk, put, set_up
from tests.support_clock_load import wait_until
from tests.support_contracts import catalog
from tests.support_outlets import notice, notice_id
from tests.support_receivers import Receiver
from tests.unit.test_routing import hub_map

if TYPE_CHECKING:
    from hub.contracts.map import HubMap
    from hub.delivery.settings_desk import SettingsDesk
    from tests.conftest import CreateTopics, KafkaLike

__all__ = ["desk"]
OTHER = "inbox.works-bidding"
#: What a replay must not touch: what becomes public, what clocks and routing hold, what others receive.
ELSEWHERE = (OTHER, "disclosure.orders.v1", "disclosure.receipts.v1", "clock.signals.v1", "clock.states.v1", HOLDINGS)
RANGE = ["--subscription", NAME, "--from", "2026-01-01", "--to", "2199-01-01"]
BECAUSE = ["--reason", "接收系统恢复到昨日备份"]


class Hub:
    def __init__(self, kafka: KafkaLike) -> None:
        self.kafka = kafka

    def run(self, *arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(build([arguments[0]]), list(arguments))
        assert result.exit_code == code, result.output
        # Delivery runs in threads of this process: what it logs may stand before the answer.
        return result.output

    def json(self, *arguments: str, code: int = 0) -> Any:
        output = self.run("replay", *arguments, "--json", code=code)
        return json.loads(output[output.index("{\n") :])

    def count(self, *topics: str) -> int:
        return sum(1 for _ in read_topics(self.kafka.bootstrap, topics))


@pytest.fixture
def hub(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    create_topics(ACTS_TOPIC, *ELSEWHERE, partitions=1)
    for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"HUB_{name}", value)

    def with_procurement(settings: object, of: object) -> HubMap:
        found = hub_map()
        first = next(iter(found.subscriptions.values()))
        monkeypatch.setitem(found.subscriptions, NAME, first)
        monkeypatch.setitem(found.subscriptions, "direct", first.model_copy(update={"delivery": "kafka"}))
        return found

    monkeypatch.setattr("hub.wiring.acts.open_catalog", lambda settings: catalog())
    monkeypatch.setattr("hub.wiring.acts.open_map", with_procurement)
    yield Hub(kafka)


def approve(hub: Hub, request: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as somebody:
        somebody.setattr("hub.cli.on_record.machine_user", lambda: "wangwu")
        hub.run("acts", "approve", request, "--reason", "属实")


def test_what_holds_is_sent_again_once_in_order_and_nothing_else_moves(
    kafka: KafkaLike, hub: Hub, desk: SettingsDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        desk.change(NAME, set_up(receiver.url, new_key("hmac")), by="李四", reason="首次设置")
        with delivery(kafka):
            put(kafka, notice("A", 1), notice("A", 2, fact="another-of-A"), notice("B", 3),
                notice("B", 4, action="amend", type="blacklist.notice.amended"), notice("C", 5))
            put(kafka, notice("C", 6, action="lift", type="blacklist.notice.removed"))
            wait_until(lambda: len(ends(kafka)) == 6, "all that came first", 0.1)
        first = list(receiver.effects)
        elsewhere = hub.count(*ELSEWHERE)

        # While nothing delivers: what came since is on its way anyway.
        put(kafka, notice("D", 7))
        seen = hub.json(*RANGE, "--dry-run")
        assert {name: seen[name] for name in ("count", "superseded", "under_way", "unreadable")} == {
            "count": 4, "superseded": 2, "under_way": 1, "unreadable": 0,
        }  # fmt: skip
        assert seen["oldest"] <= seen["newest"] and sum(seen["by_type"].values()) == 4
        removed = hub.json(*RANGE, "--dry-run", "--event-type", "blacklist.notice.removed")
        assert removed["by_type"] == {"blacklist.notice.removed": 1}
        assert hub.json(*RANGE, "--dry-run", "--with-superseded")["count"] == 6
        assert hub.json("--subscription", NAME, "--from", "2026-01-01", "--to", "2026-01-02", "--dry-run")["count"] == 0

        request = hub.json(*RANGE, *BECAUSE, code=1)["request"]
        hub.run("replay", "--request", request, code=1)
        assert hub.count(INBOX) == 7, "nothing is written before somebody else agreed"
        approve(hub, request, monkeypatch)
        # What is taken back between the approval and the doing is left out, too.
        put(kafka, notice("A", 8, action="lift", type="blacklist.notice.removed", fact="another-of-A"))
        done = hub.json("--request", request)
        assert (done["count"], done["superseded"]) == (3, 3)
        hub.run("replay", "--request", request, code=1)

        again = {replay_id(notice_id(*which), request) for which in (("A", 1), ("B", 4), ("C", 6))}
        with delivery(kafka):
            wait_until(lambda: len(ends(kafka)) == 6 + 2 + 3, "the replays", 0.1)
        came = receiver.effects[len(first):]
        assert set(came) == {notice_id("D", 7), notice_id("A", 8), *again} and len(came) == 5
        assert came.index(notice_id("A", 8)) < came.index(replay_id(notice_id("A", 1), request)), "as in the inbox"
    statuses = ends(kafka)
    assert {statuses[id] for id in again} == {"replayed"}
    assert all(statuses[id] == "delivered" for id in first)
    assert hub.count(*ELSEWHERE) == elsewhere
    acts = [catalog().decode(record.value or b"")[1] for record in read_topics(kafka.bootstrap, [ACTS_TOPIC])]
    assert [(act["kind"], act["target"], act["state"]) for act in acts] == [
        ("notices.replay", NAME, state) for state in ("asked", "approved", "done")
    ]
    assert acts[-1]["outcome"].startswith("3 put into the inbox again, 3 superseded")


def test_a_replay_that_was_cut_off_goes_on_where_it_stopped(
    kafka: KafkaLike, hub: Hub, desk: SettingsDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        desk.change(NAME, set_up(receiver.url, new_key("hmac")), by="李四", reason="首次设置")
        with delivery(kafka):
            put(kafka, *(notice(f"S{number}", number) for number in range(1, 6)))
            wait_until(lambda: len(ends(kafka)) == 5, "all", 0.1)
    request = hub.json(*RANGE, *BECAUSE, code=1)["request"]
    approve(hub, request, monkeypatch)

    class CutOff(Exception):
        """The process ends here."""

    def cut(self: Any, plan: Any, request_id: str) -> int:
        from hub.delivery.replays import to_replay

        for record, id in plan.records[:2]:
            self._publisher.publish([to_replay(record, id, request_id, plan.known[record.partition])])
        raise CutOff

    with monkeypatch.context() as broken:
        broken.setattr("hub.delivery.replay_desk.ReplayDesk.write", cut)
        result = CliRunner().invoke(build(["replay"]), ["replay", "--request", request])
        assert isinstance(result.exception, CutOff)
    assert hub.count(INBOX) == 5 + 2
    done = hub.json("--request", request)
    assert (done["count"], done["done_before"]) == (3, 2) and hub.count(INBOX) == 5 + 5
    ids = {dict(record.headers)["ce_id"] for record in read_topics(kafka.bootstrap, [INBOX])}
    assert len(ids) == 10


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "--subscription"), (["--subscription", "nobody", *RANGE[2:]], "no subscription"),
    (["--subscription", NAME, "--from", "2026-03-02", "--to", "2026-03-01"], "ends before it begins"),
    (["--subscription", NAME, "--from", "yesterday", "--to", "2026-03-01"], "yesterday"),
    ([*RANGE, "--reason", " "], "--reason must say why"),
    (["--subscription", "direct", *RANGE[2:]], "reads its inbox itself"),
    (["--request", "x", *RANGE], "name nothing else"),
])  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_asked(
    hub: Hub, create_topics: CreateTopics, arguments: list[str], said: str
) -> None:
    assert said in hub.run("replay", *arguments, code=2)
    assert hub.count(ACTS_TOPIC) == 0
