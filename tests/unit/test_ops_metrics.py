"""What Prometheus is told, and that alerts and dashboard ask for nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from hub.domain.at_risk import AtRisk
from hub.domain.lag import GroupLook, Member, PlaceLook, judge
from hub.errors import BrokerError, IndexUnavailableError, InfrastructureError
from hub.ops.metrics import GAUGES, HubCollector, MetricsServer, exported_names
from hub.ops.service import OpsService
from hub.ops.snapshot import Snapshot, group_state, risks_of
from hub.ops.spans.figures import SpanFigures
from hub.settings import PROJECT_ROOT

NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)
RULES = PROJECT_ROOT / "deploy" / "prometheus" / "hub.rules.yml"
DASHBOARD = PROJECT_ROOT / "deploy" / "grafana" / "hub.json"
MEMBER = Member("m-1", "routing", "10.0.0.7", frozenset((("t", 0),)))
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def snapshot() -> Snapshot:
    """One group that was overtaken by retention on partition 0 and is behind on 1; one that nobody is in."""
    written = NOW - timedelta(seconds=30)
    first = GroupLook("hub-routing", NOW - timedelta(seconds=10), (
        PlaceLook("t", 0, 0, 10, 2, 2, written), PlaceLook("t", 1, 0, 10, 1, 1, written)
    ), (MEMBER,))
    last = first._replace(at=NOW, places=(
        PlaceLook("t", 0, 5, 10, 2, 5, written), PlaceLook("t", 1, 0, 12, 6, 6, written)
    ))
    stopped = GroupLook("hub-clocks", NOW, (PlaceLook("u", 0, 0, 4, None, 0, written),), is_simple=True)
    risks = [
        AtRisk(f"clock-{n}", "disclose-penalty", f"subject-{n}", NOW, "hub-routing", None, n == 0) for n in range(3)
    ]
    counted, named = risks_of(risks)
    return Snapshot(
        NOW, [group_state(judge([first, last]), 7), group_state(judge([stopped]), 0)], counted, named,
        dead_letters={"routing.dead-letters.v1": 2}, silent_sources=["gannan-market"],
        probes={"gsxt": {"delivered": 0.25, "answered": None}},
    )


def scraped(*collectors: Collector) -> Figures:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return figures(generate_latest(registry).decode())


def figures(text: str) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
    }


def one(found: Figures, name: str, **labels: str) -> float:
    """The one sample of a name that has these labels."""
    (value,) = [v for (n, have), v in found.items() if n == name and set(labels.items()) <= have]
    return value


@pytest.fixture
def found() -> Figures:
    collector = HubCollector()
    collector.put(snapshot(), 0.125)
    spans = SpanFigures()
    spans.hold(5)
    spans.taken(5, 2)
    spans.hold(4)
    return scraped(collector, spans)


def test_names_of_kafka_lag_exporter_count_as_kafka_does(found: Figures) -> None:
    place = {"cluster_name": "hub", "group": "hub-routing", "topic": "t", "partition": "0"}
    labels = frozenset({**place, "member_host": "10.0.0.7", "consumer_id": "m-1", "client_id": "routing"}.items())
    # Three offsets were gone before they were read: Kafka counts them, 10 - 2.
    assert found["kafka_consumergroup_group_lag", labels] == 8
    assert found["kafka_consumergroup_group_offset", labels] == 2
    assert found["kafka_consumergroup_group_lag_seconds", labels] == 30
    assert one(found, "kafka_consumergroup_group_max_lag", group="hub-routing", is_simple_consumer="false") == 8
    assert one(found, "kafka_consumergroup_group_max_lag", group="hub-clocks", is_simple_consumer="true") == 4
    assert one(found, "kafka_consumergroup_group_max_lag_seconds", group="hub-routing") == 30
    assert one(found, "kafka_consumergroup_group_sum_lag", group="hub-routing") == 14
    assert one(found, "kafka_consumergroup_group_topic_sum_lag", group="hub-routing", topic="t") == 14
    assert one(found, "kafka_partition_latest_offset", topic="t", partition="1") == 12
    assert one(found, "kafka_partition_earliest_offset", topic="t", partition="0") == 5
    assert one(found, "kafka_consumergroup_poll_time_ms", cluster_name="hub") == 125
    # A group that never committed has no offset, and no member is no label left out.
    assert not [name for name, have in found if name.endswith("group_offset") and ("group", "hub-clocks") in have]


def test_the_hub_s_own_names_count_what_can_be_read(found: Figures) -> None:
    routing = {"stage": "routing", "group": "hub-routing"}
    assert one(found, "hub_stage_unread_records", **routing) == 11
    assert one(found, "hub_stage_lost_records", **routing) == 3
    assert one(found, "hub_stage_drained_records_per_second", **routing) == 0.5
    assert one(found, "hub_stage_arrived_records_per_second", **routing) == 0.2
    assert one(found, "hub_stage_drain_seconds", **routing) == 22
    assert one(found, "hub_stage_catch_up_seconds", group="hub-clocks", stage="clocks") == inf
    verdicts = {dict(have)["verdict"]: v for (n, have), v in found.items()
                if n == "hub_stage_verdict" and ("group", "hub-clocks") in have}
    assert verdicts == {"ok": 0, "behind": 0, "waits": 0, "stalled": 0, "stopped": 1}
    assert one(found, "hub_deadlines_at_risk", rule="disclose-penalty", group="hub-routing") == 3
    assert one(found, "hub_deadlines_at_risk_late", rule="disclose-penalty") == 1
    assert one(found, "hub_deadlines_unseen_records", group="hub-routing") == 7
    assert one(found, "hub_dead_letters", topic="routing.dead-letters.v1") == 2
    assert one(found, "hub_source_silent", source="gannan-market") == 1
    assert one(found, "hub_probe_latency_seconds", outlet="gsxt", stage="delivered") == 0.25
    assert one(found, "hub_probe_up", outlet="gsxt") == 0
    assert not [have for name, have in found if name == "hub_probe_latency_seconds" and ("stage", "answered") in have]


def test_spans_are_counted_as_taken_refused_and_in_hand(found: Figures) -> None:
    assert one(found, "hub_spans_exported_total") == 3
    assert one(found, "hub_spans_refused_total") == 2
    assert one(found, "hub_spans_unsent") == 4


def test_every_gauge_is_exported_and_no_id_is_a_label(found: Figures) -> None:
    assert {name for name, _ in found} == exported_names()
    text = repr(list(found))
    assert "clock-0" not in text and "subject-0" not in text
    for name, (_, labels) in GAUGES.items():
        assert {frozenset(label for label, _ in have) for n, have in found if n == name} == {frozenset(labels)}, name


def test_after_a_look_that_failed_there_are_no_old_figures() -> None:
    collector = HubCollector()
    collector.put(snapshot(), 0.1)
    collector.fail()
    assert {name: value for (name, _), value in scraped(collector).items()} == {
        "hub_observation_up": 0, "hub_observation_failures_total": 1
    }


# -- the service -------------------------------------------------------------------------------


class Looking:
    """Fails, then sees, then is told to stop whoever asks."""

    def __init__(self, *answers: Snapshot | Exception) -> None:
        self.answers, self.is_closed = list(answers), False
        self.stop: Callable[[], None] = lambda: None

    def look(self) -> Snapshot:
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True


class Store:
    def __init__(self, *faults: Exception | None) -> None:
        self.faults, self.kept = list(faults), list[tuple[dict[str, Any], float]]()

    def put(self, value: dict[str, Any], *, seconds: float) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.kept.append((value, seconds))


def test_a_look_that_fails_and_a_redis_that_is_away_end_nothing() -> None:
    looking = Looking(BrokerError("away"), snapshot(), snapshot())
    store: Any = Store(IndexUnavailableError("away"))
    addresses: list[str] = []
    service = OpsService(looking, store, seconds=0.01, host="127.0.0.1", port=0, say_address=addresses.append)
    looking.stop = service.stop
    service.run()
    assert store.kept == [(snapshot().as_dict(), 0.04)]
    assert looking.is_closed and addresses[0].startswith("http://127.0.0.1:")


def test_metrics_are_served_and_a_port_that_is_taken_is_named() -> None:
    collector = HubCollector()
    collector.put(snapshot(), 0.125)
    server = MetricsServer(collector, SpanFigures(), host="127.0.0.1", port=0)
    try:
        with urllib.request.urlopen(server.address, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/plain")
            found = figures(answer.read().decode())
        assert one(found, "hub_observation_up") == 1 and one(found, "hub_spans_unsent") == 0
        port = int(server.address.split(":")[2].split("/")[0])
        with pytest.raises(InfrastructureError, match=rf"HUB_METRICS_PORT: 127.0.0.1:{port} cannot be listened on"):
            MetricsServer(collector, host="127.0.0.1", port=port)
    finally:
        server.close()
    assert not [thread for thread in threading.enumerate() if "WSGI" in thread.name]


# -- alerts and dashboard ----------------------------------------------------------------------


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def names_in(expression: str) -> set[str]:
    """Metrics that an expression names: identifiers outside of strings and label lists that are not PromQL's own."""
    bare = re.sub(r"\{[^}]*\}|\b(?:by|on)\s*\([^)]*\)|\"[^\"]*\"|\[[^]]*\]", " ", expression)
    words = set(re.findall(r"(?<![\w.+])[a-zA-Z_:][\w:]*", bare))
    return words - {"sum", "vector", "time", "absent", "delta", "or", "and", "unless", "Inf"}


def test_alerts_and_dashboard_name_what_the_hub_exports_and_nothing_else() -> None:
    found = dict(expressions())
    assert len(found) > 15
    for title, expression in found.items():
        names = names_in(expression)
        assert names and names <= exported_names(), title
    assert names_in('sum by (rule) (hub_no_such{a="b"}) > +Inf') == {"hub_no_such"}


def test_labels_in_alerts_and_dashboard_are_those_of_their_metric() -> None:
    for title, expression in expressions():
        for name, matchers in re.findall(r"([a-z_]+)\{([^}]*)\}", expression):
            labels = re.findall(r"(\w+)\s*=", matchers)
            assert set(labels) <= set(GAUGES[name][1]), title


@pytest.mark.parametrize("command", [("check", "rules", RULES.name), ("test", "rules", "hub.rules.test.yml")])
def test_promtool_takes_the_alerts_and_they_fire_when_they_should(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not at hand: .ci/run installs the Debian package prometheus", pytrace=False)
        pytest.skip("promtool is not at hand (Debian package prometheus)")
    done = subprocess.run(
        [promtool, *command], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
