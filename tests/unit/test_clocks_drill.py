"""A small drill: it adds up, it is the same for the same seed, and it notices what does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime

import pytest
import structlog
from typer.testing import CliRunner

from hub.bus.records import Output
from hub.cli import clocks
from hub.clocks.drill import Drill, Drilled
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import ALERTS
from hub.domain.clocks import Due
from tests.support_clocks import CALENDARS, DISCLOSE, PUSH
from tests.support_contracts import catalog

_HOURS = replace(DISCLOSE, id="hours", due=Due(24, "hours"), warn=(2,))
_ROUNDS = replace(DISCLOSE, id="rounds", repeats=True, escalate=(1, 5))
_STOPS = replace(
    DISCLOSE, id="stops", due=Due(10, "calendar-days"), suspended_by=("a.lead.suspended",), cancelled_by=("a.lead.x",)
)
_TERM = replace(DISCLOSE, id="term", due=Due(1, "months"), on_due="expire", met_by=(), until="publish_until")
_PERIOD = replace(DISCLOSE, id="period", per="period", every="year", starts_on=())
RULES = {rule.id: rule for rule in (DISCLOSE, PUSH, _HOURS, _ROUNDS, _STOPS, _TERM, _PERIOD)}
DEPARTMENTS = {"education": "1162300099000013XW", "transport": "11623000990000156P"}


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """The command sends the log to a stream that ends with it."""
    yield
    structlog.reset_defaults()


def drilled(events: int = 2000, days: int = 365) -> Drilled:
    made = Drill(RULES, CALENDARS, catalog(), DEPARTMENTS)
    return made.run(seed=3, events=events, first=date(2026, 1, 1), days=days)


def test_a_year_adds_up() -> None:
    made = drilled()
    assert [check for check in made.checks if not check.is_passed] == []
    assert made.clocks == 2000 and set(made.alerts) == {"warned", "breached", "escalated", "expired"}
    assert {row.key[0] for row in made.by_rule.rows} == RULES.keys() - {"period"}
    assert {row.key[0] for row in made.by_department.rows} == set(DEPARTMENTS.values())
    for outcome in ("met", "met_late", "overdue", "running", "cancelled", "ended"):
        assert made.by_rule.sum.counts[outcome] > 0, outcome


def test_the_same_seed_gives_the_same_drill() -> None:
    assert drilled(200, 60) == drilled(200, 60)


def failed(made: Drilled) -> list[str]:
    return [check.name for check in made.checks if not check.is_passed]


def test_an_alert_that_is_not_said_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tick = ClocksStage.tick

    def silent(stage: ClocksStage, now: datetime) -> Sequence[Sequence[Output]]:
        return [[each for each in wave if each.topic != ALERTS] for wave in tick(stage, now)]

    monkeypatch.setattr(ClocksStage, "tick", silent)
    assert failed(drilled(200, 90)) == ["each end that passed is said once"]


def test_an_alert_that_is_said_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tick = ClocksStage.tick
    monkeypatch.setattr(ClocksStage, "tick", lambda stage, now: [wave for wave in tick(stage, now) for _ in (1, 2)])
    assert failed(drilled(200, 90)) == ["no alert has the id of another"]


def test_the_command_drills_the_map_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["drill", "--events", "150", "--days", "60", "--json"]
    result = CliRunner().invoke(clocks.app, arguments)
    found = json.loads(result.stdout[result.stdout.index("{\n"):])
    assert result.exit_code == 0 and all(check["is_passed"] for check in found["checks"])
    assert sum(row["total"] for row in found["rules"]) == found["sum"]["total"] > 0
    assert all(row["department_name"] for row in found["departments"])
    assert "按期率" in CliRunner().invoke(clocks.app, arguments[:-1]).stdout
    monkeypatch.setattr("hub.clocks.drill.digest_of", lambda states: str(id(states)))
    assert CliRunner().invoke(clocks.app, arguments).exit_code == 1
    assert CliRunner().invoke(clocks.app, ["drill", "--from", "May"]).exit_code == 2
