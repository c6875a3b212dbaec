"""Records that were read by their positions are kept for a while, up to a bound."""

from __future__ import annotations

from hub.bus.kept_records import KeptRecords, Position
from hub.bus.records import Record


def record(offset: int, size: int = 1000) -> tuple[Position, Record]:
    return Position("t", 0, offset), Record("t", 0, offset, 0, b"k", bytes(size), [("ce_id", b"x")])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_nobody_asked_for_the_longest_leaves_first() -> None:
    kept = KeptRecords(Clock(), most_bytes=5000)
    for offset in range(3):
        kept.put(dict([record(offset)]))
    assert kept.get([Position("t", 0, 0), Position("t", 0, 9)]) == dict([record(0)])
    kept.put(dict([record(3)]))
    wanted = [Position("t", 0, offset) for offset in range(4)]
    assert {each.offset for each in kept.get(wanted)} == {0, 2, 3}
    assert kept.bytes <= 5000


def test_one_that_is_larger_than_the_bound_is_not_kept_and_the_count_is_right() -> None:
    kept = KeptRecords(Clock(), most_bytes=5000)
    kept.put(dict([record(0), record(1, 9000)]))
    assert kept.get([Position("t", 0, 0), Position("t", 0, 1)]) == {}
    assert kept.bytes == 0
    kept.put(dict([record(2)]))
    once = kept.bytes
    kept.put(dict([record(2)]))
    assert kept.bytes == once > 1000


def test_what_was_read_long_ago_is_looked_for_again() -> None:
    clock = Clock()
    kept = KeptRecords(clock, keep_seconds=10)
    kept.put(dict([record(0)]))
    clock.now = 10.0
    assert kept.get([Position("t", 0, 0)]) == dict([record(0)])
    # To have been asked for again makes it no younger: it may be gone from the log.
    clock.now = 10.1
    assert kept.get([Position("t", 0, 0)]) == {}
    assert kept.bytes == 0
