"""All that a mapping may say, as tables for the documents: made of the models, so that neither can lag behind."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from hub.contracts.connector_settings import settings_table
from hub.intake.mapping.model import (
    Also,
    Column,
    EventTypes,
    Group,
    Member,
    Party,
    Removal,
    Requirement,
    RowMapping,
    State,
    When,
)

#: Each part with its heading.
PARTS: dict[str, type[BaseModel]] = {
    "A mapping": RowMapping,
    "`columns`: each": Column,
    "`also` of a column: each": Also,
    "`groups`: each": Group,
    "`members` of a group: each": Member,
    "`events`": EventTypes,
    "`states` of events: each": State,
    "`removed` of events": Removal,
    "`party`": Party,
    "`requires`: each": Requirement,
    "`when` of a state or requirement": When,
}

#: What each parser takes.
PARSERS: dict[str, str] = {
    "text": "Free text, as it stands; too long is a fault.",
    "number": "A number that names something (文号, 编号): blanks and characters that nobody sees go; what a "
    "spreadsheet made of a long number (`1.2E+17`) is a fault.",
    "date": "`2021-07-05`, `2021/7/5`, `2021.7.5`, `20210705`, `2021年7月5日`, serial numbers of spreadsheets.",
    "amount-wan": "An amount in 万元, unless the cell names another unit.",
    "amount-yuan": "An amount in 元, unless the cell names another unit; the hub counts in 万元.",
    "boolean": "是 or 否, and what is usual for them.",
    "code": "A text of the code list of the field, its alias or its code; `codes` adds to them.",
    "code-list": "Several of them, with `separators` between.",
    "text-list": "Several texts, with `separators` between.",
    "phone": "A telephone number.",
    "uscc": "A unified social credit code, its check characters looked at.",
    "registration": "A registration number (注册号), its check digit looked at.",
    "uscc-or-registration": "Either; the registration number goes to the field `beside`.",
    "certificate": "The number of a person's certificate; that of an ID card is looked at.",
}


def mapping_tables() -> str:
    """A table for each part of a mapping, and one of the parsers, in Markdown."""
    found = [f"### {heading}\n\n{_sentence(model)}\n\n{settings_table(model)}" for heading, model in PARTS.items()]
    parsers = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in PARSERS.items())
    return "\n".join([*found, f"### Parsers\n\n| Parser | What it takes |\n|---|---|\n{parsers}"])


def mapping_schema() -> dict[str, Any]:
    """JSON Schema of a mapping, for an editor."""
    return RowMapping.model_json_schema()


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())
