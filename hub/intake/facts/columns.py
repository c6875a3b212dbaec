"""Facts of a batch of rows of one topic, column by column: what ``FactRule`` says of each row, sooner.

Authorities, dates and codes repeat in nearly every row of an export; what their comparable form is, and its digest,
is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hub.domain.enterprise_names import plain_texts
from hub.domain.facts import FactRule, comparable_text, plain_part
from hub.intake.column import Column

Values = Sequence[Mapping[str, Any]]


class FactColumns:
    """Of one source and topic, used by one thread. ``keyed_all`` gives the 16 bytes of keyed digest of each text,
    ``digest`` that of a field's content."""

    def __init__(
        self, rule: FactRule, keyed_all: Callable[[Sequence[str]], list[bytes]], digest: Callable[[str], str]
    ) -> None:
        self._keyed_all = keyed_all
        self._parts = [(name, Column(plain_part, plain_texts)) for name in rule.key]
        self._contents = [(name, Column(_digest_of(name, digest))) for name in rule.same]

    def facts(self, values: Values, subjects: Sequence[str]) -> list[bytes | None]:
        """The fact of each row, whose subject stands beside it; ``None`` where ``FactRule.key_text`` gives none."""
        columns = [column([value.get(name) for value in values]) for name, column in self._parts]
        texts = list(map("\x1f".join, zip(*columns, subjects, strict=True)))
        empty = {at for column in columns if "" in column for at, part in enumerate(column) if not part}
        found: list[bytes | None] = list(self._keyed_all(texts))
        for at in empty:
            found[at] = None
        return found

    def contents(self, values: Values) -> list[tuple[str, ...]]:
        """``FactRule.content`` of each row."""
        if not self._contents:
            return [()] * len(values)
        columns = [column([value.get(name) for value in values]) for name, column in self._contents]
        return list(zip(*columns, strict=True))


def _digest_of(name: str, digest: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda content: digest(comparable_text(name, content))
