"""``hub bench ledger``: what following the log costs, what it takes in Redis, and how soon a trace comes."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import redis

from hub.bench.ledger_traffic import TOPICS, Traffic
from hub.bench.usage import cpu_seconds
from hub.bus.clients import new_producer, produce
from hub.bus.log_reader import LogReader
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.ops.ledger.log_scan import LogScan
from hub.ops.ledger.queries import trace
from hub.ops.ledger.reading import compacted_topics
from hub.ops.ledger.service import LedgerService
from hub.ops.ledger.view import Ledger
from hub.state.channel_index import channel_index
from hub.state.desk_index import DeskIndex
from hub.state.ledger_index import LedgerIndex

_PATIENCE_SECONDS = 1800
#: No bound: measured is what everything takes.
_MOST_BYTES = 1 << 40


class LedgerMeasured(NamedTuple):
    """Times in the unit that the name says; bytes of Redis an event with all that came of it."""

    events: int
    records: int
    records_per_second: float
    cpu_micros: float
    server_cpu_micros: float
    index_bytes: float
    desk_bytes: float
    estimated_bytes: float
    traces: int
    steps: float
    trace_p50_ms: float
    trace_p99_ms: float
    trace_max_ms: float


class LedgerBench:
    """On one broker and one empty index, whose topics are there and empty."""

    def __init__(self, bootstrap: str, client: redis.Redis, hub_map: HubMap, catalog: Catalog) -> None:
        self._bootstrap, self._client, self._map, self._catalog = bootstrap, client, hub_map, catalog
        self._index, self._desks, self._channels = LedgerIndex(client), DeskIndex(client), channel_index(client)
        self.traffic = Traffic(catalog)

    def run(self, events: int, traces: int) -> LedgerMeasured:
        """Writes the records of so many events, has them followed, and asks for so many of them at random."""
        records = self.write(events)
        before = self._used()
        rate, cpu, server_cpu = self.follow(records)
        taken = self._used() - before
        estimated = self._index.usage().bytes
        steps, took = self.ask(events, traces)
        self._desks.clear()
        self._channels.clear()
        desks = taken - (self._used() - before)
        return LedgerMeasured(
            events, records, rate, cpu, server_cpu, (taken - desks) / events, desks / events, estimated / events,
            traces, steps, statistics.median(took), took[int(len(took) * 0.99)], took[-1],
        )

    def write(self, events: int) -> int:
        """Writes everything that stages write for so many events; answers how many records that are."""
        producer, count = new_producer(self._bootstrap, client_id="bench-ledger", linger_ms=20), 0
        for number in range(events):
            for topic, key, value, headers, partition in self.traffic.of_event(number):
                produce(producer, topic, value, key, headers=headers, partition=partition)
                count += 1
            producer.poll(0)
        if producer.flush(_PATIENCE_SECONDS):
            raise RuntimeError("the broker did not take the records of the bench")
        return count

    def follow(self, records: int) -> tuple[float, float, float]:
        """(records a second, µs of CPU a record here, and in the index' server)."""
        service = LedgerService(
            self._map, self._catalog, self._bootstrap, self._index, self._desks, self._channels,
            most_bytes=_MOST_BYTES, is_nice=False,
        )
        thread = threading.Thread(target=service.run)
        server, cpu, wall = self._server_cpu(), cpu_seconds(), time.perf_counter()
        thread.start()
        try:
            self._wait(lambda: service.records >= records)
        finally:
            service.stop()
            thread.join()
        wall, cpu, server = time.perf_counter() - wall, cpu_seconds() - cpu, self._server_cpu() - server
        return records / wall, cpu / records * 1e6, server / records * 1e6

    def ask(self, events: int, traces: int) -> tuple[float, list[float]]:
        """(steps of a trace, milliseconds of each, sorted)."""
        scan = LogScan(self._bootstrap, list(TOPICS), compacted_topics(self._map))
        ledger = Ledger(self._index, self._desks, LogReader(self._bootstrap), scan, self._catalog, self._map, {})
        chance, took, steps = random.Random(events), [], 0
        try:
            # Connecting is once in the life of a process that is asked.
            trace(ledger, self.traffic.event_id(0))
            for _ in range(traces):
                id = self.traffic.event_id(chance.randrange(events))
                began = time.perf_counter()
                found = trace(ledger, id)
                took.append((time.perf_counter() - began) * 1000)
                if not found.ends:
                    raise RuntimeError(f"no trace of {id}: {found.note}")
                steps += len(found.steps)
        finally:
            ledger.close()
        return steps / traces, sorted(took)

    def _wait(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not is_so():
            if time.monotonic() > until:
                raise RuntimeError("the ledger did not get through the records of the bench")
            time.sleep(0.05)

    def _used(self) -> int:
        return int(self._client.info("memory")["used_memory"])

    def _server_cpu(self) -> float:
        found = self._client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def machine_load() -> float:
    """How many processes wanted the processor in the last minute: figures move with it."""
    return os.getloadavg()[0]
