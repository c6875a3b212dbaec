"""Decisions to try again are values: checked without a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.retry import (
    LONGEST_RETRY_AFTER_SECONDS,
    GiveUp,
    RetryAt,
    RetryPolicy,
    is_permanent,
    is_success,
    retry_after_seconds,
)

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_delays_grow_to_their_limit_and_end() -> None:
    policy = RetryPolicy(max_attempts=5, first_delay_seconds=1, factor=3, max_delay_seconds=10, jitter=0.2)
    decisions = [policy.decide(n) for n in range(1, 6)]
    assert decisions == [RetryAt(1), RetryAt(3), RetryAt(9), RetryAt(10), GiveUp("5 attempts failed")]


@given(st.integers(1, 3), st.floats(0, 1))
def test_jitter_stays_within_its_share(attempts: int, chance: float) -> None:
    policy = RetryPolicy(max_attempts=9, first_delay_seconds=1, factor=2, max_delay_seconds=60, jitter=0.25)
    decision = policy.decide(attempts, chance=chance)
    plain = 2.0 ** (attempts - 1)
    assert isinstance(decision, RetryAt)
    assert plain * 0.75 <= decision.delay_seconds <= plain * 1.25


def test_a_wish_of_the_other_side_is_a_floor_or_the_end() -> None:
    policy = RetryPolicy(first_delay_seconds=1, max_delay_seconds=5, jitter=0)
    assert policy.decide(1, retry_after_seconds=4) == RetryAt(4)
    assert policy.decide(1, retry_after_seconds=0) == RetryAt(1)
    assert policy.decide(1, retry_after_seconds=6) == GiveUp("the other side asks to wait 6 s")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "done"), (202, "done"), (299, "done"), (301, "again"), (307, "again"), (400, "never"),
     (404, "never"), (408, "again"), (410, "never"), (422, "never"), (425, "again"), (429, "again"),
     (500, "again"), (503, "again"), (599, "again")],
)
def test_what_a_status_says(status: int, verdict: str) -> None:
    found = "done" if is_success(status) else "never" if is_permanent(status) else "again"
    assert found == verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("0", 0.0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
     (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0), ("soon", None), ("", None), ("-5", None),
     ("1.5", None), ("99999999999999999999", LONGEST_RETRY_AFTER_SECONDS), ("٣", None)],
)
def test_retry_after_in_both_forms(text: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": text}, NOW) == seconds


def test_no_retry_after() -> None:
    assert retry_after_seconds({}, NOW) is None
