"""``where``: a condition as data, compiled once.

A condition maps a field to a value, a list of values, or a test of ``gte``, ``lte``, ``prefix``,
``exists`` and ``not``. All fields have to hold. On a field that is itself a list (kinds of penalty,
say), a value holds if one of the items does. A rule that needs more is a named function of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

Test = Callable[[Any], bool]
#: Takes the fields of a record, gives the first field that does not hold, or ``None`` if all do.
FirstFailing = Callable[[Mapping[str, Any]], str | None]

OPERATORS = ("gte", "lte", "prefix", "exists", "not")


def compile_where(where: Mapping[str, Any]) -> FirstFailing | None:
    """The condition as one function, or ``None`` for a condition that always holds."""
    if not where:
        return None
    tests = tuple((field, _compile(condition)) for field, condition in where.items())

    def first_failing(fields: Mapping[str, Any]) -> str | None:
        for field, test in tests:
            if not test(fields.get(field)):
                return field
        return None

    return first_failing


def faults_of(condition: Any) -> str | None:
    """What is wrong with the right-hand side of a condition, or ``None``."""
    if isinstance(condition, dict):
        unknown = [name for name in condition if name not in OPERATORS]
        if unknown:
            return f"unknown test {unknown[0]!r}; the tests are {', '.join(OPERATORS)}"
        if not condition:
            return "an empty test"
        if "exists" in condition and not isinstance(condition["exists"], bool):
            return "exists is true or false"
        if "prefix" in condition and not isinstance(condition["prefix"], str):
            return "prefix is text"
        for name in ("gte", "lte"):
            if isinstance(condition.get(name, 0), bool | dict | list | None):
                return f"{name} is a number, a date or text"
        if "not" in condition:
            return faults_of(condition["not"])
    elif isinstance(condition, list):
        if not condition:
            return "an empty list never holds"
        if any(isinstance(item, dict | list) for item in condition):
            return "a list holds plain values"
    return None


def _compile(condition: Any) -> Test:
    if isinstance(condition, dict):
        tests = tuple(_operator(name, operand) for name, operand in condition.items())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)
    wanted = frozenset(condition) if isinstance(condition, list) else frozenset((condition,))

    def is_among(value: Any) -> bool:
        if isinstance(value, list):
            return not wanted.isdisjoint(value)
        return value in wanted

    return is_among


def _operator(name: str, operand: Any) -> Test:
    if name == "exists":
        return lambda value: (value is not None) == operand
    if name == "not":
        held = _compile(operand)
        return lambda value: not held(value)
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(operand)
    bound = date.fromisoformat(operand) if isinstance(operand, str) and is_date(operand) else operand
    if name == "gte":
        return lambda value: value is not None and value >= bound
    return lambda value: value is not None and value <= bound


def is_date(text: str) -> bool:
    """Whether a bound is a date, and not plain text."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
