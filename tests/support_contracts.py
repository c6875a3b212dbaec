"""Records that fit their schema, for tests: one deterministic, or any by hypothesis."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.codes import load_code_lists
from hub.contracts.fields import Field

ROOT = Path(__file__).resolve().parent.parent

#: Valid in form, impossible in fact: born in 1850, serials that were never issued.
IDENTITY_NUMBER = "623021185006153029"
PHONE = "13800001234"
_TEXTS = {
    "department_code": "116230009900000171",
    "department_name": "甘南州市场监督管理局",
    "party_name": "合作市雪域牦牛乳业有限责任公司",
    "party_uscc": "91623000739699913A",
    "party_registration_number": "623000200001232",
    "party_certificate_number": IDENTITY_NUMBER,
    "legal_representative": "扎西东智",
    "region_code": "623001",
    "party_kind": "02",
}
_BY_MASK = {"name": "才让卓玛", "identity-number": IDENTITY_NUMBER, "phone": PHONE}


@cache
def catalog() -> Catalog:
    """The project's own catalog, loaded once."""
    return Catalog.load(ROOT)


def sample(schema: Schema, number: int = 1, **content: Any) -> dict[str, Any]:
    """A record of the schema with every field filled, different for each ``number``.

    It passes ``schema.check``. ``content`` replaces fields.
    """
    value = {field.name: _sample_field(field, number) for field in schema.fields}
    unknown = content.keys() - value.keys()
    if unknown:
        raise KeyError(f"{schema.label} has no field {', '.join(sorted(unknown))}")
    return {**value, **content}


def _sample_field(field: Field, number: int) -> Any:
    if field.is_array:
        return [_sample_one(field, number), _sample_one(field, number + 1)]
    return _sample_one(field, number)


def _sample_one(field: Field, number: int) -> Any:
    if field.type == "record":
        return {item.name: _sample_field(item, number) for item in field.items}
    if field.type == "string":
        return _sample_text(field, number)
    samples: dict[str, Any] = {
        "boolean": True,
        "int": number,
        "long": number,
        "bytes": b"\x00\x01%d" % number,
        "date": date(2026, 3, 2) + timedelta(days=number % 200),
        "decimal": Decimal("1.25") + number,
        "timestamp": datetime(2026, 3, 2, 8, 30, tzinfo=UTC) + timedelta(minutes=number),
    }
    return samples[field.type]


def _sample_text(field: Field, number: int) -> str:
    if field.name in _TEXTS:
        return _TEXTS[field.name]
    if field.code_list is not None:
        codes: list[str] = list(load_code_lists_once()[field.code_list].entries)
        return codes[number % len(codes)]
    if field.mask in _BY_MASK and field.privacy in ("personal", "sensitive"):
        return _BY_MASK[field.mask]
    if field.mask == "identity-number":
        return f"{number:09d}"
    return f"{field.title}{number}"[: field.max_length]


@cache
def load_code_lists_once() -> dict[str, Any]:
    return dict(load_code_lists(ROOT))


#: Letters of names and numbers, and what personal numbers are made of.
_ALPHABET = st.sampled_from("甘南合作牦牛藏羊扎西卓玛张王AX0123456789（）、* ")


def records(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Any record that ``schema.check`` accepts; optional fields come and go."""
    return st.fixed_dictionaries({field.name: _strategy(field) for field in schema.fields})


def _strategy(field: Field) -> st.SearchStrategy[Any]:
    one: st.SearchStrategy[Any]
    if field.type == "record":
        one = st.fixed_dictionaries({item.name: _strategy(item) for item in field.items})
    elif field.code_list is not None:
        one = st.sampled_from(list(load_code_lists_once()[field.code_list].entries))
    else:
        one = _SCALARS[field.type](field)
    if field.is_array:
        return st.lists(one, min_size=0 if field.has_default else 1, max_size=3)
    return st.none() | one if field.is_nullable else one


def _text(field: Field) -> st.SearchStrategy[Any]:
    limit = min(field.max_length or 40, 40)
    text = st.text(_ALPHABET, min_size=1, max_size=limit)
    if limit >= len(IDENTITY_NUMBER) + 2:
        return text | st.just(f"经{IDENTITY_NUMBER}"[:limit]) | st.just(f"电{PHONE}")
    if limit >= len(IDENTITY_NUMBER):
        return text | st.just(IDENTITY_NUMBER)
    return text


_SCALARS: dict[str, Any] = {
    "string": _text,
    "boolean": lambda field: st.booleans(),
    "int": lambda field: st.integers(-(2**31), 2**31 - 1),
    "long": lambda field: st.integers(-(2**63), 2**63 - 1),
    "bytes": lambda field: st.binary(max_size=40),
    "date": lambda field: st.dates(date(1949, 10, 1), date(2099, 12, 31)),
    "decimal": lambda field: st.decimals(0, 10**11, places=6, allow_nan=False, allow_infinity=False),
    "timestamp": lambda field: st.integers(0, 4 * 10**12).map(
        lambda millis: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    ),
}
