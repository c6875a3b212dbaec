"""The sweep of the desks comes to every department, and looks through the whole index for them once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import redis

from hub.domain.desk import ClockEntry
from hub.ops.ledger.desk_facts import FactKey
from hub.ops.ledger.desks import Desks
from hub.state.desk_index import CLOCKS, DeskIndex

NOW = datetime(2026, 9, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)


class Counting(DeskIndex):
    looks = 0

    def departments(self) -> set[str]:
        self.looks += 1
        return super().departments()


def run(client: redis.Redis, commands: list[list[str | int]]) -> None:
    for command in commands:
        client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types for it


def ended(client: redis.Redis, desks: Desks, department: str, id: str) -> None:
    clock = ClockEntry(
        round(LONG_AGO.timestamp() * 1000), 1, id, "rule", None, "s", "c", None, "met", None, None, False, False,
        "2026-02-13", None,
    )
    run(client, desks.commands({FactKey(department, CLOCKS.name, id): clock}))


def a_round(client: redis.Redis, desks: Desks) -> None:
    """At least one whole round: two sweeps of each shelf of each department, and the turn between rounds."""
    for _ in range(30):
        run(client, desks.sweep(NOW))


def test_departments_are_looked_for_once_and_none_is_passed_over(redis_client: redis.Redis) -> None:
    index = Counting(redis_client)
    desks = Desks(index)
    ended(redis_client, desks, "first", "c1")
    a_round(redis_client, desks)
    assert index.all("first", CLOCKS) == {}
    # A department that comes later is swept as well, and so is one that is emptied and comes again.
    ended(redis_client, desks, "second", "c2")
    ended(redis_client, desks, "first", "c3")
    assert len(index.all("second", CLOCKS)) == len(index.all("first", CLOCKS)) == 1
    a_round(redis_client, desks)
    assert index.all("second", CLOCKS) == index.all("first", CLOCKS) == {}
    assert index.looks == 1
    # Another process wrote while this one did not own the index.
    ended(redis_client, Desks(DeskIndex(redis_client)), "third", "c4")
    desks.begin()
    a_round(redis_client, desks)
    assert index.all("third", CLOCKS) == {}
    assert index.looks == 2
