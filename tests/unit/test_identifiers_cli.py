"""``hub ids check``: one line out for each line in, and what the exit code says."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hub.cli.ids import app

GOOD = "91623000739699913A"


def run(arguments: list[str], lines: str | bytes = "") -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, arguments, input=lines)
    return result.exit_code, result.stdout.splitlines()


def test_all_valid_is_exit_0() -> None:
    code, lines = run(["check", "-"], f"{GOOD}\n6230002\u300000001232\n")
    assert code == 0
    assert lines == [
        f"{GOOD}\t{GOOD}\tuscc\tvalid\t",
        "6230002\u300000001232\t623000200001232\tregistration\tvalid\t",
    ]


@pytest.mark.parametrize("wrong", ["91623000739699913B", "9162300O739699913A", ""])
def test_one_that_is_wrong_or_to_be_repaired_is_exit_1(wrong: str) -> None:
    code, lines = run(["check", "-"], f"{GOOD}\n{wrong}\n")
    assert code == 1
    assert len(lines) == 2
    assert lines[1].split("\t")[3] in ("invalid", "repaired")


def test_json_lines_carry_the_offer() -> None:
    code, lines = run(["check", "--json", "-"], "9162300O739699913A\r\n")
    assert code == 1
    found = json.loads(lines[0])
    assert (found["input"], found["repair"], found["verdict"]) == ("9162300O739699913A", GOOD, "repaired")


def test_codes_may_be_arguments_and_none_is_misuse() -> None:
    assert run(["check", GOOD])[0] == 0
    assert run(["check"])[0] == 2


def test_every_line_keeps_its_five_fields() -> None:
    good = GOOD.encode()
    _, lines = run(["check", "-"], b"\xef\xbb\xbf" + good + b"\n\t" + good + b"\n" + "无".encode("gb18030"))
    assert [len(line.split("\t")) for line in lines] == [5, 5, 5]
    assert [line.split("\t")[0] for line in lines] == [GOOD, f"\\t{GOOD}", "无"]
