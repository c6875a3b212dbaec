"""What may be committed while records finish out of order."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hub.bus.offsets import OffsetTracker


def test_nothing_read_nothing_to_commit() -> None:
    assert OffsetTracker().committable() is None


def test_an_open_record_holds_the_commit_back_and_no_other() -> None:
    tracker = OffsetTracker()
    assert [tracker.take(offset) for offset in (5, 6, 9)] == [True] * 3
    tracker.finish(6)
    tracker.finish(9)
    assert (tracker.committable(), len(tracker), tracker.ahead) == (5, 1, 5)
    tracker.finish(5)
    assert (tracker.committable(), len(tracker), tracker.ahead) == (10, 0, 0)


def test_what_is_read_again_is_known() -> None:
    tracker = OffsetTracker()
    tracker.take(3)
    assert not tracker.take(3)
    tracker.finish(3)
    tracker.finish(3)
    assert not tracker.take(3)
    assert tracker.committable() == 4


@given(st.lists(st.integers(0, 200), unique=True, min_size=1).map(sorted), st.randoms())
def test_never_beyond_what_is_open(offsets: list[int], chance: Random) -> None:
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.take(offset)
    unfinished = set(offsets)
    order = list(offsets)
    chance.shuffle(order)
    for offset in order:
        assert tracker.committable() == min(unfinished)
        tracker.finish(offset)
        unfinished.discard(offset)
    assert tracker.committable() == offsets[-1] + 1
