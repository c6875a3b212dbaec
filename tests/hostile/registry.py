"""The corpus: which generator stands behind which row of ``docs/hostile-input.md``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TABLE = Path(__file__).parents[2] / "docs" / "hostile-input.md"
_ROW = re.compile(r"\| `([a-z0-9-]+)` \|")
_CELL = re.compile(r"(?<!\\)\|")


class Case(NamedTuple):
    """One row of the table. ``code`` and ``words`` are empty for what is taken or left alone."""

    name: str
    way: str
    wrong: str
    end: str
    code: str
    words: str


#: Name -> generator. What it is given and what it gives is said by the way in (``tests/hostile/ways.py``).
GENERATORS: dict[str, Callable[..., Any]] = {}


def case(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers the generator of a case. Raises ValueError for a second one of that name."""

    def register(generator: Callable[..., Any]) -> Callable[..., Any]:
        if name in GENERATORS:
            raise ValueError(f"two generators for {name}")
        GENERATORS[name] = generator
        return generator

    return register


def read_table(text: str | None = None) -> list[Case]:
    """The rows of the document, in its order. Raises ValueError for a row that is not of six cells or a name that
    stands twice."""
    found: dict[str, Case] = {}
    for line in (TABLE.read_text(encoding="utf-8") if text is None else text).splitlines():
        if not _ROW.match(line):
            continue
        cells = [cell.strip().strip("`").replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]
        if len(cells) != len(Case._fields):
            raise ValueError(f"{len(cells)} cells instead of {len(Case._fields)}: {line}")
        made = Case(*cells)
        if made.name in found:
            raise ValueError(f"{made.name} stands twice")
        found[made.name] = made
    return list(found.values())
