"""A column of a batch at a time: what repeats in it is worked out once.

Dates, codes, bodies, kinds and remarks repeat in nearly every row of an export. A function that is called for each
cell costs ten times what it costs to look its result up, so the row path (cells to fields, fields to content and to
Avro) goes column by column over a batch, through the tables here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from operator import is_, itemgetter
from typing import Any, Final

Whole = Callable[[Sequence[str]], list[Any] | None]

#: What a function gives that would rather not say: the caller goes the exact way for that row.
DOUBT: Final[Any] = object()
#: Results that a column remembers; some hundred bytes each, and there are about a hundred columns.
_MOST = 4096
#: Batches for which a column of which most differs is not looked up at all.
_PAUSE = 20

#: Values of these types are equal only where they are the same: ``1 == True == Decimal("1.0")`` must not meet.
_TEXTS = frozenset({str, date, type(None)})
_TRUTHS = frozenset({bool, type(None)})


class _Known(dict[Any, Any]):
    """Results by value, forgotten all at once when there are too many."""

    __slots__ = ("make", "missed")

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make
        self.missed = 0

    def __missing__(self, content: Any) -> Any:
        self.missed += 1
        made = self.make(content)
        if made is not DOUBT:
            if len(self) >= _MOST:
                self.clear()
            self[content] = made
        return made


class Column:
    """``column(contents)`` is ``[make(content) for content in contents]``, sooner.

    ``make`` is a function of the content alone and raises nothing (it gives ``DOUBT``, which is never remembered);
    its results are shared between rows, so nobody may change them. Lists are remembered as the objects that they
    are, for the same reason. ``whole`` makes the same of a column of texts that differ, all at once; it may give
    ``None`` for one that it would rather not take. Used by one thread.
    """

    __slots__ = ("_lists", "_make", "_pause", "_texts", "_truths", "_whole")

    def __init__(self, make: Callable[[Any], Any], whole: Whole | None = None) -> None:
        self._make, self._whole = make, whole
        self._texts, self._truths = _Known(make), _Known(make)
        self._lists: dict[int, tuple[list[Any], Any]] = {}
        self._pause = 0

    def __call__(self, contents: Sequence[Any]) -> list[Any]:
        if _is_one(contents):
            return [self._texts[contents[0]]] * len(contents)
        kinds = set(map(type, contents))
        if kinds <= _TEXTS:
            return self._of_texts(contents, kinds)
        if kinds <= _TRUTHS:
            return list(map(self._truths.__getitem__, contents))
        if kinds == {list}:
            known = self._lists
            try:
                return [known[number][1] for number in map(id, contents)]
            except KeyError:
                return list(map(self._of_list, contents))
        return list(map(self._make, contents))

    def _of_texts(self, contents: Sequence[Any], kinds: set[type]) -> list[Any]:
        if self._pause:
            self._pause -= 1
            found = self._whole(contents) if self._whole is not None and kinds == {str} else None
            return list(map(self._make, contents)) if found is None else found
        known = self._texts
        known.missed = 0
        made = list(map(known.__getitem__, contents))
        if known.missed * 2 > len(made):
            known.clear()
            self._pause = _PAUSE
        return made

    def _of_list(self, content: list[Any]) -> Any:
        found = self._lists.get(id(content))
        if found is not None:
            return found[1]
        made = self._make(content)
        if made is not DOUBT:
            if len(self._lists) >= _MOST:
                self._lists.clear()
            # The list itself is kept, or its number would be given to another.
            self._lists[id(content)] = (content, made)
        return made


def _is_one(contents: Sequence[Any]) -> bool:
    """Whether one text, day or nothing fills the column, as whatever the source or the department says does."""
    if not contents:
        return False
    first = contents[0]
    return type(first) in _TEXTS and contents[-1] == first and contents.count(first) == len(contents)


class Table:
    """Rows as columns: ``names`` are all that any of them has, in no order; ``None`` where a row has none. Where all
    rows have the same it ``is_even``."""

    __slots__ = ("_rows", "columns", "count", "is_even", "names")

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows, self.count = rows, len(rows)
        self.names = list(rows[0]) if rows else []
        # As many names, and the same: no other.
        if len(self.names) > 1 and set(map(len, rows)) == {len(self.names)}:
            try:
                self.columns: list[Sequence[Any]] = list(zip(*map(itemgetter(*self.names), rows), strict=True))
                self.is_even = True
                return
            except KeyError:
                pass
        self.is_even = False
        self.names = list(set().union(*rows))
        self.columns = [[row.get(name) for row in rows] for name in self.names]

    def is_of(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Whether it is made of these very rows."""
        return len(rows) == self.count and all(map(is_, rows, self._rows))
