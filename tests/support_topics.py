"""Topics of fixed names for as long as a module's tests need them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support_served import wait_until


@contextlib.contextmanager
def having(bootstrap: str, names: Iterable[str], *others: NewTopic) -> Iterator[str]:
    """The address of a Kafka that has these topics, of twelve partitions, and others as they say; gone afterwards."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [*(NewTopic(name, 12, -1) for name in names), *others]
    for future in admin.create_topics(topics, operation_timeout=30).values():
        future.result()
    # The controller has them; the broker tells of them a moment later.
    wanted = {topic.topic for topic in topics}
    wait_until(lambda: wanted <= admin.list_topics(timeout=10).topics.keys(), "the topics")
    yield bootstrap
    for future in admin.delete_topics([topic.topic for topic in topics], operation_timeout=30).values():
        future.result()
