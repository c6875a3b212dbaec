"""The settings of the embedded brokers: a laptop's size, a server's promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub.domain.direct import SCRAM

HOST = "127.0.0.1"

#: Measured on 2 cores: one broker holds 200 to 250 MB resident and takes 2 to 3 s to start. The serial
#: collector wants neither threads nor room of its own; no counters file stays in the temporary folder.
JVM_FLAGS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    # Kafka 4.3 maps its indexes the old way and loads zstd and snappy natively: Java 25 warns of both.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dfile.encoding=UTF-8",
)

#: For the tools that run a second and end: the optimising compiler would only cost.
TOOL_FLAGS = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1")

_COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    # Departments come in by a listener of their own. Who comes in by the hub's is nobody in particular and may do
    # all (it is bound to this machine); who comes in by theirs has shown a password and may do what an ACL names.
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,DEPARTMENTS:SASL_PLAINTEXT",
    "listener.name.departments.sasl.enabled.mechanisms": SCRAM,
    f"listener.name.departments.{SCRAM.lower()}.sasl.jaas.config":
        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    # A connection that was opened with a password of before ends within five minutes.
    f"listener.name.departments.{SCRAM.lower()}.connections.max.reauth.ms": "300000",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "false",
    # A topic exists because topics.yaml names it, never by a slip of the pen.
    "auto.create.topics.enable": "false",
    "num.partitions": "12",
    "unclean.leader.election.enable": "false",
    # What the hub keeps is decided topic by topic; nothing is dropped behind its back.
    "log.retention.ms": "-1",
    # A laptop that stays closed over the holidays must find its place again (Kafka's default: 7 days).
    "offsets.retention.minutes": "525600",
    "group.initial.rebalance.delay.ms": "0",
    # Internal topics: 50 partitions each by default, a burden for one small broker.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "2",
    # 10 MiB for each index of each partition by default; 1 MiB covers half a gigabyte of segment.
    "log.index.size.max.bytes": "1048576",
    # A third of our heap by default (128 MiB); 16 MiB compact 600,000 keys in one pass.
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


@dataclass(frozen=True)
class BrokerPlace:
    """Where one broker lives: its number from 1, its folder and its three ports."""

    number: int
    folder: Path
    port: int
    controller_port: int
    departments_port: int


def broker_properties(place: BrokerPlace, all_places: Mapping[int, BrokerPlace]) -> dict[str, str]:
    """The ``server.properties`` of one broker of this cluster (1 or 3 brokers)."""
    brokers = len(all_places)
    copies = str(brokers)
    # 2 of 3: one broker may fail, and what was acknowledged is still in two places.
    in_sync = "2" if brokers == 3 else "1"
    listeners = (
        f"BROKER://{HOST}:{place.port},CONTROLLER://{HOST}:{place.controller_port},"
        f"DEPARTMENTS://{HOST}:{place.departments_port}"
    )
    return {
        **_COMMON,
        "node.id": str(place.number),
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": ",".join(
            f"{HOST}:{other.controller_port}" for other in all_places.values()
        ),
        "log.dirs": str(place.folder / "log"),
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A killed broker may register again only once its old session has run out, and is missed by the
        # others no sooner: 9 s by default. One alone can only pause together with its own controller.
        "broker.session.timeout.ms": "5000" if brokers > 1 else "3000",
        "broker.heartbeat.interval.ms": "1000" if brokers > 1 else "500",
    }


def properties_text(properties: Mapping[str, str]) -> str:
    """In the form of a Java properties file, in which a backslash, e.g. of a path, must be doubled."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    # The file is read as Latin-1: a folder with a Chinese name has to be written in \u escapes.
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)


def logging_text(folder: Path) -> str:
    """Log4j's settings: one file in the broker's folder, at most 3 times 5 MB."""
    return properties_text(
        {
            "status": "error",
            "appender.file.type": "RollingFile",
            "appender.file.name": "FILE",
            "appender.file.fileName": str(folder / "kafka.log"),
            "appender.file.filePattern": str(folder / "kafka.log.%i"),
            "appender.file.layout.type": "PatternLayout",
            "appender.file.layout.pattern": "%d{ISO8601} %p %c{1}: %m%n",
            "appender.file.policies.type": "Policies",
            "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
            "appender.file.policies.size.size": "5MB",
            "appender.file.strategy.type": "DefaultRolloverStrategy",
            "appender.file.strategy.max": "2",
            "rootLogger.level": "info",
            "rootLogger.appenderRef.file.ref": "FILE",
        }
    )
