"""``hub calendar due``: one line for each, and clear refusals."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hub.cli.calendar import app


def run(*arguments: str, lines: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["due", *arguments], input=lines)
    return result.exit_code, result.stdout, result.stderr


def test_one_date() -> None:
    assert run("2026-09-30", "5") == (0, "2026-10-13\n", "")
    assert run("2026-09-30", "5", "--calendar", "gannan") == (0, "2026-10-14\n", "")
    assert run("2026-12-04", "20") == (0, "2027-01-01 provisional\n", "")


def test_lines() -> None:
    code, out, _ = run("-", "--calendar", "gannan", lines="2026-09-30,5\r\n2026-12-04, 20\n")
    assert (code, out) == (0, "2026-10-14\n2027-01-01 provisional\n")


def test_json_names_the_calendar_and_its_version() -> None:
    found = json.loads(run("2026-09-30", "5", "--json")[1])
    assert (found["due"], found["is_provisional"], found["calendar"]) == ("2026-10-13", False, "cn")
    assert found["calendar_version"].startswith("cn-2026-")


@pytest.mark.parametrize(
    "wrong", ["2026-13-01,5", "2026-09-30", "2026-09-30,x", "2026-09-30,0", "", "20260930,5"]
)
def test_a_wrong_line_is_named_and_what_came_before_is_answered(wrong: str) -> None:
    code, out, err = run("-", lines=f"2026-09-30,5\n{wrong}\n2026-09-30,5\n")
    assert (code, out) == (2, "2026-10-13\n")
    assert "line 2" in err


@pytest.mark.parametrize("arguments", [("2026-02-30", "5"), ("2026-02-03",), ("-", "5"), ("2026-02-03", "0")])
def test_misuse_is_exit_2(arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err
