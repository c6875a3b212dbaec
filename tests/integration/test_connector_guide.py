"""The guide in docs/connectors.md, step by step, with its own files and commands."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from hub.cli.connect import app
from hub.contracts.map import HubMap
from hub.intake import template
from hub.settings import PROJECT_ROOT
from tests.conftest import IndexLike, KafkaLike
from tests.support_contracts import ROOT, catalog
from tests.support_intake import records
from tests.support_topics import having

GUIDE = (PROJECT_ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
#: What says of itself when rows of two sources are one fact is looked through as a whole.
FACTS = tuple(HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference").facts())
TOPICS = (*FACTS, "intake.witnesses.v1", "intake.rejections.v1", "intake.portions.v1", "intake.heartbeats.v1")


def block(behind: str, language: str = "") -> str:
    """The first block of code behind these words."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE[GUIDE.index(behind) :], re.DOTALL)
    assert found is not None, behind
    return found[1]


@pytest.fixture
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with having(kafka.bootstrap, TOPICS) as address:
        yield address


def hub(command: str) -> Any:
    """A command of the guide, as it stands there."""
    words = command.split()
    assert words[:2] == ["hub", "connect"], command
    return CliRunner().invoke(app, words[2:])


@pytest.mark.parametrize(("file", "language"), [("source.py", "python"), ("mapping.yaml", "yaml")])
def test_the_guide_shows_the_files_that_are_written(file: str, language: str) -> None:
    text = (Path(template.__file__).parent / file).read_text(encoding="utf-8")
    assert block(f"<!-- file: {file} -->", language) == text, f"put {file} of hub/intake/template into the guide"
    assert len(text.splitlines()) < 80


def test_followed_it_leads_to_events(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("HUB_REDIS_INDEX_URL", valkey.url)

    assert hub(block("**1. Begin")).exit_code == 0
    assert hub(block("**1. Begin")).exit_code == 1, "nothing is written over"
    shell, *statements = block("That writes").splitlines()
    path = tmp_path / shell.removeprefix("sqlite3 ")
    with closing(sqlite3.connect(path)) as database:
        database.executescript("\n".join(statements))

    (tmp_path / "sources.yaml").write_text(block("**4. Say", "yaml"), encoding="utf-8")
    checked = hub(block("**5. Try"))
    assert checked.exit_code == 0, checked.stdout + checked.stderr

    first, second = (hub(f"{command} --json") for command in block("**6. Run").splitlines())
    assert first.exit_code == 0, first.stdout + first.stderr
    assert json.loads(first.stdout)["total"]["accepted"] == {"recorded": 1}
    assert json.loads(second.stdout)["portions"] == [], "there is nothing new"
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE jcjg SET bz = '复查'")
        database.commit()
    third = hub(f"{block('**6. Run').splitlines()[0]} --json")
    assert json.loads(third.stdout)["total"]["accepted"] == {"amended": 1}
    assert [record["ce_subject"] for record in records(bootstrap, TOPICS[0], "example-register")] == [
        "91623000739699913A", "91623000739699913A",
    ]  # fmt: skip


def test_check_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    hub(block("**1. Begin"))
    (tmp_path / "sources.yaml").write_text(block("**4. Say", "yaml").replace("database:", "datbase:"), encoding="utf-8")
    found = hub(block("**5. Try"))
    assert found.exit_code == 1
    assert "sources.yaml" in found.stderr and "source example-register: datbase" in found.stderr
    assert "source example-register: database" in found.stderr
    (tmp_path / "sources.yaml").write_text(block("**4. Say", "yaml"), encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "example-register" / "register.db")) as database:
        database.execute("CREATE TABLE jcjg (bh TEXT, qymc TEXT)")
    found = hub(block("**5. Try"))
    assert found.exit_code == 1 and "tyshxydm" in found.stdout


@pytest.mark.parametrize("name", ["A b", "../x", "", "x_y"])
def test_a_name_that_cannot_be_one_is_a_misuse(name: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["new", name, str(tmp_path)]).exit_code == 2
    assert list(tmp_path.iterdir()) == []
