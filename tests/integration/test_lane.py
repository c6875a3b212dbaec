"""The lane on a real Kafka: order, poison, back-off, the end, kill -9, a shared group."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from hub.bus.batch import LaneMetrics
from hub.bus.clients import MAX_VALUE_BYTES, new_consumer, new_producer
from hub.bus.dead_letters import dead_letter_topic, origin_of, without_errors
from hub.bus.lane import Lane
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record, header
from hub.bus.stage import Stage
from hub.errors import BrokerError, PoisonError

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

TopicName = Callable[..., str]
ROOT = Path(__file__).resolve().parent.parent.parent


class Copy(Stage):
    """Each record to ``target`` under its own headers; ``fails`` may raise for a record."""

    def __init__(self, target: str, fails: Callable[[Record], None] = lambda record: None) -> None:
        self.target, self._fails = target, fails
        self.places: set[tuple[str, int]] = set()
        self.seen = 0
        self.is_closed = False

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        for record in records:
            self._fails(record)
        self.seen += len(records)
        return [[Output(self.target, one.key, one.value, [*one.headers, ("copied", b"1")])] for one in records]

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.places.update(partitions)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.places.difference_update(partitions)

    def close(self) -> None:
        self.is_closed = True


class Course:
    """Input, output and dead letters of one test."""

    def __init__(self, kafka: KafkaLike, create: CreateTopics, partitions: int) -> None:
        self.bootstrap, self.name = kafka.bootstrap, f"lane-{uuid.uuid4().hex[:8]}"
        self.source, self.target = f"{self.name}.in.v1", f"{self.name}.out.v1"
        self.dead = dead_letter_topic(self.name)
        create(self.source, self.target, self.dead, partitions=partitions)

    def write(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        producer = new_producer(self.bootstrap, client_id="test")
        for number, (key, value) in enumerate(records):
            producer.produce(
                self.source, value, key, headers=[("ce_id", b"%d" % number), ("twice", b"a"), ("twice", b"")]
            )
            producer.poll(0)
        assert producer.flush(30) == 0

    def read(self, topic: str) -> list[Record]:
        return list(read_topics(self.bootstrap, [topic]))

    def lane(self, stage: Stage, **more: Any) -> Lane:
        given: dict[str, Any] = {"backoff_seconds": (0.01, 0.05), **more}
        return Lane(stage, name=self.name, topics=[self.source], group=self.name, bootstrap=self.bootstrap, **given)

    def committed(self) -> int:
        """Sum of the group's commits over all partitions."""
        consumer = new_consumer(self.bootstrap, group=self.name, client_id="test")
        try:
            partitions = consumer.list_topics(self.source, timeout=15).topics[self.source].partitions
            found = consumer.committed([TopicPartition(self.source, number) for number in partitions], timeout=15)
            return sum(max(place.offset, 0) for place in found)
        finally:
            consumer.close()


@pytest.fixture
def course(kafka: KafkaLike, create_topics: CreateTopics) -> Course:
    return Course(kafka, create_topics, partitions=4)


@contextmanager
def running(*lanes: Lane) -> Iterator[None]:
    threads = [threading.Thread(target=lane.run) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for lane, thread in zip(lanes, threads, strict=True):
            lane.stop()
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.05)


def numbered(count: int, keys: int = 20) -> list[tuple[bytes, bytes]]:
    return [(b"subject-%d" % (number % keys), b"%d" % number) for number in range(count)]


def after(count: int) -> Callable[[LaneMetrics], bool]:
    return lambda metrics: metrics.records >= count


def test_the_order_of_each_key_is_kept_and_all_is_committed(course: Course) -> None:
    course.write(numbered(3000))
    stage = Copy(course.target)
    lane = course.lane(stage, max_batch=70, stop_when=after(3000))
    lane.run()
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for record in course.read(course.target):
        assert record.key is not None and record.value is not None
        by_key[record.key].append(int(record.value))
    assert by_key == {b"subject-%d" % key: list(range(key, 3000, 20)) for key in range(20)}
    assert course.committed() == 3000
    assert (lane.metrics.records, lane.metrics.outputs, lane.metrics.dead_lettered) == (3000, 3000, 0)
    assert stage.is_closed and not stage.places


def test_poison_goes_to_the_dead_letters_as_it_was_and_its_followers_pass(course: Course) -> None:
    def fails(record: Record) -> None:
        if record.value == b"\x00poison\xff":
            raise PoisonError("Its length is wrong.")
        if record.value == b"fault":
            raise ZeroDivisionError("a fault of the stage")

    course.write([(b"a", b"1"), (b"a", b"\x00poison\xff"), (b"a", b"2"), (b"a", b"fault"), (b"a", b"3")])
    lane = course.lane(Copy(course.target, fails), rule_version="m7", stop_when=after(5))
    lane.run()
    assert [record.value for record in course.read(course.target)] == [b"1", b"2", b"3"]
    originals = {record.offset: record for record in course.read(course.source)}
    dead = course.read(course.dead)
    assert [record.value for record in dead] == [b"\x00poison\xff", b"fault"]
    assert lane.metrics.dead_lettered == 2
    for record, offset, kind, message in zip(
        dead, (1, 3), (b"PoisonError", b"ZeroDivisionError"), (b"Its length is wrong.", b"a fault of the stage"),
        strict=True,
    ):  # fmt: skip
        original = originals[offset]
        assert (record.key, record.value) == (original.key, original.value)
        assert without_errors(record) == original.headers
        assert origin_of(record) == (course.source, original.partition, offset)
        added = dict(record.headers[len(original.headers) :])
        times = [added.pop(f"__hub.errors.{which}-failed-at") for which in ("first", "last")]
        assert all(time.endswith(b"+00:00") for time in times)
        assert added == {
            "__streams.errors.exception": kind,
            "__streams.errors.message": message,
            "__streams.errors.topic": course.source.encode(),
            "__streams.errors.partition": b"%d" % original.partition,
            "__streams.errors.offset": b"%d" % offset,
            "__hub.errors.attempts": b"1",
            "__hub.errors.rule-version": b"m7",
        }
    assert course.committed() == 5


def test_an_error_that_may_pass_is_waited_out_and_nothing_is_skipped(course: Course) -> None:
    failures = iter(range(5))

    def fails(record: Record) -> None:
        if record.value == b"7" and next(failures, None) is not None:
            raise BrokerError("not now")

    course.write(numbered(40, keys=1))
    lane = course.lane(Copy(course.target, fails), max_batch=10, stop_when=after(40))
    lane.run()
    assert [record.value for record in course.read(course.target)] == [b"%d" % number for number in range(40)]
    assert (lane.metrics.retries, lane.metrics.dead_lettered) == (5, 0)
    assert course.read(course.dead) == []


def test_stop_ends_a_lane_that_backs_off_and_commits_only_what_is_done(course: Course) -> None:
    def fails(record: Record) -> None:
        if record.offset >= 10:
            raise BrokerError("never again")

    course.write(numbered(20, keys=1))
    lane = course.lane(Copy(course.target, fails), max_batch=5)
    with running(lane):
        wait_for(lambda: lane.metrics.retries >= 3)
    assert course.committed() == lane.metrics.records <= 10
    course.lane(Copy(course.target), stop_when=after(20 - lane.metrics.records)).run()
    assert [record.value for record in course.read(course.target)] == [b"%d" % number for number in range(20)]


def test_an_output_that_is_too_large_makes_a_dead_letter_of_its_input(course: Course) -> None:
    class Swell(Copy):
        def handle(self, records: Sequence[Record]) -> list[list[Output]]:
            return [
                [Output(self.target, one.key, one.value and one.value * MAX_VALUE_BYTES, [])] if one.value == b"xx"
                else [Output(self.target, one.key, one.value, [])]
                for one in records
            ]  # fmt: skip

    course.write([(b"a", b"1"), (b"a", b"xx"), (b"a", b"2")])
    course.lane(Swell(course.target), stop_when=after(3)).run()
    assert [record.value for record in course.read(course.target)] == [b"1", b"2"]
    [dead] = course.read(course.dead)
    assert dead.value == b"xx"
    message = header(dead.headers, "__streams.errors.message") or b""
    assert f"{2 * MAX_VALUE_BYTES} bytes; the bound is {MAX_VALUE_BYTES}".encode() in message


def test_two_lanes_share_the_partitions_and_one_takes_over_from_the_other(course: Course) -> None:
    stages = [Copy(course.target), Copy(course.target)]
    first, second = (course.lane(stage) for stage in stages)
    everything = {(course.source, number) for number in range(4)}
    with running(second):
        with running(first):
            wait_for(lambda: all(len(stage.places) == 2 for stage in stages))
            assert stages[0].places | stages[1].places == everything
            course.write(numbered(400))
            wait_for(lambda: first.metrics.records + second.metrics.records >= 400)
        assert min(first.metrics.records, second.metrics.records) > 0
        wait_for(lambda: stages[1].places == everything)
        course.write(numbered(400))
        wait_for(lambda: first.metrics.records + second.metrics.records >= 800)
    assert len(course.read(course.target)) == 800  # an orderly hand-over repeats nothing
    assert course.committed() == 800


SCRIPT = """
import functools, signal, sys
import hub.bus.lane
from hub.bus.lane import Lane
from tests.integration.test_lane import Copy
name, source, target, bootstrap = sys.argv[1:]
# The shortest that the broker allows: what a killed process held is waited for this long.
hub.bus.lane.new_consumer = functools.partial(hub.bus.lane.new_consumer, **{"session.timeout.ms": 6000})
lane = Lane(Copy(target), name=name, topics=[source], group=name, bootstrap=bootstrap, max_batch=50, max_in_flight=3)
signal.signal(signal.SIGTERM, lambda *_: lane.stop())
lane.run()
"""


def start(course: Course) -> subprocess.Popen[bytes]:
    names = (course.name, course.source, course.target, course.bootstrap)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *names], cwd=ROOT, stdout=subprocess.DEVNULL)


def test_a_lane_that_is_killed_again_and_again_loses_nothing(course: Course) -> None:
    chance, written = random.Random(623000), 0
    producer = new_producer(course.bootstrap, client_id="test")

    def write(count: int) -> None:
        nonlocal written
        for number in range(written, written + count):
            producer.produce(course.source, b"%d" % number, b"subject-%d" % (number % 20))
        written += count
        assert producer.flush(30) == 0

    def copied() -> int:
        return len(course.read(course.target))

    process: subprocess.Popen[bytes] | None = None
    try:
        for _ in range(3):
            before = copied()
            write(5000)
            process = start(course)
            wait_for(lambda before=before: copied() > before)  # type: ignore[misc]  # a default has no type here
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
            assert process.wait(30) == -signal.SIGKILL
        write(1000)
        process = start(course)
        wait_for(lambda: course.committed() == written)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(30)
    found = {int(record.value or b"-1") for record in course.read(course.target)}
    assert found == set(range(written))


def test_sigterm_ends_a_process_with_all_that_it_wrote_committed(course: Course) -> None:
    course.write(numbered(20_000))
    process = start(course)
    try:
        wait_for(lambda: course.committed() > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
    # What was drained is committed, to the record: nothing of it comes again.
    assert course.committed() == len(course.read(course.target))


# -- with a broker of the test's own making: when exactly something is committed -----------------------


class Message:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def __getattr__(self, name: str) -> Callable[[], Any]:
        said = {"topic": "in", "partition": 0, "offset": self._offset, "timestamp": (1, 0), "key": b"k",
                "value": b"%d" % self._offset, "headers": None, "error": None}  # fmt: skip
        return lambda: said[name]


class Broker:
    """Consumer and producer at once; gives a record a time, and acknowledges what ``script`` says."""

    def __init__(self, count: int) -> None:
        self.count, self.position = count, 0
        self.waiting: dict[int, Callable[[KafkaError | None, Any], None]] = {}
        self.commits: list[int] = []
        self.seeks: list[int] = []

    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        on_assign(self, self.assignment())

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("in", 0)]

    def consume(self, _count: int, _seconds: float) -> list[Message]:
        if self.position >= self.count:
            return []
        self.position += 1
        return [Message(self.position - 1)]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.commits.append(offsets[0].offset)

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition("in", 0, self.commits[-1] if self.commits else -1001)]

    def get_watermark_offsets(self, _place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self.count

    def seek(self, place: TopicPartition) -> None:
        self.seeks.append(place.offset)
        self.position = place.offset

    def produce(
        self, _topic: str, value: bytes, _key: bytes, _partition: int, *, on_delivery: Any, headers: Any
    ) -> None:
        self.waiting[int(value)] = on_delivery

    def answer(self, number: int, error: KafkaError | None = None) -> None:
        self.waiting.pop(number)(error, None)

    def poll(self, _seconds: float) -> int:
        return 0

    def purge(self) -> None:
        self.waiting.clear()

    def flush(self, _seconds: float) -> int:
        return 0

    def close(self) -> None:
        pass


def run_with(monkeypatch: pytest.MonkeyPatch, broker: Broker, script: Callable[[], bool]) -> None:
    """Runs a lane of one record a batch; ``script`` is called after every step and says when to stop."""
    monkeypatch.setattr("hub.bus.lane.new_consumer", lambda *_, **__: broker)
    monkeypatch.setattr("hub.bus.lane.new_producer", lambda *_, **__: broker)
    Lane(
        Copy("out"), name="spied", topics=["in"], group="g", bootstrap="", commit_seconds=0, shutdown_seconds=0.05,
        backoff_seconds=(0.0, 0.0), stop_when=lambda _: script(),
    ).run()  # fmt: skip


def test_a_commit_never_passes_an_output_that_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(4)
    seen: list[list[int]] = []

    def script() -> bool:
        if not seen and len(broker.waiting) == 4:
            broker.answer(1)
            broker.answer(2)
        elif not seen and set(broker.waiting) == {0, 3} and broker.position == 4:
            seen.append(list(broker.commits))
            broker.answer(0)
        elif seen:
            seen.append(list(broker.commits))
            return True
        return False

    run_with(monkeypatch, broker, script)
    assert seen == [[], [3]]  # 1 and 2 wait for 0
    assert broker.commits == [3]  # nor does the end commit 3, of which nobody knows


def test_after_a_refused_output_the_lane_goes_back_to_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(3)
    refused = KafkaError(KafkaError._MSG_TIMED_OUT)
    is_refused = False

    def script() -> bool:
        nonlocal is_refused
        if not is_refused and len(broker.waiting) == 3:
            broker.answer(0)
            broker.answer(1, refused)
            broker.answer(2)
            is_refused = True
        elif is_refused and set(broker.waiting) == {1, 2}:
            assert max(broker.commits, default=0) <= 1
            broker.answer(1)
            broker.answer(2)
        return 3 in broker.commits

    run_with(monkeypatch, broker, script)
    assert broker.seeks == [1]
    assert broker.commits[-1] == 3


def test_a_wave_is_written_when_the_one_before_it_is_acknowledged(course: Course) -> None:
    class Teller(Copy):
        def __init__(self) -> None:
            super().__init__(course.target)
            self.revoked = self.ticks = 0

        def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
            super().on_revoked(partitions)
            self.revoked += 1

        def tick(self, now: datetime) -> list[list[Output]]:
            self.ticks += 1
            # The broker refuses the first: neither it nor what tells of it may be there.
            said = random.Random(7).randbytes(1_500_000) if self.ticks == 1 else b"said"
            waves = [[Output(course.target, b"k", said, [])], [], [Output(course.target, b"k", b"told", [])]]
            return waves if self.ticks <= 2 else []

    stage = Teller()
    lane = course.lane(stage, tick_seconds=0.1)
    with running(lane):
        wait_for(lambda: stage.ticks > 2)
        # What the stage remembers may be ahead of the log: it gets its partitions anew.
        assert stage.revoked == 1
        assert stage.places
    assert [record.value for record in course.read(course.target)] == [b"said", b"told"]
