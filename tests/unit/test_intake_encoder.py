"""The rows' own encoder writes what the schema writes, byte for byte, or leaves it to the schema."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contracts.fields import Field
from hub.errors import ContractError
from hub.intake.encoder import RowEncoder
from tests.support_intake import catalog

NAMES = ["inspection/result", "enforcement/penalty", "blacklist/notice", "complaint/lead", "licensing/permit"]
_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    "boolean": st.booleans(),
    "date": st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    "decimal": st.decimals(Decimal(0), Decimal(10**11), places=6),
}


def values(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields:
        one = values(field.items) if field.type == "record" else _TYPES[field.type]
        one = st.lists(one, max_size=3) if field.is_array else one
        one = st.none() | one if field.is_nullable else one
        (optional if field.has_default or field.is_nullable else required)[field.name] = one
    return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)  # the first example makes the encoder
@given(data=st.data())
def test_the_same_bytes(name: str, data: st.DataObject) -> None:
    schema = catalog().schema(name)
    value = data.draw(values(schema.fields))
    assert RowEncoder(schema).encode(value) == schema.encode(value)


def _whole() -> dict[str, Any]:
    schema = catalog().schema("complaint/lead")
    value: dict[str, Any] = {}
    for field in schema.fields:
        if not field.is_nullable and not field.has_default:
            value[field.name] = {"date": date(2026, 3, 1), "boolean": True}.get(field.type, "x")
    return value


@pytest.mark.parametrize(("field", "content"), [
    ("summary", 5), ("summary", None), ("received_date", "2026-03-01"), ("is_anonymous", "是"),
    ("is_public", None), ("nothing", "x"),
])
def test_what_does_not_fit_is_named_by_the_schema(field: str, content: object) -> None:
    schema = catalog().schema("complaint/lead")
    assert schema.decode(RowEncoder(schema).encode(_whole()))["summary"] == "x"
    with pytest.raises(ContractError, match=field):
        RowEncoder(schema).encode({**_whole(), field: content})


def test_long_texts_and_large_amounts() -> None:
    schema = catalog().schema("complaint/lead")
    value = {**_whole(), "summary": "长" * 30_000}
    assert RowEncoder(schema).encode(value) == schema.encode(value)
