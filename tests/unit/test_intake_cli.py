"""``hub connect list`` and ``check``: what they need no broker for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli.connect import app
from tests.support_intake import INSPECTION, csv_bytes, inspection


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "sources.yaml").write_text(
        "sources:\n- {name: hezuo, folder: in, department_code: 11623000013999917X, department_name: 市场监管局, "
        "region_code: '623000', mappings: [inspection-results]}\n", encoding="utf-8")
    return tmp_path / "in"


def test_list(folder: Path) -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert result.stdout.split("\t")[:3] == ["hezuo", "export-folder", "市场监管局"]
    (source,) = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert source["check_digit"] == "warn"


def test_check_tells_what_is_wrong_and_moves_nothing(folder: Path) -> None:
    (folder / "good.csv").write_bytes(csv_bytes(INSPECTION, [inspection()]))
    assert CliRunner().invoke(app, ["check", "hezuo"]).exit_code == 0
    (folder / "bad.csv").write_bytes(csv_bytes(INSPECTION[:5], [inspection()]))
    result = CliRunner().invoke(app, ["check", "hezuo", "--json"])
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem.startswith("bad.csv") and "检查对象名称" in problem
    assert sorted(path.name for path in folder.iterdir()) == ["bad.csv", "good.csv"]


def test_an_unknown_name_is_a_misuse(folder: Path) -> None:
    result = CliRunner().invoke(app, ["check", "nobody"])
    assert result.exit_code == 2
    assert "hezuo" in result.stderr
