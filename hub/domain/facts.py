"""One fact by two ways: when rows of two sources are the same fact, and whose content counts.

The province's system and the prefecture's collaboration platform both report the same penalty. What makes it the same
is declared in the map: the fields of ``key`` (beside the subject), and in ``same`` those that have to be equal for the
second to be a mere witness. Of two that differ the source that stands first in ``precedence`` counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from hub.domain.enterprise_names import plain
from hub.domain.identifiers import normalise_name

#: Name under which the state of a row is compared beside its fields.
STATE = "state"


@dataclass(frozen=True, slots=True)
class FactRule:
    """Of one topic; names of fields, and of sources."""

    key: tuple[str, ...]
    same: tuple[str, ...]
    precedence: tuple[str, ...] = ()

    def key_text(self, value: Mapping[str, Any], subject: str) -> str | None:
        """What makes the fact, as a text; ``None`` where a field of it is empty: then it is like nothing else.

        Numbers of documents are compared without brackets and blanks: 〔2026〕12号 is [2026] 12号.
        """
        parts = [value.get(name) for name in self.key]
        if any(part is None for part in parts):
            return None
        texts = [plain(str(part)) for part in parts]
        return "\x1f".join([*texts, subject]) if all(texts) else None

    def content(self, value: Mapping[str, Any], digest: Callable[[str], str]) -> tuple[str, ...]:
        """A digest of each field of ``same``, in its order."""
        return tuple(digest(f"{name}\x1f{_comparable(value.get(name))}") for name in self.same)

    def differing(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the fields that differ. A rule that was changed since compares nothing: all of them."""
        if len(ours) != len(theirs):
            return self.same
        return tuple(name for name, a, b in zip(self.same, ours, theirs, strict=False) if a != b)

    def goes_before(self, source: str, other: str) -> bool:
        """Whether content of ``source`` counts against that of ``other``; sources that are not named come last, and
        of two equals whoever was first."""
        return self._rank(source) < self._rank(other)

    def _rank(self, source: str) -> int:
        return self.precedence.index(source) if source in self.precedence else len(self.precedence)


def _comparable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "\x1e".join(sorted(map(_comparable, value)))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return value.isoformat()
    return normalise_name(str(value))
