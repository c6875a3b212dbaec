"""How often ``hub lag`` looks before it says how a group stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.cli import lag as commands
from hub.domain.lag import GroupLag, GroupLook, Member, PlaceLook, judge

NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)
HERE = (Member("m-1", "hub", "127.0.0.1"),)


class Group:
    """A group that is looked at, and commits every so many seconds what came until then; ``None`` is never."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, rhythm: float | None, members: tuple[Member, ...] = HERE
    ) -> None:
        self.rhythm, self.members, self.seconds = rhythm, members, 0.6
        self.looks: list[GroupLook] = []
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def observe(self) -> list[GroupLag]:
        end = 1000 + int(100 * self.seconds)
        committed = 0 if self.rhythm is None else 1000 + int(100 * (self.seconds // self.rhythm * self.rhythm))
        place = PlaceLook("t", 0, 0, end, committed, committed if committed < end else None, NOW)
        self.looks.append(GroupLook("g", NOW + timedelta(seconds=self.seconds), (place,), self.members))
        return [judge(self.looks)]

    def describe(self, lags: list[GroupLag]) -> list[GroupLag]:
        return lags


def looked_at(group: Any) -> str:
    found: Any = commands.look(group)
    return str(found[0].verdict)


@pytest.mark.parametrize(("rhythm", "looks"), [(0.25, 2), (2.0, 3), (5.0, 6)])
def test_a_group_that_gets_on_is_looked_at_until_it_has_committed(
    monkeypatch: pytest.MonkeyPatch, rhythm: float, looks: int
) -> None:
    group = Group(monkeypatch, rhythm)
    assert (looked_at(group), len(group.looks)) == ("ok", looks)


def test_one_that_does_not_is_stalled_after_the_longest_rhythm_of_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(monkeypatch, None)
    assert (looked_at(group), len(group.looks)) == ("stalled", 7)


def test_one_that_nobody_is_in_needs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(monkeypatch, None, members=())
    assert (looked_at(group), len(group.looks)) == ("stopped", 2)
