"""``where``: every test, on plain fields, on lists, and on what is missing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.where import compile_where, faults_of

HELD: list[tuple[Any, Any]] = [
    ("ordinary", "ordinary"),
    (True, True),
    (["2", "3"], "3"),
    (["2", "3"], ["1", "3"]),
    ("2", ["1", "2"]),
    ({"gte": 5}, Decimal("5.000000")),
    ({"gte": 5, "lte": 10}, 10),
    ({"gte": "2026-01-01"}, date(2026, 1, 1)),
    ({"lte": "2026-01-01"}, date(2025, 12, 31)),
    ({"prefix": "6230"}, "623021"),
    ({"exists": True}, ""),
    ({"exists": False}, None),
    ({"not": "1"}, "2"),
    ({"not": ["1", "2"]}, "3"),
    ({"not": ["1", "2"]}, None),
    ({"not": {"prefix": "62"}}, "530000"),
    ({"exists": True, "not": "1"}, "2"),
]
FAILED: list[tuple[Any, Any]] = [
    ("ordinary", "summary"),
    ("ordinary", None),
    (True, False),
    (["2", "3"], []),
    (["2", "3"], ["1"]),
    (["2", "3"], None),
    ({"gte": 5}, Decimal("4.999999")),
    ({"gte": 5}, None),
    ({"lte": 5}, None),
    ({"gte": 5, "lte": 10}, 11),
    ({"gte": "2026-01-01"}, date(2025, 12, 31)),
    ({"lte": "2026-01-01"}, date(2026, 1, 2)),
    ({"prefix": "6230"}, "620000"),
    ({"prefix": "6230"}, None),
    ({"exists": True}, None),
    ({"exists": False}, ""),
    ({"not": "1"}, ["1", "2"]),
    ({"not": {"gte": 5}}, 5),
    ({"exists": True, "not": "1"}, None),
]


@pytest.mark.parametrize(("condition", "value"), HELD)
def test_a_condition_holds(condition: Any, value: Any) -> None:
    first_failing = compile_where({"field": condition})
    assert first_failing is not None
    assert first_failing({"field": value}) is None


@pytest.mark.parametrize(("condition", "value"), FAILED)
def test_a_condition_fails_and_names_its_field(condition: Any, value: Any) -> None:
    first_failing = compile_where({"field": condition})
    assert first_failing is not None
    assert first_failing({"field": value}) == "field"


def test_all_fields_have_to_hold_and_the_first_that_does_not_is_named() -> None:
    first_failing = compile_where({"is_public": True, "procedure": "ordinary", "kinds": ["2"]})
    assert first_failing is not None
    assert first_failing({"is_public": True, "procedure": "ordinary", "kinds": ["2"]}) is None
    assert first_failing({"is_public": True, "procedure": "summary", "kinds": []}) == "procedure"
    assert first_failing({}) == "is_public"


def test_no_condition_is_no_function() -> None:
    assert compile_where({}) is None


@pytest.mark.parametrize("condition", ["x", 3, True, None, ["a", 1], *(condition for condition, _ in HELD)])
def test_what_can_be_compiled_has_no_fault(condition: Any) -> None:
    assert faults_of(condition) is None


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"gt": 5}, "unknown test 'gt'; the tests are gte, lte, prefix, exists, not"),
        ({"not": {"gt": 5}}, "unknown test 'gt'; the tests are gte, lte, prefix, exists, not"),
        ({"not": []}, "an empty list never holds"),
        ({}, "an empty test"),
        ([], "an empty list never holds"),
        ([["a"]], "a list holds plain values"),
        ({"exists": "yes"}, "exists is true or false"),
        ({"prefix": 62}, "prefix is text"),
        ({"gte": None}, "gte is a number, a date or text"),
        ({"lte": [1]}, "lte is a number, a date or text"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said(condition: Any, said: str) -> None:
    assert faults_of(condition) == said
