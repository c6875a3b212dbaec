"""What Prometheus is told: kafka-lag-exporter's names, so that dashboards made for it work, and the hub's own.

``kafka_*`` count as Kafka's own tool does, what retention took before it was read included; ``hub_*`` count what can
be read. Units are in the names. No label holds the id of an event, a clock or an enterprise.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.errors import InfrastructureError
from hub.ops.snapshot import GroupState, Snapshot
from hub.ops.spans import figures

CLUSTER = "hub"
VERDICTS = ("ok", "behind", "waits", "stalled", "stopped")

_GROUP = ("cluster_name", "group")
_PLACE = ("cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id")
_MAX = ("cluster_name", "group", "is_simple_consumer")
_PARTITION = ("cluster_name", "topic", "partition")
_STAGE = ("stage", "group")

#: Gauge -> what it means, its labels.
GAUGES: Mapping[str, tuple[str, Sequence[str]]] = {
    "kafka_consumergroup_group_offset": ("Last committed offset", _PLACE),
    "kafka_consumergroup_group_lag": ("Offsets from the commit to the end", _PLACE),
    "kafka_consumergroup_group_lag_seconds": ("Age of the oldest record that is unread; 0 if none is", _PLACE),
    "kafka_consumergroup_group_max_lag": ("The largest lag of a partition, in offsets", _MAX),
    "kafka_consumergroup_group_max_lag_seconds": ("The largest lag of a partition, in seconds", _MAX),
    "kafka_consumergroup_group_sum_lag": ("Lag of all partitions, in offsets", _GROUP),
    "kafka_consumergroup_group_topic_sum_lag": ("Lag of all partitions of a topic", (*_GROUP, "topic")),
    "kafka_partition_latest_offset": ("Offset of the next record", _PARTITION),
    "kafka_partition_earliest_offset": ("Offset of the oldest record that is left", _PARTITION),
    "kafka_consumergroup_poll_time_ms": ("How long the latest look took", ("cluster_name",)),
    "hub_stage_unread_records": ("Offsets that a group can still read", _STAGE),
    "hub_stage_lost_records": ("Offsets that were gone before a group had read them", _STAGE),
    "hub_stage_lag_seconds": ("Age of the oldest record that a group has not read", _STAGE),
    "hub_stage_members": ("Processes in a group", _STAGE),
    "hub_stage_verdict": ("1 for the verdict that holds; waits is by design", (*_STAGE, "verdict")),
    "hub_stage_drained_records_per_second": ("Pace of a group's commits", _STAGE),
    "hub_stage_arrived_records_per_second": ("Pace of what comes in", _STAGE),
    "hub_stage_drain_seconds": ("Until what is unread now is read; +Inf is never at this pace", _STAGE),
    "hub_stage_catch_up_seconds": ("Until nothing is unread; +Inf is never at this pace", _STAGE),
    "hub_stage_rewound_partitions": ("Partitions whose commit went back of late", _STAGE),
    "hub_deadlines_at_risk": ("Clocks that fall due before a group has read what they wait for", ("rule", "group")),
    "hub_deadlines_at_risk_late": ("Those of them that are past due already", ("rule", "group")),
    "hub_deadlines_unseen_records": ("Unread records that were not looked at for deadlines", ("group",)),
    "hub_dead_letters": ("Records that no stage can process", ("topic",)),
    "hub_source_silent": ("1 for a source that does not report beyond its rhythm", ("source",)),
    "hub_probe_latency_seconds": ("Time of the latest probe from its publication to a step", ("outlet", "stage")),
    "hub_probe_up": ("1 if the latest probe of an outlet came back, 0 if not; none of who is not asked", ("outlet",)),
    "hub_observation_up": ("1 if the latest look at the hub succeeded", ()),
    "hub_observation_timestamp_seconds": ("When the hub was last looked at", ()),
}
COUNTERS: Mapping[str, str] = {"hub_observation_failures": "Looks at the hub that failed"}


def exported_names() -> frozenset[str]:
    """Every name that a scrape may hold, as Prometheus knows it."""
    counters = (*COUNTERS, *figures.COUNTERS)
    return frozenset(GAUGES) | {figures.UNSENT} | {f"{name}_total" for name in counters}


class HubCollector(Collector):
    """Holds the latest snapshot; any thread may put one and any may collect. After a failed look there are no figures
    of groups, rather than old ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._seconds, self._failures = 0.0, 0

    def put(self, snapshot: Snapshot, seconds: float) -> None:
        """A look that took so long."""
        with self._lock:
            self._snapshot, self._seconds = snapshot, seconds

    def fail(self) -> None:
        """A look that did not succeed."""
        with self._lock:
            self._snapshot, self._failures = None, self._failures + 1

    def describe(self) -> Iterable[Metric]:
        return []  # what is collected is not known before the first look

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            snapshot, seconds, failures = self._snapshot, self._seconds, self._failures
        families = {name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in GAUGES.items()}
        samples = _samples(snapshot, seconds) if snapshot is not None else iter([("hub_observation_up", (), 0.0)])
        for name, labels, value in samples:
            if value is not None:
                families[name].add_metric([str(label) for label in labels], value)
        yield from (family for family in families.values() if family.samples)
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(name, text, value=failures)


Sample = tuple[str, Sequence[object], float | None]


def _samples(snapshot: Snapshot, seconds: float) -> Iterator[Sample]:
    yield "hub_observation_up", (), 1.0
    yield "hub_observation_timestamp_seconds", (), snapshot.at.timestamp()
    yield "kafka_consumergroup_poll_time_ms", (CLUSTER,), seconds * 1000
    for group in snapshot.groups:
        yield from _of_kafka(group)
        yield from _of_stage(group)
    for place, (start, end) in _ranges(snapshot).items():
        yield "kafka_partition_earliest_offset", (CLUSTER, *place), start
        yield "kafka_partition_latest_offset", (CLUSTER, *place), end
    for row in snapshot.risk_counts:
        yield "hub_deadlines_at_risk", (row.rule, row.group), row.count
        yield "hub_deadlines_at_risk_late", (row.rule, row.group), row.late
    for topic, count in snapshot.dead_letters.items():
        yield "hub_dead_letters", (topic,), count
    for source in snapshot.silent_sources:
        yield "hub_source_silent", (source,), 1.0
    for outlet, steps in snapshot.probes.items():
        for step, took in steps.items():
            yield "hub_probe_latency_seconds", (outlet, step), took
        yield "hub_probe_up", (outlet,), float(None not in steps.values())


def _of_kafka(group: GroupState) -> Iterator[Sample]:
    by_topic: dict[str, int] = defaultdict(int)
    for place in group.places:
        labels = (
            CLUSTER, group.group, place.topic, place.partition, place.member_host, place.member_id, place.member_client
        )
        by_topic[place.topic] += place.lag + place.lost
        yield "kafka_consumergroup_group_offset", labels, place.committed
        yield "kafka_consumergroup_group_lag", labels, place.lag + place.lost
        yield "kafka_consumergroup_group_lag_seconds", labels, place.lag_seconds
    simple = (CLUSTER, group.group, str(group.is_simple).lower())
    lags = [place.lag + place.lost for place in group.places]
    yield "kafka_consumergroup_group_max_lag", simple, max(lags, default=0)
    yield "kafka_consumergroup_group_max_lag_seconds", simple, group.lag_seconds
    yield "kafka_consumergroup_group_sum_lag", (CLUSTER, group.group), sum(lags)
    for topic, count in by_topic.items():
        yield "kafka_consumergroup_group_topic_sum_lag", (CLUSTER, group.group, topic), count


def _of_stage(group: GroupState) -> Iterator[Sample]:
    labels = (group.stage, group.group)
    yield "hub_stage_unread_records", labels, group.unread
    yield "hub_stage_lost_records", labels, group.lost
    yield "hub_stage_lag_seconds", labels, group.lag_seconds
    yield "hub_stage_members", labels, group.members
    for verdict in VERDICTS:
        yield "hub_stage_verdict", (*labels, verdict), float(group.verdict == verdict)
    yield "hub_stage_drained_records_per_second", labels, group.drain_rate
    yield "hub_stage_arrived_records_per_second", labels, group.arrival_rate
    yield "hub_stage_drain_seconds", labels, inf if group.drain_seconds is None else group.drain_seconds
    yield "hub_stage_catch_up_seconds", labels, inf if group.catch_up_seconds is None else group.catch_up_seconds
    yield "hub_stage_rewound_partitions", labels, len({(each["topic"], each["partition"]) for each in group.rewinds})
    yield "hub_deadlines_unseen_records", (group.group,), group.unseen


def _ranges(snapshot: Snapshot) -> dict[tuple[str, int], tuple[int, int]]:
    return {
        (place.topic, place.partition): (place.start, place.end) for group in snapshot.groups for place in group.places
    }


class MetricsServer:
    """Serves ``/metrics`` from a thread of its own until it is closed."""

    def __init__(self, *collectors: Collector, host: str, port: int) -> None:
        """:raises InfrastructureError: if the port cannot be taken; 0 takes a free one."""
        registry = CollectorRegistry()
        for collector in collectors:
            registry.register(collector)
        try:
            server: Any
            server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise InfrastructureError(
                f"HUB_METRICS_PORT: {host}:{port} cannot be listened on ({error.strerror}); name another, or 0."
            ) from error
        self._server = server
        self.address = f"http://{host}:{server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
