"""The embedded Kafka and Valkey keep their data, through stops, kills and the death of their owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from hub.bus.access import Right, apply_access, set_password
from hub.bus.topics import admin
from hub.embedded import KafkaCluster, Valkey
from hub.embedded.broker_config import BrokerPlace, broker_properties
from hub.embedded.process import birth_of
from hub.errors import InfrastructureError, UsageError
from tests.support_direct import DirectDepartment
from tests.support_topics import make_topics

TOPIC = "inspection.results.v1"

#: Starts both, says so, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from hub.embedded import KafkaCluster, Valkey
data = Path(sys.argv[1])
kafka, valkey = KafkaCluster(data / "kafka"), Valkey(data / "valkey")
kafka.start()
valkey.start()
print(kafka.bootstrap, valkey.url, kafka.pids[1], valkey.pid, flush=True)
time.sleep(600)
"""


def create_topic(bootstrap: str, partitions: int = 2) -> None:
    make_topics(AdminClient({"bootstrap.servers": bootstrap}), [NewTopic(TOPIC, partitions)])


def produce(bootstrap: str, values: Sequence[bytes]) -> None:
    """Each value is on disk, by the broker's own word, when this returns."""
    faults: list[object] = []

    def acknowledged(error: object, _: Message) -> None:
        if error is not None:
            faults.append(error)

    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": 60_000, "log_level": 0}
    )
    for value in values:
        producer.produce(TOPIC, value, key=value, on_delivery=acknowledged)
    assert producer.flush(60) == 0
    assert faults == []


def consume(bootstrap: str, count: int) -> set[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([TOPIC])
        messages = consumer.consume(count, timeout=60)
        return {message.value() or b"" for message in messages if message.error() is None}
    finally:
        consumer.close()


VALUES = [f"result {n}".encode() for n in range(20)]


def test_a_stopped_cluster_keeps_its_data_and_its_ports(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path)
    with cluster:
        first = cluster.bootstrap
        create_topic(first)
        produce(first, VALUES)
        with pytest.raises(UsageError, match="in use by process"):
            KafkaCluster(tmp_path).start()
        pid = cluster.pids[1]
    assert birth_of(pid) is None
    assert cluster.pids == {}
    with KafkaCluster(tmp_path) as again:
        assert again.bootstrap == first
        assert consume(again.bootstrap, len(VALUES)) == set(VALUES)


def test_a_folder_keeps_its_number_of_brokers(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"cluster_id": "x", "brokers": {"1": {"directory_id": "y"}}}')
    with pytest.raises(UsageError, match="a cluster of 1 brokers, not of 3"):
        KafkaCluster(tmp_path, 3).start()


def test_a_folder_of_an_earlier_version_gets_the_departments_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("departments", "authorizer", "super.users", "allow.everyone")

    def as_before(place: BrokerPlace, all_places: Mapping[int, BrokerPlace]) -> dict[str, str]:
        found = broker_properties(place, all_places)
        for name in ("listeners", "advertised.listeners", "listener.security.protocol.map"):
            found[name] = ",".join(each for each in found[name].split(",") if "DEPARTMENTS" not in each)
        return {name: value for name, value in found.items() if not any(word in name for word in words)}

    with monkeypatch.context() as patch:
        patch.setattr("hub.embedded.cluster.broker_properties", as_before)
        with KafkaCluster(tmp_path) as before:
            create_topic(before.bootstrap)
            produce(before.bootstrap, VALUES)
    known = json.loads((tmp_path / "cluster.json").read_text())
    del known["brokers"]["1"]["departments_port"]
    (tmp_path / "cluster.json").write_text(json.dumps(known))
    with KafkaCluster(tmp_path) as after, admin(after.bootstrap) as client:
        assert consume(after.bootstrap, len(VALUES)) == set(VALUES)
        set_password(client, "dept-works", "made-up")
        apply_access(client, [Right("dept-works", "DESCRIBE", "TOPIC", TOPIC)], ["dept-works"])
        seen = DirectDepartment(after.departments, "works", "made-up").admin().list_topics(timeout=15)
        assert set(seen.topics) == {TOPIC}


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with KafkaCluster(tmp_path):
        pass
    (tmp_path / "broker-1" / "log" / "meta.properties").write_text("version=1\ncluster.id=other\nnode.id=7\n")
    with pytest.raises(InfrastructureError, match=r"(?s)Kafka broker 1 ended .*Stored node id 7"):
        KafkaCluster(tmp_path).start()


def test_the_servers_die_with_a_killed_owner_and_the_next_one_finds_the_data(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with owner:
        assert owner.stdout is not None
        bootstrap, url, kafka_pid, valkey_pid = owner.stdout.readline().split()
        pids = [int(kafka_pid), int(valkey_pid)]
        try:
            create_topic(bootstrap)
            produce(bootstrap, VALUES)
            with redis.Redis.from_url(url) as client:
                client.set("due:1", "2030-01-07")
            births = [birth_of(pid) for pid in pids]
            assert None not in births
        finally:
            owner.send_signal(signal.SIGKILL)
            owner.wait()
    end = time.monotonic() + 30

    def survivors() -> list[int]:
        return [pid for pid, birth in zip(pids, births, strict=True) if birth_of(pid) == birth]

    # Where the kernel ends no orphans, the next start does.
    if sys.platform == "linux":
        while survivors() and time.monotonic() < end:
            time.sleep(0.05)
        assert survivors() == []
    with KafkaCluster(tmp_path / "kafka") as cluster, Valkey(tmp_path / "valkey") as server:
        assert survivors() == []
        assert consume(cluster.bootstrap, len(VALUES)) == set(VALUES)
        with redis.Redis.from_url(server.url) as client:
            assert client.get("due:1") == b"2030-01-07"


def test_three_brokers_go_on_without_one_and_take_it_back(tmp_path: Path) -> None:
    with KafkaCluster(tmp_path, 3) as cluster:
        create_topic(cluster.bootstrap, 3)
        produce(cluster.bootstrap, VALUES[:10])
        pid = cluster.pids[2]
        cluster.kill_broker(2)
        assert birth_of(pid) is None
        assert set(cluster.pids) == {1, 3}
        produce(cluster.bootstrap, VALUES[10:])
        cluster.start_broker(2)
        assert set(cluster.pids) == {1, 2, 3}
        assert consume(cluster.bootstrap, len(VALUES)) == set(VALUES)
        with admin(cluster.bootstrap) as client:
            set_password(client, "dept-works", "made-up")
        # A password holds on each of them.
        for address in cluster.departments.split(","):
            assert DirectDepartment(address, "works", "made-up").admin().list_topics(timeout=15).brokers


def test_valkey_keeps_its_data_through_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    with server:
        url = server.url
        with redis.Redis.from_url(url) as client:
            client.zadd("due", {"clock": 1})
        with pytest.raises(UsageError, match="in use by process"):
            Valkey(tmp_path).start()
    assert server.pid is None
    with server:
        assert server.url == url
        with redis.Redis.from_url(url) as client:
            client.zadd("due", {"clock": 2})
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.zscore("due", "clock") == 2


def test_valkey_listens_on_this_machine_only(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("appendonly")["appendonly"] == "yes"


def test_a_valkey_that_cannot_start_says_why(tmp_path: Path) -> None:
    with Valkey(tmp_path):
        pass
    (manifest,) = (tmp_path / "appendonlydir").glob("*.manifest")
    manifest.write_text("nonsense\n")
    with pytest.raises(InfrastructureError, match=r"(?s)Valkey ended .*AOF"):
        Valkey(tmp_path).start()
