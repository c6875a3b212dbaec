"""Tables of settings in the documents are those that the models give."""

from __future__ import annotations

import re

import pytest

from hub.contracts.connector_settings import ConnectorSettings
from hub.disclosure.registry import SINKS, find_sink
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
