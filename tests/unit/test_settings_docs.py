"""Tables of settings in the documents are those that the models give."""

from __future__ import annotations

import re

import pytest

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


@pytest.mark.parametrize("name", ["common", *CONNECTORS])
def test_the_table_is_the_one_that_the_model_gives(name: str) -> None:
    model = CommonSettings if name == "common" else find_connector(name).Settings
    assert TABLES[name] == settings_table(model), f"renew it with: hub connect schema {name}"


@pytest.mark.parametrize("name", ["common", *CONNECTORS])
def test_every_setting_has_a_title_and_a_description(name: str) -> None:
    model = CommonSettings if name == "common" else find_connector(name).Settings
    for setting, field in model.model_fields.items():
        assert field.title and field.description, setting
    properties = settings_schema(model)["properties"]
    assert set(properties) == set(model.model_fields)
