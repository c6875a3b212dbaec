"""Long lists by cursor: a page begins behind the last thing of the one before it, whatever came meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")
PAGE_SIZE = 25


class Page(NamedTuple, Generic[T]):
    """``next`` is the address of what follows, if there is more."""

    items: Sequence[T]
    next: str | None
    is_first: bool


def page_of(
    items: Sequence[T], cursor_of: Callable[[T], str], path: str, after: str = "", size: int = PAGE_SIZE,
    **filters: str,
) -> Page[T]:
    """The page behind the thing whose cursor is ``after``; the first one for a cursor that is (no more) there."""
    cursors = [cursor_of(item) for item in items]
    start = cursors.index(after) + 1 if after in cursors else 0
    shown = items[start : start + size]
    more = start + size < len(items)
    asked = {name: value for name, value in filters.items() if value}
    following = f"{path}?{urlencode({**asked, 'after': cursors[start + len(shown) - 1]})}" if more else None
    return Page(shown, following, start == 0)
