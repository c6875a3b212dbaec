"""The content of a row as one text: by it a change is told from a repeat.

``canonical_text`` says what that text is; ``Contents`` makes it for a batch, column by column, to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

from hub.intake.column import Column, Table, Whole


def canonical_text(value: Mapping[str, Any]) -> str:
    """The content of a row as one text, the same for the same content for ever.

    Fields without a value are left out, so that a field added to the schema changes nothing; fields
    are sorted, so that a column moved or left to its default changes nothing either.
    """
    return "\x1e".join(
        [
            f"{name}\x1f{content if type(content) is str else _canonical(content)}"
            for name in _sorted(tuple(value))
            if (content := value[name]) is not None
        ]
    )


@lru_cache(maxsize=4096)
def _sorted(names: tuple[str, ...]) -> list[str]:
    """Rows of one table have few sets of fields."""
    return sorted(names)


def _canonical(content: Any) -> str:
    kind = type(content)
    if kind is date:
        return cast(date, content).isoformat()
    if kind is list:
        return "\x1d".join([part if type(part) is str else _canonical(part) for part in content])
    if kind is dict:
        return "\x1c".join([f"{name}={part}" for name, part in sorted(content.items()) if part is not None])
    return str(content)


class Contents:
    """Contents of rows as bytes. It remembers pieces of columns; used by one thread."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def of(self, table: Table) -> list[bytes]:
        """``canonical_text`` of each row in UTF-8, halves of surrogate pairs replaced."""
        if not table.names:
            return [b""] * table.count
        found = sorted(zip(table.names, table.columns, strict=True), key=itemgetter(0))
        pieces = [self._column(name)(column) for name, column in found]
        # Each piece begins with the mark that stands between two.
        return [b"".join(parts)[1:] for parts in zip(*pieces, strict=True)]

    def _column(self, name: str) -> Column:
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = Column(_piece(name), _pieces(name))
        return found


def _piece(name: str) -> Callable[[Any], bytes]:
    begin = f"\x1e{name}\x1f"

    def make(content: Any) -> bytes:
        if content is None:
            return b""
        return (begin + (content if type(content) is str else _canonical(content))).encode("utf-8", "replace")

    return make


def _pieces(name: str) -> Whole:
    begin = f"\x1e{name}\x1f".encode()

    def make(contents: Sequence[str]) -> list[bytes] | None:
        try:
            return [begin + content for content in map(str.encode, contents)]
        except UnicodeEncodeError:
            return None

    return make
