"""Versions that are not published: the index says the same in whatever order topics are read."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from hub.intake.tentative import behind, is_tentative, published, tentative
from hub.state.seen_index import SeenRow

RECORDED, AMENDED = "inspection.result.recorded", "inspection.result.amended"
WAIT = "identity.wait.changed"
A, B = b"a" * 8, b"b" * 8


def test_a_version_that_waits_uses_no_number() -> None:
    first = tentative(None, A)
    assert is_tentative(first) and (first.version, published(first)) == (1, None)
    row = SeenRow(3, A, RECORDED)
    later = tentative(row, B)
    before = published(later)
    assert later.version == 4 and before is not None and (before.version, before.state) == (3, RECORDED)
    assert published(row) == row and published(None) is None


def test_an_event_goes_before_what_waited_under_its_number() -> None:
    records = [(1, A, RECORDED, None), (2, A, WAIT, RECORDED), (2, B, AMENDED, None)]
    for order in permutations(records):
        row: SeenRow | None = None
        for version, digest, type_, prior in order:
            row = behind(row, version, digest, type_, prior) or row
        assert row is not None and (row.version, row.digest) == (2, B) and not is_tentative(row)


@given(st.permutations([(1, A, RECORDED, None), (2, B, WAIT, RECORDED)]))
def test_what_waits_keeps_the_state_before_it(order: list[tuple[int, bytes, str, str | None]]) -> None:
    row: SeenRow | None = None
    for version, digest, type_, prior in order:
        row = behind(row, version, digest, type_, prior) or row
    before = published(row)
    assert row is not None and is_tentative(row) and row.digest == B
    assert before is not None and (before.version, before.state) == (1, RECORDED)


def test_an_amendment_that_is_the_first_of_its_row_says_its_state() -> None:
    assert behind(None, 2, A, AMENDED, None) == SeenRow(2, A, "")
    assert behind(None, 2, A, AMENDED, None, RECORDED) == SeenRow(2, A, RECORDED)
