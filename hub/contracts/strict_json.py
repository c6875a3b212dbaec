"""JSON of strangers, read strictly: one bad value costs the event that it stands in, not the whole body.

Python's reader takes what JSON does not have (NaN), keeps the last of two equal names, makes floats of
amounts and takes texts that no log can hold. Here each of those is a fault with its pointer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hub.domain.characters import describe, unfit_character
from hub.domain.problem import Fault, ProblemError, fault

#: No number of a schema has more digits; longer ones are kept as decimals, which no whole-number field takes.
_MOST_DIGITS = 40
#: Values inside values; a schema has three levels.
MAX_DEPTH = 32


class Doubled(dict[str, Any]):
    """An object in which names stood twice. ``names`` are those."""

    names: tuple[str, ...] = ()


def parse_strict(body: bytes) -> Any:
    """The value of a body in UTF-8: fractions as Decimal, objects with doubled names as ``Doubled``.

    Raises ProblemError 400 for what is no JSON at all.
    """
    try:
        return json.loads(
            body.decode(), object_pairs_hook=_object, parse_float=_fraction, parse_int=_whole, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        raise ProblemError(400, "malformed", "内容不是有效的 JSON", "the body is not JSON in UTF-8") from None


def faults_of(value: Any, path: tuple[str | int, ...] = ()) -> list[Fault]:
    """What in ``value`` no record may hold: doubled names, control characters, halves of characters, depth.

    ``path`` is where ``value`` stands. Twenty faults at most.
    """
    found: list[Fault] = []
    open_values: list[tuple[tuple[str | int, ...], Any]] = [(path, value)]
    while open_values and len(found) < 20:
        at, item = open_values.pop()
        if isinstance(item, str):
            if (said := text_fault(item)) is not None:
                found.append(fault(at, said))
        elif isinstance(item, dict | list) and len(at) - len(path) > MAX_DEPTH:
            found.append(fault(at[: len(path) + 3], "nested too deeply"))
        elif isinstance(item, dict):
            if isinstance(item, Doubled):
                found.extend(fault((*at, _shown(name)), "the name stands twice") for name in item.names[:5])
            # A name that is no text is of nobody's schema; it may not spoil the pointer either.
            found.extend(fault(at, "a name holds control characters") for name in item if text_fault(name))
            open_values.extend(((*at, _shown(name)), each) for name, each in item.items())
        elif isinstance(item, list):
            open_values.extend(((*at, number), each) for number, each in enumerate(item))
    return found


def text_fault(text: str) -> str | None:
    """Why a text cannot be kept, or ``None``: a control character, one that turns the direction of writing, or half
    of a surrogate pair."""
    character = unfit_character(text)
    if character is None:
        return None
    if "\ud800" <= character <= "\udfff":
        return f"holds half of a surrogate pair, U+{ord(character):04X}"
    return f"holds the control character {describe(character)}"


def _shown(name: str) -> str:
    """A name that may stand in a pointer."""
    return "".join(_clean(name[:100]))


def _clean(name: str) -> Iterator[str]:
    for character in name:
        number = ord(character)
        yield "\ufffd" if number < 32 or number == 127 or 0xD800 <= number <= 0xDFFF else character


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled, seen = Doubled(found), set()
    names: dict[str, None] = {}
    for name, _ in pairs:
        if name in seen:
            names[name] = None
        seen.add(name)
    doubled.names = tuple(names)
    return doubled


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MOST_DIGITS else _fraction(text)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent beyond all bounds
        return Decimal("Infinity")


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON")
