"""Stages that run beside a bench: what they used is told, and one that ends is no stage that costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.bench.beside import Beside
from hub.cli.bench import app

BUSY = [sys.executable, "-c", "while True: pass"]
ENDED = [sys.executable, "-c", "print('no such topic')"]


def test_what_ran_beside_is_told_with_what_it_used(tmp_path: Path) -> None:
    read = iter([10, 40])
    unread = iter([5, 0])
    beside = Beside({"busy": BUSY}, tmp_path, lambda: next(unread, 0), lambda: next(read), quiet_seconds=0.1)
    with beside.running() as used:
        assert used == []
        sum(range(3_000_000))
    assert used[0].cpu_seconds["busy"] >= 0 and used[0].followed == 30
    assert not list(tmp_path.glob("*.pid.json"))


def test_one_that_ended_is_said_with_its_last_words(tmp_path: Path) -> None:
    beside = Beside({"ended": ENDED}, tmp_path, lambda: 1, lambda: 0)
    with pytest.raises(RuntimeError, match="no such topic"), beside.running():
        raise AssertionError("it was never ready")


def test_a_stage_that_is_not_measured_is_named() -> None:
    answer = CliRunner().invoke(app, ["routing", "--beside", "ops,routing"])
    assert answer.exit_code == 2 and "routing is none of ops, ledger" in answer.output
