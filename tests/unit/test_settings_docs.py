"""Tables of settings and of mappings in the documents are those that the models give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from hub.cli.connect import app
from hub.contracts.connector_settings import ConnectorSettings
from hub.disclosure.registry import SINKS, find_sink
from hub.intake.mapping.model import ParserName, RowMapping
from hub.intake.mapping.reference import PARSERS, PARTS, mapping_tables
from hub.intake.registry import CONNECTORS, find_connector
from hub.intake.settings import settings_schema, settings_table
from hub.intake.sources import CommonSettings
from hub.settings import PROJECT_ROOT

_TABLE = re.compile(r"<!-- settings: ([a-z-]+) -->\n(.*?)<!-- end -->", re.DOTALL)
TABLES = {
    name: table
    for page in ("operating.md", "connectors.md")
    for name, table in _TABLE.findall((PROJECT_ROOT / "docs" / page).read_text(encoding="utf-8"))
}


def model_of(name: str) -> type[CommonSettings] | type[ConnectorSettings]:
    if name == "common":
        return CommonSettings
    return (find_sink if name in SINKS else find_connector)(name).Settings


@pytest.mark.parametrize("name", ["common", *CONNECTORS, *SINKS])
def test_the_table_is_the_one_that_the_model_gives(name: str) -> None:
    model = model_of(name)
    assert TABLES[name] == settings_table(model), f"renew it with: hub connect schema {name}"


@pytest.mark.parametrize("name", ["common", *CONNECTORS, *SINKS])
def test_every_setting_has_a_title_and_a_description(name: str) -> None:
    model = model_of(name)
    for setting, field in model.model_fields.items():
        assert field.title and field.description, setting
    properties = settings_schema(model)["properties"]
    assert set(properties) == set(model.model_fields)


def test_what_a_mapping_may_say_is_what_its_models_give() -> None:
    text = (PROJECT_ROOT / "docs" / "mappings.md").read_text(encoding="utf-8")
    (tables,) = re.findall(r"<!-- mapping -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert tables == mapping_tables(), "renew it with: hub connect schema mapping"
    assert CliRunner().invoke(app, ["schema", "mapping"]).stdout == tables
    said = {row for row in re.findall(r"^\| `([a-z_-]+)` \|", tables, re.MULTILINE)}
    assert {"constants", "beside", "party", "certificate_kind", "removed", "separators", "schema"} <= said


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all that stand within it."""
    yield model
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            found = waiting.pop()
            if isinstance(found, type) and issubclass(found, BaseModel):
                yield from models(found)
            waiting += get_args(found)


def test_every_part_of_a_mapping_and_every_parser_is_described() -> None:
    assert {*models(RowMapping)} == {*PARTS.values()}
    assert list(PARSERS) == list(get_args(ParserName))
    for part in PARTS.values():
        assert part.__doc__
        for name, field in part.model_fields.items():
            assert field.description and "|" not in field.description, (part, name)
