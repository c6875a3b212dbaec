"""The index of the ledger in Redis alone: a batch is there whole, the bound of memory holds, the oldest leave first."""

from __future__ import annotations

import random

import pytest
import redis

from hub.errors import IndexUnavailableError
from hub.state.ledger_index import (
    HOUR_MS,
    NO_ID,
    NO_KEY,
    LedgerIndex,
    Place,
    hour_of,
    item,
    pack_place,
    short_id,
    short_key,
    short_subject,
)

DEPARTMENT = ["116230019901000185"]


def record(fact: int, offset: int, hour: int, *, event: bool = False, key: bytes | None = None) -> bytes:
    """A record of a fact, of an enterprise that has five of them."""
    return item(
        short_id(f"fact-{fact}"), pack_place(1 if key is None else 2, 3, offset), short_key(key) if key else NO_KEY,
        hour_of(hour * HOUR_MS), short_id(f"event-{fact}") if event else NO_ID, short_subject(f"s{fact // 5}"),
        1 if event else 0,
    )


def way(fact: int, hour: int) -> list[bytes]:
    """An event and six records that came of it within its hour."""
    first = fact * 10
    return [record(fact, first, hour, event=True), *(record(fact, first + n, hour) for n in range(1, 7))]


def filled(client: redis.Redis, facts: range, per_hour: int, most_bytes: int = 1 << 30) -> LedgerIndex:
    index = LedgerIndex(client)
    assert index.begin("one")
    for first in range(facts.start, facts.stop, per_hour):
        items = [part for fact in range(first, first + per_hour) for part in way(fact, fact // per_hour)]
        index.write(b"".join(items), DEPARTMENT, (), {("t", 3): (first + per_hour) * 10})
        index.evict(most_bytes)
    return index


def test_a_batch_that_comes_again_changes_nothing_and_of_a_compacted_key_the_latest_stays(
    redis_client: redis.Redis,
) -> None:
    index = LedgerIndex(redis_client)
    assert index.begin("one")
    items = [*way(1, 7), record(1, 5, 7, key=b"clock"), record(1, 9, 8, key=b"clock"), record(1, 6, 7, key=b"other")]
    index.write(b"".join(items), DEPARTMENT, [["SET", "desk", "1"]], {("t", 3): 20})
    once = list(index.dump()), index.usage()
    random.Random(1).shuffle(items)
    index.write(b"".join(items), DEPARTMENT, (), {("t", 3): 20})
    assert [(entity, hour, set(places)) for entity, hour, places in index.dump()] == [
        (entity, hour, set(places)) for entity, hour, places in once[0]
    ]
    assert index.usage() == once[1]
    ((_, hour, places),) = once[0]
    assert hour == 8 * HOUR_MS
    assert {place for place in places if place.topic == 2} == {Place(2, 3, 9), Place(2, 3, 6)}
    assert index.entity_of("event-1") == index.entity_of("fact-1") == short_id("fact-1")
    assert index.entity_of("event-2") is None
    assert index.entities_of_subject("s0") == index.entities_of_department(DEPARTMENT[0]) == [short_id("fact-1")]
    assert redis_client.get("desk") == b"1" and index.offsets() == {("t", 3): 20}


def test_an_index_that_was_lost_or_rolled_back_takes_no_write(redis_client: redis.Redis) -> None:
    index = LedgerIndex(redis_client, lease_seconds=30)
    assert index.begin("one")
    index.write(record(1, 1, 1), (), (), {("t", 3): 2})
    before = redis_client.hget("hub:ledger:meta", "mark")
    index.write(record(1, 2, 1), (), (), {("t", 3): 3})
    redis_client.hset("hub:ledger:meta", "mark", before or b"")
    for spoil in (lambda: None, redis_client.flushdb):
        spoil()
        with pytest.raises(IndexUnavailableError):
            index.write(record(1, 3, 1), (), (), {("t", 3): 4})
        assert index.offsets().get(("t", 3), 0) < 4
        assert index.begin("one")
    # Another has to wait for the lease, and whoever was replaced finds out at his next write.
    other = LedgerIndex(redis_client)
    assert not other.begin("two")
    other.seize("two")
    with pytest.raises(IndexUnavailableError):
        index.write(record(1, 3, 1), (), (), {("t", 3): 4})
    assert not index.begin("one")
    other.end()
    assert index.begin("one")


def test_the_bound_of_memory_holds_and_the_oldest_leave_first(redis_client: redis.Redis) -> None:
    before = int(redis_client.info("memory")["used_memory"])
    bound = 400_000
    index = filled(redis_client, range(4000), 100, bound)
    assert index.usage().bytes <= bound
    assert int(redis_client.info("memory")["used_memory"]) - before < 2 * bound
    held = {entity for entity, _, _ in index.dump()}
    assert 300 < len(held) < 3000
    # The newest are there whole, the oldest are gone with all their names.
    floor = index.floor_ms() // HOUR_MS
    assert 20 < floor < 40
    for fact in range(4000):
        is_newer = fact // 100 >= floor
        if is_newer:
            assert short_id(f"fact-{fact}") in held and index.entity_of(f"event-{fact}") is not None
        elif fact // 100 < floor - 1:
            assert short_id(f"fact-{fact}") not in held and index.entity_of(f"event-{fact}") is None
    assert index.entities_of_subject("s0") == [] and len(index.entities_of_subject("s799")) == 5
    # What is older than that is not taken in again; what comes late to something that is held is.
    index.write(b"".join(way(1, 0)) + record(3999, 77_777, 0), DEPARTMENT, (), {})
    assert index.entity_of("event-1") is None
    assert Place(1, 3, 77_777) in index.places([short_id("fact-3999")])[0]


def test_a_fact_that_something_came_of_later_stays_with_its_names(redis_client: redis.Redis) -> None:
    index = filled(redis_client, range(1000), 100)
    index.write(record(5, 99_999, 10), (), (), {})
    index.evict(index.usage().bytes // 2)
    assert index.floor_ms() // HOUR_MS > 1
    assert index.entity_of("event-5") == short_id("fact-5") and index.entity_of("event-6") is None
    assert index.entities_of_subject("s1") == [short_id("fact-5")]
    # When its last hour leaves it leaves as well, and nothing of it is left behind.
    index.evict(0)
    assert index.usage() == (0, 0, 0, 0, 0, 0)
    left = {key for key in redis_client.scan_iter(match="hub:ledger:*")}
    assert left == {b"hub:ledger:meta", b"hub:ledger:offsets", b"hub:ledger:owner"}


def test_what_it_says_that_it_takes_is_about_what_it_takes(redis_client: redis.Redis) -> None:
    before = int(redis_client.info("memory")["used_memory"])
    index = filled(redis_client, range(16_000), 2000)
    taken = int(redis_client.info("memory")["used_memory"]) - before
    assert 0.7 < index.usage().bytes / taken < 1.4, (index.usage(), index.usage().bytes, taken)
