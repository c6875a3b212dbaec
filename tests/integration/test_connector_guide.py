"""The guide in docs/connectors.md, step by step, with its own files and commands, in the one folder that it names."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from typer.testing import CliRunner

from hub.cli.connect import app
from hub.cli.main import build
from hub.contracts.map import HubMap
from hub.intake import Row, RowFault, load_sources, template
from hub.intake.build import build_source
from hub.settings import PROJECT_ROOT
from tests.conftest import IndexLike, KafkaLike
from tests.support_contracts import IDENTITY_NUMBER, ROOT, catalog
from tests.support_intake import records
from tests.support_topics import having

GUIDE = (PROJECT_ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
#: The steps alone.
STEPS = GUIDE[GUIDE.index("## A connector of your own") : GUIDE.index("## What a source promises")]
#: What says of itself when rows of two sources are one fact is looked through as a whole.
MAP = HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")
FACTS = tuple(MAP.facts())
TOPICS = (*FACTS, *(name for name in MAP.topics if name.startswith("intake.")))
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
#: Something of what the commands beside the steps say.
SAID = {
    "hub schemas list": "inspection/result", "hub connect schema mapping": "`certificate_kind`",
    "hub connect schema example-register/source.py:Register": "| `database` | required |",
    "hub trace --subject 91623000739699913A": "inspection.result.recorded",
}
#: What `make up` has left in the data folder before the guide begins.
OTHER = {
    "name": "hezuo-exports", "folder": "exports/hezuo", "mappings": ["inspection-results"],
    "department_code": "11623000013999917X", "department_name": "甘南州市场监督管理局", "region_code": "623000",
}  # fmt: skip


def block(behind: str, language: str = "") -> str:
    """The first block of code behind these words."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE[GUIDE.index(behind) :], re.DOTALL)
    assert found is not None, behind
    return found[1]


def commands(text: str) -> list[str]:
    """Every command of the hub that a text names, in blocks or in between."""
    lines = [line for fence in _FENCE.findall(text) for line in fence.splitlines() if line.startswith("hub ")]
    return [*re.findall(r"`(hub [^`\n]+)`", _FENCE.sub("", text)), *lines]


@pytest.fixture
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with having(kafka.bootstrap, TOPICS) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's folder, in which all commands are given."""
    monkeypatch.chdir(tmp_path)
    for name in ("HUB_DATA", "HUB_SOURCES_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".hub").mkdir()
    write_sources()
    return tmp_path


def write_sources(entry: str = "") -> None:
    """``sources.yaml`` as a hub that came up has it, and the entry of the guide right below its first line."""
    first, rest = yaml.safe_dump({"sources": [OTHER]}, allow_unicode=True).split("\n", 1)
    assert first == entry.partition("\n")[0] or not entry
    Path(".hub/sources.yaml").write_text(f"{entry or first + chr(10)}{rest}", encoding="utf-8")


def hub(command: str) -> Any:
    """A command of the guide, as it stands there."""
    words = command.split()
    assert words[0] == "hub", command
    return CliRunner().invoke(build(), words[1:])


def fill_table(*statements: str) -> None:
    """The table of the guide, by its own words; ``statements`` beside them."""
    shell, *words = block("That writes").splitlines()
    with closing(sqlite3.connect(shell.removeprefix("sqlite3 "))) as database:
        database.executescript("\n".join(words))
        for statement in statements:
            database.execute(statement)
        database.commit()


@pytest.mark.parametrize(("file", "language"), [("source.py", "python"), ("mapping.yaml", "yaml")])
def test_the_guide_shows_the_files_that_are_written(file: str, language: str) -> None:
    text = (Path(template.__file__).parent / file).read_text(encoding="utf-8")
    assert block(f"<!-- file: {file} -->", language) == text, f"put {file} of hub/intake/template into the guide"
    assert len(text.splitlines()) < 80


def test_followed_it_leads_to_events(
    bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("HUB_REDIS_INDEX_URL", valkey.url)

    assert hub(block("**1. Begin")).exit_code == 0
    assert hub(block("**1. Begin")).exit_code == 1, "nothing is written over"
    fill_table()
    write_sources(block("**4. Say", "yaml"))
    checked = hub(block("**5. Try"))
    assert checked.exit_code == 0, checked.stdout + checked.stderr

    first, second = (hub(f"{command} --json") for command in block("**6. Run").splitlines())
    assert first.exit_code == 0, first.stdout + first.stderr
    assert json.loads(first.stdout)["total"]["accepted"] == {"recorded": 1}
    assert json.loads(second.stdout)["portions"] == [], "there is nothing new"
    remark("复查")
    third = hub(f"{block('**6. Run').splitlines()[0]} --json")
    assert json.loads(third.stdout)["total"]["accepted"] == {"amended": 1}
    assert [record["ce_subject"] for record in records(bootstrap, TOPICS[0], "example-register")] == [
        "91623000739699913A", "91623000739699913A",
    ]  # fmt: skip

    # What is left of the commands of the guide, and of the README that was written.
    readme = (folder / ".hub" / "example-register" / "README.md").read_text(encoding="utf-8")
    done = {*block("**1. Begin").splitlines(), *block("**5. Try").splitlines(), *block("**6. Run").splitlines()}
    others = [command for command in dict.fromkeys(commands(STEPS) + commands(readme)) if command not in done]
    for command in others:
        if command == "hub run intake":
            intake_runs(bootstrap)
            continue
        found = hub(command)
        assert found.exit_code == 0 and SAID[command] in found.stdout, (command, found.stdout, found.stderr)
    assert {*others} == {*SAID, "hub run intake"}


def remark(text: str) -> None:
    """Changes the row of the guide's table."""
    with closing(sqlite3.connect(".hub/example-register/register.db")) as database:
        database.execute("UPDATE jcjg SET bz = ?", (text,))
        database.commit()


def intake_runs(bootstrap: str) -> None:
    """As in the last step: the service starts with the new entry, reads, and ends when it is told to."""
    remark("再次复查")
    said = Path("intake.log")
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from hub.cli.main import main; main()", "run", "intake"],
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while len(records(bootstrap, TOPICS[0], "example-register")) < 3:
            assert process.poll() is None and time.monotonic() < until, said.read_text()[-4000:]
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, said.read_text()[-4000:]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def test_the_table_of_the_guide_tells_persons_and_what_is_not_public(folder: Path) -> None:
    """With rows beside the guide's own: of a person, of nobody knows whom, and kept from the public without a word."""
    hub(block("**1. Begin"))
    write_sources(block("**4. Say", "yaml"))
    row = "'无照经营检查', '才让卓玛', '2026-03-01', '正常'"
    fill_table(
        f"INSERT INTO jcjg VALUES ('2', '扎西东智', NULL, NULL, '{IDENTITY_NUMBER}', {row}, '是', NULL, NULL)",
        f"INSERT INTO jcjg VALUES ('3', '扎西东智', NULL, NULL, NULL, {row}, '是', NULL, NULL)",
        f"INSERT INTO jcjg VALUES ('4', '扎西东智', '自然人', NULL, NULL, {row}, '否', NULL, NULL)",
        f"INSERT INTO jcjg VALUES ('5', '扎西东智', '自然人', NULL, NULL, {row}, '否', '涉及未成年人', NULL)",
    )
    source = build_source(load_sources(Path(".hub/sources.yaml"))["example-register"], catalog(), Path(".hub"))
    (portion,) = source.portions()
    items = [item for batch in portion.batches(0) for item in batch.items]
    portion.close()
    source.close()
    kinds = [item.value["party_kind"] if isinstance(item, Row) else item.problems[0].field for item in items]
    assert kinds == ["02", "01", "01", "nonpublic_reason", "01"]
    warnings = [[warning.code for warning in item.warnings] for item in items if isinstance(item, Row)]
    assert warnings == [[], [], ["party-kind"], []]
    assert isinstance(items[3], RowFault) and "bgsly" in items[3].problems[0].remedy
    projection = catalog().projection("inspection/result", "public")
    names = [projection.apply(item.value)["party_name"] for item in items if isinstance(item, Row)]
    assert names == ["合作市雪域牦牛乳业有限责任公司", "扎**", "扎**", "扎**"]


def test_check_names_what_is_wrong(folder: Path) -> None:
    hub(block("**1. Begin"))
    write_sources(block("**4. Say", "yaml").replace("database:", "datbase:"))
    found = hub(block("**5. Try"))
    assert found.exit_code == 1
    assert "sources.yaml" in found.stderr and "source example-register: datbase" in found.stderr
    assert "source example-register: database" in found.stderr
    write_sources(block("**4. Say", "yaml"))
    with closing(sqlite3.connect(folder / ".hub" / "example-register" / "register.db")) as database:
        database.execute("CREATE TABLE jcjg (bh TEXT, qymc TEXT)")
    found = hub(block("**5. Try"))
    assert found.exit_code == 1 and "dsrlb" in found.stdout


@pytest.mark.parametrize("name", ["A b", "../x", "", "x_y"])
def test_a_name_that_cannot_be_one_is_a_misuse(name: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["new", name, str(tmp_path)]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_where_it_is_told_to(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["new", "own-register", str(tmp_path)]).exit_code == 0
    assert {path.name for path in (tmp_path / "own-register").iterdir()} == set(template.FILES)
