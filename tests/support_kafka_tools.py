"""Kafka's own tool for consumer groups, run by the embedded Java: what our figures are held against."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

import pytest

from hub.embedded.cluster import _java
from hub.embedded.jars import Jar, ensure_jars, read_lock
from hub.errors import MissingMeansError

#: The broker does without it: fetched into the same cache by the tests alone.
TOOLS = Jar(
    "org.apache.kafka", "kafka-tools", "4.3.1", "", "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c"
)


class ToolLine(NamedTuple):
    """One line of ``kafka-consumer-groups --describe --offsets``; ``None`` where it prints a dash."""

    committed: int | None
    end: int | None
    lag: int | None
    consumer: str
    host: str
    client: str


def describe_groups(bootstrap: str, *groups: str) -> dict[str, dict[tuple[str, int], ToolLine]]:
    """What the tool says of groups, by group and place; one start of Java for all of them. Skips the test where its jar
    cannot be had."""
    try:
        jars = ensure_jars(jars=[TOOLS, *read_lock()])
    except MissingMeansError as error:
        pytest.skip(f"Kafka's tools: {error}")
    command = [
        str(_java()), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", ":".join(map(str, jars)),
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server", bootstrap, "--describe", "--offsets", *(f"--group={group}" for group in groups),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[tuple[str, int], ToolLine]] = {group: {} for group in groups}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 9 and words[0] in found:
            committed, end, lag = (int(word) if word != "-" else None for word in words[3:6])
            client = ToolLine(committed, end, lag, words[6], words[7].lstrip("/"), words[8])
            found[words[0]][words[1], int(words[2])] = client
    assert all(found.values()), done.stdout + done.stderr
    return found
