"""The documents against the code: every setting is described, every command that they name exists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperGroup
from typer.main import get_command

from hub.cli.main import build
from hub.contracts import map_models
from hub.contracts.endpoints import Endpoints
from hub.contracts.map_models import MapModel
from hub.domain.calendar import Calendar
from hub.domain.where import OPERATORS, faults_of
from hub.intake.sources import CommonSettings, SourceConfig
from hub.settings import PROJECT_ROOT, Settings
from hub.wiring import STAGES

DOCS = PROJECT_ROOT / "docs"
OPERATING, MAP, GLOSSARY = DOCS / "operating.md", DOCS / "map.md", DOCS / "glossary.md"
PAGES = [
    page
    for page in (PROJECT_ROOT / "README.md", PROJECT_ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md")))
    if page.exists()
]
MAP_PARTS = [
    part
    for part in vars(map_models).values()
    if isinstance(part, type) and issubclass(part, BaseModel) and part.model_fields
]
#: Table cells that stand for a default that is no value of its own.
_NO_VALUE = ("none", "always holds", "all of them")
#: Registries and mirrors, and places of one machine: neither belongs to a project's files.
_FOREIGN = re.compile(
    r"pypi\.org|pythonhosted|(?<!-emit-)index-url|registry\.npmjs|repo1?\.maven|jfrog|artifactory"
    r"|(?<![\w.])/(?:work|root|home|Users)/[\w.-]*[a-z]",
    re.ASCII,
)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[str]]:
    """Table rows by the code in their first cell."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0].strip("| `"): row for row in cells if row[0].strip("| ").startswith("`")}


def section(text: str, heading: str) -> str:
    """What stands between the heading that begins so and the next heading."""
    found = re.search(rf"^#+ {re.escape(heading)}.*?\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def default_of(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.default


def check_default(name: str, cell: str, default: Any) -> None:
    """Whether a table's cell says the default that the code has."""
    if default == "required":
        assert cell == "required", name
    elif default is None or default in ((), {}):
        assert cell in _NO_VALUE, name
    else:
        days = f"{default.days}d" if isinstance(default, timedelta) else str(default)
        days = days.lower() if isinstance(default, bool) else days  # as YAML writes it
        assert cell == f"`{days}`", name


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_described_with_its_default(name: str) -> None:
    row = rows(section(text_of(OPERATING), "Settings")).get(f"HUB_{name.upper()}")
    assert row is not None
    default = Settings.model_fields[name].default
    # The others are places that follow from another setting; they are said in words.
    if name != "home" and default not in (None, ""):
        assert row[1] == f"`{default}`"


def test_no_setting_is_described_that_is_none() -> None:
    described = rows(section(text_of(OPERATING), "Settings"))
    assert set(described) == {f"HUB_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("part", MAP_PARTS, ids=lambda part: part.__name__)
def test_every_setting_of_the_map_is_described_with_its_default(part: type[BaseModel]) -> None:
    described = rows(section(text_of(MAP), f"`{part.__name__}`"))
    assert set(described) == {field.alias or name for name, field in part.model_fields.items()}
    for name, field in part.model_fields.items():
        row = described[field.alias or name]
        check_default(row[0], row[-1].strip(" |"), default_of(field))


def test_the_whole_map_is_looked_at() -> None:
    assert MapModel in MAP_PARTS and len(MAP_PARTS) == 8


def test_every_setting_of_a_source_is_described_with_its_default() -> None:
    described = rows(section(text_of(OPERATING), "`sources.yaml`"))
    assert set(described) == set(CommonSettings.model_fields)
    for name, field in CommonSettings.model_fields.items():
        check_default(name, described[name][1], default_of(field))


def test_every_stage_is_described() -> None:
    text = text_of(OPERATING)
    assert all(f"`hub run {stage}`" in text for stage in STAGES)


# -- examples ----------------------------------------------------------------------------------


def test_the_tests_of_where_are_described_and_their_examples_hold() -> None:
    examples = list(rows(section(text_of(MAP), "`where`")))
    assert {name for name in OPERATORS if any(f"{{{name}:" in example for example in examples)} == set(OPERATORS)
    for example in examples:
        ((_, condition),) = yaml.load(example, Loader=yaml.BaseLoader).items()
        if "exists" not in example:  # the loader leaves true and false as text
            assert faults_of(condition) is None, example


def test_examples_of_files_are_accepted() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", text_of(OPERATING), re.MULTILINE | re.DOTALL)
    sources, endpoints, year = (yaml.safe_load(block) for block in blocks)
    assert [SourceConfig.of(source, DOCS) for source in sources["sources"]]
    assert Endpoints.model_validate(endpoints).subscriptions
    assert year["notice"]
    assert Calendar.from_data({"calendar": "cn", "years": {2027: year}}).last_year == 2027


def test_the_worked_example_is_a_subscription_that_fits() -> None:
    (block,) = re.findall(r"^   ```yaml\n(.*?)^   ```", text_of(MAP), re.MULTILINE | re.DOTALL)
    raw = yaml.safe_load(text_of(PROJECT_ROOT / "topics.yaml"))
    added = yaml.safe_load(block)
    assert not set(added) & set(raw["subscriptions"])
    raw["subscriptions"] |= added
    assert set(added) <= set(MapModel.model_validate(raw).subscriptions)
    departments = yaml.safe_load(text_of(PROJECT_ROOT / "reference" / "departments.yaml"))["departments"]
    known = {entry["id"] for entry in departments}
    assert {entry["department"] for entry in added.values()} <= known


# -- commands ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def commands() -> TyperGroup:
    found = get_command(build())
    assert isinstance(found, TyperGroup)
    return found


def named_commands(text: str) -> Iterator[str]:
    """What stands behind ``hub`` in code spans and blocks; several may stand in one line."""
    fence = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)
    lines = [line for block in fence.findall(text) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", fence.sub("", text))
    for line in lines:
        for part in re.split(r"\s{2,}", line.strip()):
            found = re.match(r"(?:\$ )?(?:docker compose exec \S+ )?(?:\.venv/bin/)?hub ([a-z].*)", part)
            if found:
                yield found[1]


def check_command(words: list[str], group: TyperGroup) -> None:
    """Fails unless command, sub-commands (``plan|apply`` is two) and options exist."""
    assert words[0] in group.commands, words
    command: Any = group.commands[words[0]]
    rest = words[1:]
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("--"):
        names = rest.pop(0).split("|")
        assert set(names) <= set(command.commands), words
        command = command.commands[names[0]]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in options | {"--help"}, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path, commands: TyperGroup) -> None:
    for named in named_commands(text_of(page)):
        first, *others = (part.split() for part in named.partition(" #")[0].split(" | "))
        check_command(first, commands)
        for words in others:
            # "up | run STAGE" names another command, "ID | --subject CODE" another way to call the same.
            check_command([first[0], *words] if words[0].startswith("-") else words, commands)


def test_a_command_that_does_not_exist_is_noticed(commands: TyperGroup) -> None:
    for named in ("nothing", "topics nothing", "lag --nothing"):
        with pytest.raises(AssertionError):
            check_command(named.split(), commands)


def test_commands_are_found_in_the_documents() -> None:
    found = {named.split()[0] for page in PAGES for named in named_commands(text_of(page))}
    assert {"run", "up", "topics", "lag", "tally", "trace", "dead-letters", "clocks"} <= found


# -- links and words ---------------------------------------------------------------------------


def anchor_of(heading: str) -> str:
    """The anchor that a heading gets on common Git hosts."""
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", text_of(other), re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, target


def test_names_in_the_glossary_stand_in_the_code() -> None:
    folders = [("hub", "*.py"), ("connectors", "*.py"), ("schemas", "*.avsc"), ("reference", "*.yaml")]
    files = [file for folder, kind in folders for file in (PROJECT_ROOT / folder).rglob(kind)]
    code = "\n".join(map(text_of, [*files, PROJECT_ROOT / "topics.yaml"]))
    entries = [line.strip("|").split(" | ") for line in text_of(GLOSSARY).splitlines() if line.startswith("| ")]
    named = [name for entry in entries for name in re.findall(r"`([^`]+)`", entry[2])]
    assert len(named) > 60
    assert [name for name in named if name not in code] == []


def test_no_word_of_the_glossary_stands_twice() -> None:
    first = [line.split(" | ")[0] for line in text_of(GLOSSARY).splitlines() if re.match(r"\| [^中-]", line)]
    assert len(first) == len(set(first))


# -- tracked files -----------------------------------------------------------------------------


def tracked_files() -> list[Path]:
    """Files that Git knows, or would with the next commit."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT_ROOT, capture_output=True, check=False,
    )
    if done.returncode != 0:
        pytest.skip("this is no working copy of Git")
    return [PROJECT_ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    found = []
    for file in tracked_files():
        if not file.is_file() or file == Path(__file__).resolve():
            continue
        try:
            text = text_of(file)
        except UnicodeDecodeError:
            continue  # no text
        found += [
            f"{file.relative_to(PROJECT_ROOT)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if _FOREIGN.search(line)
        ]
    assert found == []
