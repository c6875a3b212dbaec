"""Topics that a test makes and takes away again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support_served import wait_until


def make_topics(admin: AdminClient, topics: Sequence[NewTopic]) -> None:
    """Returns once the broker tells of them and of who leads each of their partitions; the controller has them a
    moment earlier."""
    for future in admin.create_topics(list(topics), operation_timeout=30).values():
        future.result()
    wanted = {topic.topic for topic in topics}
    wait_until(lambda: wanted <= _led(admin), "the topics")


def drop_topics(admin: AdminClient, names: Collection[str]) -> None:
    """Returns once the broker tells of none of them, or whoever makes one of them anew would see the old one. Those
    that are gone already are passed over."""
    for future in admin.delete_topics(list(names), operation_timeout=30).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    wait_until(lambda: _told(admin).isdisjoint(names), "the end of the topics")


def _led(admin: AdminClient) -> set[str]:
    return {
        name for name, topic in admin.list_topics(timeout=10).topics.items()
        if topic.error is None and topic.partitions
        and all(each.error is None and each.leader >= 0 for each in topic.partitions.values())
    }


def _told(admin: AdminClient) -> set[str]:
    return set(admin.list_topics(timeout=10).topics)


@contextlib.contextmanager
def having(bootstrap: str, names: Iterable[str], *others: NewTopic) -> Iterator[str]:
    """The address of a Kafka that has these topics, of twelve partitions, and others as they say; gone afterwards."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [*(NewTopic(name, 12, -1) for name in names), *others]
    make_topics(admin, topics)
    yield bootstrap
    drop_topics(admin, [topic.topic for topic in topics])
