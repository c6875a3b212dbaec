"""What looks at a group say of it: verdicts, pace, rewinds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.lag import (
    COMMIT_RHYTHM_SECONDS,
    GroupLag,
    GroupLook,
    Leave,
    Member,
    PlaceLook,
    Rewind,
    Verdict,
    judge,
)

NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)
HERE = (Member("m-1", "hub", "127.0.0.1"),)
RHYTHM = COMMIT_RHYTHM_SECONDS


def place(
    committed: int | None, end: int, *, start: int = 0, partition: int = 0, oldest: int | None = None,
    written: datetime | None = None,
) -> PlaceLook:
    """A partition without holes, unless ``oldest`` says otherwise; records are written at ``NOW``."""
    found = PlaceLook("t", partition, start, end, committed)
    unread = found.position if oldest is None and found.lag else oldest
    return found._replace(oldest_offset=unread, oldest_at=written or NOW if unread is not None else None)


def look(*places: PlaceLook, after: float = 0.0, members: tuple[Member, ...] = HERE) -> GroupLook:
    return GroupLook("g", NOW + timedelta(seconds=after), places, members)


def verdict(*looks: GroupLook) -> Verdict:
    return judge(looks).verdict


def test_a_group_without_unread_records_is_well_whether_or_not_anybody_is_in_it() -> None:
    assert verdict(look(place(5, 5))) == verdict(look(place(5, 5), members=())) == Verdict.OK
    found = judge([look(place(None, 0), members=())])
    assert (found.verdict, found.unread, found.seconds, found.drain_seconds) == (Verdict.OK, 0, 0.0, 0.0)


def test_nobody_reads_what_is_unread_is_stopped_at_the_first_look() -> None:
    assert verdict(look(place(3, 5), members=())) == Verdict.STOPPED


def test_one_look_at_a_group_with_members_says_nothing_of_its_pace() -> None:
    found = judge([look(place(3, 5))])
    assert (found.verdict, found.unread) == (Verdict.BEHIND, 2)
    assert (found.drain_rate, found.drain_seconds, found.catch_up_seconds) == (None, None, None)


def test_no_commit_that_moves_is_stalled_and_one_that_moves_is_behind() -> None:
    assert verdict(look(place(3, 9)), look(place(3, 9), after=RHYTHM)) == Verdict.STALLED
    assert verdict(look(place(3, 9)), look(place(4, 9), after=RHYTHM)) == Verdict.BEHIND


def test_looks_that_lie_between_two_commits_say_nothing_of_a_standstill() -> None:
    found = judge([look(place(3, 9)), look(place(3, 9), after=RHYTHM - 1)])
    assert (found.verdict, found.is_undecided, found.places[0].is_still) == (Verdict.BEHIND, True, False)
    longer = judge([look(place(3, 9)), look(place(3, 9), after=RHYTHM)])
    assert (longer.verdict, longer.is_undecided, longer.places[0].is_still) == (Verdict.STALLED, False, True)
    assert judge([look(place(3, 9))]).is_undecided
    # One partition moved and the other did not: the pace is known, who holds his record is not.
    both = [look(place(3, 9), place(3, 9, partition=1)), look(place(3, 9), place(4, 9, partition=1), after=1)]
    assert judge(both).is_undecided
    assert not judge([both[0], look(place(4, 9), place(4, 9, partition=1), after=1)]).is_undecided
    assert not judge([look(place(9, 9)), look(place(9, 9), after=1)]).is_undecided


@pytest.mark.parametrize("rhythm", [0.25, 2.0, 5.0])
def test_a_group_that_commits_at_its_rhythm_is_never_called_stalled(rhythm: float) -> None:
    """A hundred records a second, all read at once and committed at the rhythm; looked at from every moment on."""
    def at(moment: float) -> GroupLook:
        committed = int(100 * (moment // rhythm * rhythm))
        return look(place(committed, int(100 * moment)), after=moment)

    for number in range(100):
        began = 100 + number * 0.037
        for seconds in (1.0, 2.0, RHYTHM, 10.0):
            assert verdict(at(began), at(began + seconds)) != Verdict.STALLED


def test_a_group_that_has_read_all_that_was_there_keeps_up() -> None:
    first = look(place(3, 9))
    assert verdict(first, look(place(9, 12), after=2)) == Verdict.OK
    assert verdict(first, look(place(8, 12), after=2)) == Verdict.BEHIND
    # Nothing was unread then, and what came since is not old enough to say that nobody moves.
    assert verdict(look(place(9, 9)), look(place(9, 12), after=2)) == Verdict.OK
    assert verdict(look(place(9, 9)), look(place(9, 12), after=2), look(place(9, 12), after=4)) == Verdict.OK
    assert verdict(look(place(9, 12), after=2), look(place(9, 12), after=2 + RHYTHM)) == Verdict.STALLED


def test_what_came_to_a_group_that_keeps_up_is_read_at_once_whatever_its_pace_was() -> None:
    quiet = judge([look(place(9, 9)), look(place(9, 10), after=10)])
    assert (quiet.verdict, quiet.drain_seconds, quiet.horizon_seconds(("t", 0))) == (Verdict.OK, None, 0.0)
    # One record a minute is what came, and not what could be read.
    burst = judge([look(place(8, 9)), look(place(9, 10_009), after=60)])
    assert (burst.verdict, burst.drain_seconds, burst.horizon_seconds(("t", 0))) == (Verdict.OK, 600_000, 0.0)


def test_pace_is_that_of_commits_and_of_what_comes_in() -> None:
    found = judge([look(place(0, 100)), look(place(30, 110), after=5), look(place(60, 120), after=10)])
    assert (found.drain_rate, found.arrival_rate, found.unread) == (6.0, 2.0, 60)
    assert (found.drain_seconds, found.catch_up_seconds) == (10.0, 15.0)
    slow = judge([look(place(0, 100)), look(place(10, 120), after=10)])
    assert (slow.verdict, slow.drain_seconds, slow.catch_up_seconds) == (Verdict.BEHIND, 110.0, None)


def test_a_partition_that_holds_its_record_has_no_horizon_while_the_others_move() -> None:
    first = look(place(0, 10), place(0, 10, partition=1))
    found = judge([first, look(place(0, 10), place(5, 10, partition=1), after=10)])
    assert [each.is_still for each in found.places] == [True, False]
    assert (found.verdict, found.horizon_seconds(("t", 0)), found.horizon_seconds(("t", 1))) == ("behind", None, 30.0)


def test_a_group_that_may_stand_still_waits_and_its_horizon_is_the_end_of_its_leave() -> None:
    looks = [look(place(3, 9), after=seconds) for seconds in range(0, 61, 10)]
    closed = judge(looks, Leave(NOW + timedelta(hours=14)))
    assert (closed.verdict, closed.is_undecided) == (Verdict.WAITS, False)
    assert closed.horizon_seconds(("t", 0)) == 14 * 3600 - 60
    # What lies ready is the department's to take: the hub has done its part.
    ready = judge(looks, Leave())
    assert (ready.verdict, ready.is_ready, ready.horizon_seconds(("t", 0))) == (Verdict.WAITS, True, 0.0)
    assert judge(looks[:1], Leave()).verdict == Verdict.WAITS
    # It has just opened: the looks of before are no standstill.
    opened = judge(looks, Leave(NOW + timedelta(seconds=50)))
    assert (opened.verdict, opened.is_ready, opened.horizon_seconds(("t", 0))) == (Verdict.WAITS, False, 0.0)


def test_leave_makes_nobody_present_and_nothing_read_unread() -> None:
    night = Leave(NOW + timedelta(hours=14))
    assert judge([look(place(3, 9), members=())], night).verdict == Verdict.STOPPED
    assert judge([look(place(3, 9), members=())], night).horizon_seconds(("t", 0)) is None
    assert judge([look(place(9, 9))], night).verdict == Verdict.OK
    # What came since waits for the opening as what was there before does, whatever was read until it closed.
    fresh = judge([look(place(9, 9)), look(place(9, 10), after=10)], night)
    assert (fresh.verdict, fresh.horizon_seconds(("t", 0))) == (Verdict.OK, 14 * 3600 - 10)
    closing = judge([look(place(3, 9)), look(place(4, 9), after=10)], night)
    assert (closing.verdict, closing.horizon_seconds(("t", 0))) == (Verdict.BEHIND, 14 * 3600 - 10)


def test_a_rewind_is_named_and_is_no_pace() -> None:
    found = judge([look(place(8, 10)), look(place(2, 10), after=2), look(place(4, 10), after=4)])
    assert found.rewinds == (Rewind("t", 0, 8, 2),)
    assert (found.verdict, found.drain_rate) == (Verdict.BEHIND, 0.5)


def test_what_retention_took_is_lost_and_was_not_read() -> None:
    truncated = place(2, 10, start=7)
    assert (truncated.lag, truncated.lost, truncated.position) == (3, 5, 7)
    found = judge([look(place(2, 10)), look(truncated, after=RHYTHM)])
    assert (found.verdict, found.drain_rate, found.lost, found.unread) == (Verdict.STALLED, 0.0, 5, 3)
    # Read on from behind the gap: what was gone meanwhile counts for nobody.
    assert judge([look(place(2, 10)), look(place(8, 10, start=7), after=1)]).drain_rate == 1.0


def test_a_hole_at_the_end_is_offsets_and_no_records() -> None:
    hole = PlaceLook("t", 0, 0, 10, 7)
    found = judge([look(hole)])
    assert (hole.lag, found.unread, found.verdict, found.seconds) == (3, 0, Verdict.OK, 0.0)


def test_age_is_that_of_the_oldest_record_wherever_it_lies() -> None:
    written = NOW - timedelta(seconds=90)
    found = judge([look(place(3, 9, oldest=6, written=written), place(1, 2, partition=1))])
    assert (found.seconds, found.places[0].seconds, found.places[1].seconds) == (90.0, 90.0, 0.0)
    early = judge([look(place(3, 9, written=NOW + timedelta(seconds=5)))])
    assert early.seconds == 0.0
    timeless = judge([look(place(3, 9)._replace(oldest_at=None))])
    assert (timeless.seconds, timeless.verdict) == (None, Verdict.BEHIND)


def test_looks_at_two_groups_or_none_are_refused() -> None:
    for looks in ([], [look(), look()._replace(group="other")]):
        with pytest.raises(ValueError, match="at least one"):
            judge(looks)


STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8)


@given(st.lists(STEPS, min_size=1, max_size=3), st.booleans())
def test_whatever_comes_in_and_is_read_the_account_adds_up(
    partitions: list[list[tuple[int, int]]], is_there: bool
) -> None:
    """Arrivals and reads by partition and look: what was unread, and came, and was read, leaves what is unread."""
    count = min(map(len, partitions))
    state = [(0, 10)] * len(partitions)
    looks = [look(*(place(c, e, partition=n) for n, (c, e) in enumerate(state)), members=HERE if is_there else ())]
    for number in range(count):
        state = [
            (min(c + part[number][1], e + part[number][0]), e + part[number][0])
            for (c, e), part in zip(state, partitions, strict=True)
        ]
        looks.append(look(
            *(place(c, e, partition=n) for n, (c, e) in enumerate(state)), after=number + 1.0,
            members=HERE if is_there else (),
        ))
    found: GroupLag = judge(looks)
    assert found.drain_rate is not None and found.arrival_rate is not None
    came, read = found.arrival_rate * count, found.drain_rate * count
    assert round(10 * len(partitions) + came - read) == found.unread
    assert not found.rewinds and found.lost == 0
    if found.unread:
        assert (found.verdict == Verdict.STOPPED) == (not is_there)
        assert found.verdict != Verdict.STALLED or read == 0
    else:
        assert found.verdict == Verdict.OK
    if found.verdict in (Verdict.STOPPED, Verdict.STALLED):
        assert found.horizon_seconds(("t", 0)) is None
