"""The ledger rests where processors are short, and does not where it would be late by that."""

from __future__ import annotations

import pytest

from hub.bus.records import Record
from hub.ops.ledger.giving_way import PATIENCE_SECONDS, GivingWay, waited_seconds

NOW = 1_795_000_000.0


class Machine:
    """What the kernel says of the thread."""

    def __init__(self) -> None:
        self.waited = 7.0
        self.giving_way = GivingWay(waited=lambda: self.waited, now=lambda: NOW)

    def rest(self, waited: float, *ages: float) -> float:
        """After a portion of records of these ages, for which it waited so long for a processor."""
        self.waited += waited
        return self.giving_way.rest_seconds([
            Record("t", 0, number, int((NOW - age) * 1000), None, b"", []) for number, age in enumerate(ages)
        ])


def test_it_rests_for_a_multiple_of_what_it_waited_for_this_portion_alone() -> None:
    machine = Machine()
    assert machine.rest(0.0, 0.1) == 0.0
    assert machine.rest(0.01, 0.1) == pytest.approx(0.2)
    assert machine.rest(0.0, 0.1) == 0.0


def test_it_never_rests_longer_than_its_lease_bears() -> None:
    assert Machine().rest(10.0, 0.1) == 1.0


def test_it_does_not_rest_while_a_record_of_the_portion_is_older_than_its_patience() -> None:
    machine = Machine()
    assert machine.rest(0.5, 0.1, PATIENCE_SECONDS + 1, 0.2) == 0.0
    # What it waited meanwhile is not made up for afterwards.
    assert machine.rest(0.0, 0.1) == 0.0


def test_it_does_not_rest_behind_nothing() -> None:
    machine = Machine()
    assert machine.rest(0.5) == 0.0
    assert machine.rest(0.0, 0.1) == 0.0


def test_what_the_system_says_only_grows() -> None:
    before = waited_seconds()
    sum(range(100_000))
    assert 0.0 <= before <= waited_seconds()
