"""The map's topics on a live cluster: planned, made, changed, and refused where records or keys would suffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hub.bus.topics import TopicSpec, UnsafeChangeError, admin, apply, differences, plan
from hub.errors import BrokerError

if TYPE_CHECKING:
    from tests.conftest import KafkaLike

DAY = 86_400_000


@pytest.fixture
def client(kafka: KafkaLike) -> Iterator[Any]:
    with admin(kafka.bootstrap) as client:
        yield client


@pytest.fixture
def specs(client: Any, topic_name: Callable[..., str]) -> Iterator[list[TopicSpec]]:
    """Two topics that are not there yet."""
    events, states = topic_name("plan.events"), topic_name("plan.states")
    yield [
        TopicSpec(events, 3, 1, {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)}),
        TopicSpec(states, 2, 1, {"cleanup.policy": "compact", "min.insync.replicas": "1"}),
    ]
    there = {topic["name"] for topic in client.describe_topics()}
    client.delete_topics(sorted({events, states} & there))


def test_what_is_missing_is_created_once(client: Any, specs: list[TopicSpec]) -> None:
    expected = [("create", specs[0].name), ("create", specs[1].name)]
    assert [(change.kind, change.topic) for change in differences(client, specs)] == expected
    assert str(differences(client, specs)[0]) == (
        f"+ {specs[0].name}: create, 3 partitions, 1 replicas, cleanup.policy=delete, retention.ms={30 * DAY}"
    )
    assert [(change.kind, change.topic) for change in apply(client, specs)] == expected
    assert differences(client, specs) == []
    assert apply(client, specs) == []


def test_a_longer_retention_is_a_change_of_a_setting(client: Any, specs: list[TopicSpec]) -> None:
    apply(client, specs)
    longer = [replace(specs[0], configs={**specs[0].configs, "retention.ms": str(60 * DAY)}), specs[1]]
    [change] = differences(client, longer)
    assert str(change) == f"~ {specs[0].name}: retention.ms {30 * DAY} -> {60 * DAY}"
    assert apply(client, longer) == [change]
    assert differences(client, longer) == []
    [back] = differences(client, specs)
    assert back.is_unsafe


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"retention.ms": str(DAY)}, "retention.ms"),
        ({"cleanup.policy": "compact"}, "cleanup.policy"),
    ],
)
def test_a_setting_that_loses_records_is_made_only_where_it_is_meant(
    client: Any, specs: list[TopicSpec], settings: dict[str, str], part: str
) -> None:
    apply(client, specs)
    changed = [replace(specs[0], configs={**specs[0].configs, **settings}), specs[1]]
    with pytest.raises(UnsafeChangeError, match=f"Nothing was changed.*\n~ {specs[0].name}: {part}"):
        apply(client, changed)
    with pytest.raises(UnsafeChangeError, match=specs[0].name):
        apply(client, changed, [specs[1].name])
    assert differences(client, specs) == []
    apply(client, changed, [specs[0].name])
    assert differences(client, changed) == []


def test_a_compacted_topic_is_not_made_to_delete_by_age_unless_meant(client: Any, specs: list[TopicSpec]) -> None:
    apply(client, specs)
    changed = [specs[0], replace(specs[1], configs={**specs[1].configs, "cleanup.policy": "delete"})]
    with pytest.raises(UnsafeChangeError, match=specs[1].name):
        apply(client, changed)


def test_more_partitions_are_made_only_where_it_is_meant(client: Any, specs: list[TopicSpec]) -> None:
    apply(client, specs)
    # A harmless change beside it is held back as well: all or nothing.
    more = [
        replace(specs[0], partitions=5),
        replace(specs[1], configs={**specs[1].configs, "retention.ms": "-1"}),
    ]
    with pytest.raises(UnsafeChangeError, match=f"{specs[0].name}: partitions 3 -> 5: would move keys"):
        apply(client, more)
    assert differences(client, specs) == []
    apply(client, more, [specs[0].name])
    assert differences(client, more) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [({"partitions": 2}, "partitions 3 -> 2: Kafka cannot"), ({"replication": 2}, "replicas 1 -> 2: to be moved")],
)
def test_what_kafka_cannot_do_is_refused_even_where_it_is_meant(
    client: Any, specs: list[TopicSpec], change: dict[str, Any], said: str
) -> None:
    apply(client, specs)
    with pytest.raises(UnsafeChangeError, match=f"{specs[0].name}: {said}"):
        apply(client, [replace(specs[0], **change), specs[1]], [specs[0].name])
    assert differences(client, specs) == []


def test_a_topic_that_the_map_does_not_know_is_named_and_left_alone(client: Any, specs: list[TopicSpec]) -> None:
    apply(client, specs)
    [unknown] = [change for change in plan(client, specs[:1]) if change.topic == specs[1].name]
    assert str(unknown) == f"? {specs[1].name}: is not in the map; left alone"
    assert apply(client, specs[:1]) == []
    assert differences(client, specs) == []
    assert not any(change.topic.startswith("__") for change in plan(client, []))


def test_a_setting_that_the_broker_refuses_is_an_error(client: Any, specs: list[TopicSpec]) -> None:
    apply(client, specs)
    wrong = [specs[0], replace(specs[1], configs={**specs[1].configs, "min.insync.replicas": "-4"})]
    with pytest.raises(BrokerError, match=specs[1].name):
        apply(client, wrong)
