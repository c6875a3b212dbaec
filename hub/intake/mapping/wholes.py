"""Columns of texts that differ from row to row (names, numbers), read all at once where none of them is odd.

Each function gives what the parser of that name gives for each text, or ``None`` for a column in which any text needs
a closer look. A test holds both equal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hub.intake.column import Whole

#: In a text a mark of a formula or an error of a spreadsheet; in a number also blanks and lost digits.
_ODD_IN_TEXTS, _ODD_IN_NUMBERS = "=#", "=#+ "


def whole_texts(max_length: int | None) -> Whole:
    """For ``text_parser``."""
    most = sys.maxsize if max_length is None else max_length

    def read(contents: Sequence[str]) -> list[str] | None:
        texts = list(map(str.strip, contents))
        return texts if _are_plain(texts, most, _ODD_IN_TEXTS) else None

    return read


def whole_numbers(max_length: int | None) -> Whole:
    """For ``number_parser``."""
    most = sys.maxsize if max_length is None else max_length

    def read(contents: Sequence[str]) -> list[str] | None:
        texts = list(map(str.strip, contents))
        is_plain = _are_plain(texts, most, _ODD_IN_NUMBERS) and "".join(texts).isascii()
        return texts if is_plain else None

    return read


def _are_plain(texts: Sequence[str], most: int, odd: str) -> bool:
    joined = "".join(texts)
    if not joined.isprintable() or any(char in joined for char in odd):
        return False
    lengths = set(map(len, texts))
    return 0 not in lengths and max(lengths, default=0) <= most
