"""A ledger on the session's Kafka and Valkey, and traffic for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any, TypeVar

import redis
from confluent_kafka.cimpl import NewTopic

from hub.bench.ledger_traffic import FROM, TOPICS, Traffic
from hub.bus.clients import new_producer, produce
from hub.bus.log_reader import LogReader
from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.contracts.calendars import load_calendars
from hub.contracts.map import HubMap
from hub.domain.calendar import Calendar, local_date
from hub.domain.desk import KEPT
from hub.ops.ledger.log_scan import LogScan
from hub.ops.ledger.reading import RecordReader, compacted_topics, followed_topics
from hub.ops.ledger.service import LedgerService
from hub.ops.ledger.verify import Comparison, compare, read_all
from hub.ops.ledger.view import Ledger
from hub.state.channel_index import channel_index
from hub.state.desk_index import DeskIndex
from hub.state.ledger_index import LedgerIndex
from hub.wiring.parts import Service
from tests.support_contracts import ROOT, catalog
from tests.support_routing import hub_map
from tests.support_topics import having

S = TypeVar("S", bound=Service)
PATIENCE_SECONDS = 60.0
#: No test of these reaches it.
PLENTY = 1 << 30
_COMPACTED = "clock.states.v1"


@contextlib.contextmanager
def ledger_topics(bootstrap: str) -> Iterator[str]:
    """The topics of the traffic; gone afterwards."""
    states = NewTopic(_COMPACTED, 12, -1, config={"cleanup.policy": "compact"})
    with having(bootstrap, [name for name in TOPICS if name != _COMPACTED], states) as address:
        yield address


def write(bootstrap: str, outputs: Iterable[Output]) -> int:
    """Onto the log, all of them; answers how many. What a broker refuses that is just making a topic goes again."""
    producer, left = new_producer(bootstrap, client_id="test"), list(outputs)
    count, faults = len(left), list[str]()
    for _ in range(5):
        refused: list[Output] = []

        def told(error: Any, message: Any, output: Output, refused: list[Output] = refused) -> None:
            if error is not None:
                faults.append(f"{message.topic()}/{message.partition()}: {error}")
                refused.append(output)

        for output in left:
            topic, key, value, headers, partition = output
            produce(producer, topic, value, key, headers=headers, partition=partition,
                    on_delivery=partial(told, output=output))
        assert producer.flush(60) == 0
        if not refused:
            return count
        left = refused
        time.sleep(1)
    raise AssertionError(f"{len(left)} records are not on the log: {faults[-5:]}")


def write_events(bootstrap: str, traffic: Traffic, numbers: Iterable[int]) -> int:
    return write(bootstrap, (output for number in numbers for output in traffic.of_event(number)))


@cache
def calendars() -> dict[str, Calendar]:
    return load_calendars(ROOT)


def service(
    bootstrap: str, client: redis.Redis, *, most_bytes: int = PLENTY, lease_seconds: float = 0.5,
    of: HubMap | None = None,
) -> LedgerService:
    return LedgerService(
        of or hub_map(), catalog(), bootstrap, LedgerIndex(client, lease_seconds=lease_seconds), DeskIndex(client),
        channel_index(client), most_bytes=most_bytes, now=lambda: FROM, is_nice=False,
    )


@contextlib.contextmanager
def running(stage: S) -> Iterator[S]:
    thread = threading.Thread(target=stage.run)
    thread.start()
    try:
        yield stage
    finally:
        stage.stop()
        thread.join(30)
        assert not thread.is_alive()


@contextlib.contextmanager
def view(bootstrap: str, client: redis.Redis) -> Iterator[Ledger]:
    scan = LogScan(bootstrap, list(TOPICS), compacted_topics(hub_map()))
    ledger = Ledger(
        LedgerIndex(client), DeskIndex(client), LogReader(bootstrap), scan, catalog(), hub_map(), calendars()
    )
    try:
        yield ledger
    finally:
        ledger.close()


def has_read(client: redis.Redis, count: int) -> bool:
    """Whether the index stands behind so many records in all."""
    return sum(LedgerIndex(client).offsets().values()) >= count


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)


def held_against_log(bootstrap: str, client: redis.Redis) -> Comparison:
    """The index, which nobody writes now, beside what the log says."""
    index = LedgerIndex(client)
    numbers = index.topics()
    reader = RecordReader(hub_map(), catalog(), numbers)
    topics = [name for name in followed_topics(hub_map()) if name in TOPICS]
    model = read_all(read_topics(bootstrap, topics), reader, index.offsets())
    compacted = frozenset(numbers[name] for name in compacted_topics(hub_map()) if name in numbers)
    return compare(model, index, (DeskIndex(client), channel_index(client)), compacted, local_date(FROM) - KEPT)


def contents(client: redis.Redis) -> dict[str, object]:
    """All that the index and the desks hold, without what tells one owner from another."""
    index = LedgerIndex(client)
    # How often a fact was touched depends on which of its topics was read first; nothing else does.
    found: dict[str, object] = {"usage": index.usage()._replace(touches=0), "names": index.names()}
    found["facts"] = {entity: (hour, frozenset(places)) for entity, hour, places in index.dump()}
    for key in client.scan_iter(match="hub:desk:*"):
        kind = client.type(key)
        found[key.decode()] = (
            # A count that came to nothing is none; the sweep takes it out.
            {name: value for name, value in client.hgetall(key).items() if value != b"0"} if kind == b"hash"
            else client.zrange(key, 0, -1)
        )
    return found
