"""``hub rebuild`` on a real Kafka and Valkey: the index is what the topic says."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import redis
import structlog
from typer.testing import CliRunner

from hub.bus.lane import Lane
from hub.cli.main import build
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import ALERTS, INPUTS, STATES
from hub.state.due_index import DueIndex
from tests.chaos.clocks_process import RULES
from tests.support_clock_load import Load, read_alerts
from tests.support_clocks import CALENDARS, at
from tests.support_contracts import catalog

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, IndexLike, KafkaLike

NOW = at("2026-10-12")


def test_rebuild_mends_what_verify_names(
    kafka: KafkaLike, valkey: IndexLike, redis_client: redis.Redis, create_topics: CreateTopics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_topics(*INPUTS, ALERTS, "clocks.dead-letters.v1")
    create_topics(STATES, config={"cleanup.policy": "compact"})
    create_topics("audit.acts.v1", partitions=1)
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("HUB_REDIS_INDEX_URL", valkey.url)
    monkeypatch.setattr("hub.wiring.clocks.open_map", lambda *_: SimpleNamespace(clocks=RULES))
    index, load = DueIndex(redis_client), Load(1)
    # Due an hour or more after NOW: nothing of them is said in this test.
    load.write(kafka.bootstrap, 240, NOW + timedelta(hours=40), 0, 60)
    written = sum(len(signals) for signals, _ in load.clocks.values())

    def stage() -> ClocksStage:
        return ClocksStage(
            rules=RULES, calendars=CALENDARS, catalog=catalog(), loader=KafkaStateLoader(kafka.bootstrap),
            index=index, map_version="m1",
        )

    Lane(
        stage(), name="clocks", topics=INPUTS, group="clocks-rebuild", bootstrap=kafka.bootstrap, now=lambda: NOW,
        stop_when=lambda metrics: metrics.records >= written,
    ).run()

    def verify(code: int) -> dict[str, object]:
        result = CliRunner().invoke(build(["rebuild"]), ["rebuild", "--verify", "--json"])
        assert result.exit_code == code, result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    def content() -> dict[int, dict[str, int]]:
        return {partition: dict(index.members(partition)) for partition in range(12)}

    whole = content()
    right = verify(0)
    assert right["is_same"] and right["topic_digest"] == right["index_digest"]

    (lost, *_, moved) = whole[3]
    index.put(3, {lost: None, moved: whole[3][moved] + 1, "nobody": 1})
    broken = content()
    wrong = verify(1)
    assert wrong["topic_digest"] == right["topic_digest"] != wrong["index_digest"]
    partitions = wrong["partitions"]
    assert isinstance(partitions, list)
    assert [each["partition"] for each in partitions if each["topic_digest"] != each["index_digest"]] == [3]
    assert (partitions[3]["missing"], partitions[3]["extra"]) == ([1, [lost]], [1, ["nobody"]])
    assert partitions[3]["moved"] == [1, [moved]]
    assert content() == broken

    redis_client.delete("hub:clocks:due:5")
    assert CliRunner().invoke(build(["rebuild"]), ["rebuild"]).exit_code == 0
    assert content() == whole
    assert verify(0) == right

    # Beside a stage that runs the index is dropped, and the stage writes it.
    monkeypatch.setattr("hub.wiring.clocks.has_members", lambda *_: True)
    structlog.reset_defaults()  # the runner of commands has closed what they were told to log to
    lane = Lane(
        stage(), name="clocks", topics=INPUTS, group="clocks-rebuild", bootstrap=kafka.bootstrap, tick_seconds=0.25,
        now=lambda: NOW,
    )
    thread = threading.Thread(target=lane.run)
    thread.start()
    try:
        answer = CliRunner().invoke(build(["rebuild"]), ["rebuild", "--json"])
    finally:
        lane.stop()
        thread.join(60)
    assert answer.exit_code == 0, answer.output
    assert content() == whole
    assert not read_alerts(kafka.bootstrap)
