"""``hub clocks``: lists, one clock, and why it is due when it is."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from hub.cli import clocks, clocks_common
from hub.clocks.view import ClocksView
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Signal
from tests.support_clocks import CALENDARS, DEPARTMENT, RULES, SUBJECT, signal


def clock(*signals: Signal) -> ClockState:
    state: ClockState | None = None
    for each in signals:
        rule = RULES[each.rule]
        state, _ = apply(state, each, rule, CALENDARS[rule.calendar])
    assert state is not None
    return state


RUNNING = clock(signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30"))
MET = clock(
    signal("start", "v2", "2026-09-01", counts_from="2026-09-01", entity="e2"),
    signal("meet", "r1", "2026-09-10", entity="e2"),
)
PROVISIONAL = clock(signal("start", "v3", "2026-12-04", counts_from="2026-12-04", entity="e3"))


@pytest.fixture(autouse=True)
def view(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ClocksView([PROVISIONAL, RUNNING, MET], RULES, CALENDARS)
    monkeypatch.setattr(clocks_common, "open_view", lambda: made)
    monkeypatch.setattr(clocks_common, "department_names", lambda: {DEPARTMENT: "甘南州市场监督管理局"})


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(clocks.app, list(arguments))
    return result.exit_code, result.stdout


def test_lists_the_earliest_due_first() -> None:
    code, out = run("list")
    assert code == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == [MET.clock_id, RUNNING.clock_id, PROVISIONAL.clock_id]
    assert lines[1][1:] == ["disclose", "计时中", "2026-11-04", SUBJECT, "-"]
    assert lines[2][3] == "2027-01-01 暂定"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("--status", "met"), 1), (("--rule", "disclose"), 3), (("--rule", "push"), 0),
        (("--subject", SUBJECT, "--status", "running"), 2), (("--department", "x"), 0),
    ],
)
def test_filters(filters: tuple[str, ...], count: int) -> None:
    assert len(json.loads(run("list", "--json", *filters)[1])) == count


def test_shows_a_clock_by_the_beginning_of_its_id() -> None:
    code, out = run("show", RUNNING.clock_id[:8])
    assert code == 0
    assert "2026-11-04，24:00 (Asia/Shanghai)" in out
    assert json.loads(run("show", RUNNING.clock_id, "--json")[1])["due_at"] == "2026-11-04T16:00:00.000Z"


def test_explains_every_day_that_did_not_count() -> None:
    code, out = run("explain", RUNNING.clock_id)
    assert code == 0
    for text in ("2026-10-08  州庆", "2026-10-01  国庆节", "2026-10-11  星期日", CALENDARS["gannan"].version):
        assert text in out
    assert "2026-10-10" not in out  # a worked Saturday
    found = json.loads(run("explain", RUNNING.clock_id, "--json")[1])
    # 35 days from 1 October to 4 November, of which 20 count.
    assert len(found["days_off"]) == 15
    assert found["is_calendar_current"]


@pytest.mark.parametrize("clock_id", ["ffffffff", ""])
def test_an_id_that_fits_none_or_several_is_misuse(clock_id: str) -> None:
    assert run("show", clock_id)[0] == 2
    assert run("explain", clock_id)[0] == 2


def test_reports_punctuality_with_the_names_of_departments() -> None:
    code, out = run("report", "--by", "department", "--by", "rule", "--format", "csv", "--from", "2026-09-01")
    assert code == 0
    (line,) = list(csv.DictReader(out.splitlines()))
    assert (line["department"], line["department_name"]) == (DEPARTMENT, "甘南州市场监督管理局")
    assert (line["rule"], line["total"], line["met"]) == ("disclose", "3", "1")
    found = json.loads(run("report", "--format", "json", "--to", "2026-10-31")[1])
    assert [row["rule"] for row in found["rows"]] == ["disclose"]
    assert found["sum"]["total"] == found["rows"][0]["met"] == 1
    assert found["sum"]["punctuality"] == 1.0
    table = run("report", "--by", "department")[1]
    assert "甘南州市场监督管理局" in table and "合计" in table


@pytest.mark.parametrize("arguments", [("--by", "weather"), ("--from", "1 May")])
def test_a_report_of_what_is_not_there_is_misuse(arguments: tuple[str, str]) -> None:
    assert run("report", *arguments)[0] == 2
