"""``hub bench clocks``: how fast clocks start, what holding them costs, and how late what falls due is said."""

from __future__ import annotations

import resource
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, cast

import redis

from hub.bench.usage import cpu_seconds
from hub.bus.batch import LaneMetrics, tune_collector
from hub.bus.clients import new_consumer, new_producer, produce
from hub.bus.lane import Lane
from hub.bus.records import Headers
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import ALERTS, INPUTS, SIGNALS
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar, local_date
from hub.domain.clocks import ClockRule, Due
from hub.domain.events import derive_id
from hub.state.due_index import DueIndex

_DAYS = ClockRule(
    id="in-days", title="按工作日", starts_on=("inspection.result.recorded",), counts_from="result_date",
    due=Due(20, "working-days"), met_by=("disclosure.receipt.published",), warn=(5, 1),
)
_HOURS = ClockRule(
    id="in-hours", title="按小时", starts_on=("enforcement.referral.decided",), counts_from="decided_date",
    due=Due(24, "hours"), met_by=("enforcement.referral.transferred",),
)
_RULES = {rule.id: rule for rule in (_DAYS, _HOURS)}
#: How far ahead the clocks that fall due together are started: their signals have to be read before.
_AHEAD = timedelta(seconds=15)
_PATIENCE_SECONDS = 300


class ClocksMeasured(NamedTuple):
    """Rates are a second, times seconds, memory bytes."""

    clocks: int
    starts_per_second: float
    start_cpu_micros: float
    index_bytes: int
    process_bytes: int
    rebuild_seconds: float
    due: int
    lateness_p50: float
    lateness_p99: float
    alerts_per_second: float
    floor_per_second: float
    floor_bytes: int

    @property
    def ratio(self) -> float:
        """Starts a second against plain pipelined ZADDs a second."""
        return self.starts_per_second / self.floor_per_second


class Bench:
    """All of it on one broker and one index, whose topics are there and empty."""

    def __init__(self, bootstrap: str, client: redis.Redis, root: Path) -> None:
        self._bootstrap, self._client, self._root = bootstrap, client, root
        self._catalog, self._calendars = Catalog.load(root), load_calendars(root)
        self._group = f"bench-{uuid.uuid4()}"
        self._schema = self._catalog.schema("hub/clock-signal")

    def run(self, count: int, due: int) -> ClocksMeasured:
        """Starts ``count`` clocks, takes them up anew, then lets ``due`` more come due in one second."""
        floor, floor_bytes = self._floor(count)
        self._write(count, _DAYS, datetime.now(UTC), "held")
        before = self._used()
        rate, cpu_micros = self._start(count)
        index_bytes = self._used() - before
        rebuild_seconds, process_bytes = self._rebuild(count)
        lateness, alerts_rate = self._fall_due(due)
        return ClocksMeasured(
            count, rate, cpu_micros, index_bytes, process_bytes, rebuild_seconds,
            due, lateness[len(lateness) // 2], lateness[int(len(lateness) * 0.99)], alerts_rate, floor, floor_bytes,
        )

    def _floor(self, count: int) -> tuple[float, int]:
        """Plain ZADDs, a thousand in a pipeline: (a second, bytes)."""
        before, began = self._used(), time.perf_counter()
        for first in range(0, count, 1000):
            with self._client.pipeline(transaction=False) as pipe:
                for number in range(first, min(first + 1000, count)):
                    pipe.zadd("bench:floor", {_entity("floor", number): number})
                pipe.execute()
        seconds = time.perf_counter() - began
        used = self._used() - before
        self._client.delete("bench:floor")
        return count / seconds, used

    def _write(self, count: int, rule: ClockRule, occurred_at: datetime, name: str) -> None:
        """Start signals as routing writes them, each of an enterprise of its own."""
        producer = new_producer(self._bootstrap, client_id="bench-signals", linger_ms=20)
        value = {
            "kind": "start", "rule": rule.id, "target": None, "event_type": rule.starts_on[0],
            "counts_from": local_date(occurred_at), "until": None, "owner_department": "11623000013999917X",
            "occurred_at": occurred_at, "map_version": "bench",
        }
        time_text = occurred_at.isoformat().replace("+00:00", "Z").encode()
        for number in range(count):
            entity = _entity(name, number)
            subject = f"916230{number:08d}{name[:4]}"
            event = derive_id("event", entity)
            value |= {"signal_id": event, "correlation_id": entity, "event_id": event, "subject": subject}
            headers: Headers = [
                ("ce_specversion", b"1.0"), ("ce_id", event.encode()), ("ce_type", b"clock.signal.started"),
                ("ce_source", b"/stages/routing"), ("ce_subject", subject.encode()), ("ce_time", time_text),
                ("content-type", b"application/avro"), ("ce_correlationid", entity.encode()),
                ("ce_causationid", event.encode()),
            ]
            produce(producer, SIGNALS, self._schema.encode(value), subject.encode(), headers=headers)
        if producer.flush(_PATIENCE_SECONDS):
            raise RuntimeError("the broker did not take the signals of the bench")

    def _lane(self, stop_when: Callable[[LaneMetrics], bool] | None = None) -> Lane:
        return Lane(
            new_stage(self._bootstrap, self._client, self._catalog, self._calendars),
            name="clocks", topics=INPUTS, group=self._group, bootstrap=self._bootstrap,
            tick_seconds=0.25, stop_when=stop_when,
        )

    def _start(self, count: int) -> tuple[float, float]:
        """(clocks a second, µs of CPU each) from the first batch to the last: joining the group is no work."""
        marks: list[tuple[int, float, float]] = []

        def is_done(metrics: LaneMetrics) -> bool:
            if metrics.records and (not marks or metrics.records >= count):
                marks.append((metrics.records, time.perf_counter(), cpu_seconds()))
            return metrics.records >= count

        self._lane(is_done).run()
        (had, began, cpu), (_, ended, cpu_then) = marks[0], marks[-1]
        return (count - had) / (ended - began), (cpu_then - cpu) / (count - had) * 1e6

    def _rebuild(self, count: int) -> tuple[float, int]:
        """A process of its own takes up all partitions, and writes the index anew: (seconds, bytes that it grew by)."""
        self._client.flushdb()
        pool = self._client.connection_pool.connection_kwargs
        with ProcessPoolExecutor(1, get_context("spawn")) as heir:
            taken = heir.submit(take_up, self._bootstrap, pool["host"], pool["port"], self._root)
            seconds, grown, held = taken.result()
        if held != count:
            raise RuntimeError(f"the index holds {held} of {count} clocks")
        return seconds, grown

    def _fall_due(self, count: int) -> tuple[list[float], float]:
        """(lateness of each alert until a consumer has it, sorted; alerts a second from the due moment to the last)."""
        lane = self._lane()
        thread = threading.Thread(target=lane.run, daemon=True)
        thread.start()
        try:
            # The lane takes up all that is held before its first record: the time of that is not lateness.
            self._write(1, _DAYS, _now(), "first")
            self._await_first_record(lane)
            due_at = (_now() + _AHEAD).replace(microsecond=0)
            self._write(count, _HOURS, due_at - timedelta(hours=_HOURS.due.n), "due")
            heard = sorted(self._listen(count, due_at))
        finally:
            lane.stop()
            thread.join(60)
        return heard, count / max(heard[-1], 0.001)

    def _await_first_record(self, lane: Lane) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not lane.metrics.records:
            if time.monotonic() > until:
                raise RuntimeError("the lane did not begin")
            time.sleep(0.05)

    def _listen(self, count: int, due_at: datetime) -> list[float]:
        consumer = new_consumer(self._bootstrap, group=f"bench-{uuid.uuid4()}", client_id="bench-alerts")
        consumer.subscribe([ALERTS])
        heard: dict[bytes, float] = {}
        until = time.monotonic() + _PATIENCE_SECONDS
        try:
            while len(heard) < count:
                if time.monotonic() > until:
                    raise RuntimeError(f"{len(heard)} of {count} alerts came")
                for message in consumer.consume(5000, 0.1):
                    headers = dict(cast("Headers", message.headers() or []))
                    heard.setdefault(headers["ce_id"], (_now() - due_at).total_seconds())
        finally:
            consumer.close()
        return list(heard.values())

    def _used(self) -> int:
        return int(self._client.info("memory")["used_memory"])


def bench_clocks(bootstrap: str, client: redis.Redis, root: Path, *, count: int, due: int) -> ClocksMeasured:
    """Runs the whole bench; ``root`` holds schemas and calendars.

    Raises RuntimeError if the broker, the index or the stage did not do it all.
    """
    tune_collector()
    return Bench(bootstrap, client, root).run(count, due)


def new_stage(
    bootstrap: str, client: redis.Redis, catalog: Catalog, calendars: Mapping[str, Calendar]
) -> ClocksStage:
    """The real stage with the rules of the bench."""
    return ClocksStage(
        rules=_RULES, calendars=calendars, catalog=catalog, loader=KafkaStateLoader(bootstrap),
        index=DueIndex(client), map_version="bench",
    )


def take_up(bootstrap: str, host: str, port: int, root: Path) -> tuple[float, int, int]:
    """What an heir does: (seconds, bytes that the process grew by, clocks in the index)."""
    tune_collector()
    with redis.Redis(host=host, port=port) as client:
        stage = new_stage(bootstrap, client, Catalog.load(root), load_calendars(root))
        places = [(SIGNALS, number) for number in KafkaStateLoader(bootstrap).partitions()]
        stage.on_assigned(places)
        before, began = _resident(), time.perf_counter()
        stage.tick(_now())
        seconds = time.perf_counter() - began
        held = sum(DueIndex(client).count(partition) for _, partition in places)
        return seconds, _resident() - before, held


def _entity(name: str, number: int) -> str:
    return derive_id("bench", name, str(number))


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _now() -> datetime:
    return datetime.now(UTC)
