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
from functools import lru_cache
from typing import Any, Literal, get_args

from hub.domain.enterprise_names import plain
from hub.domain.identifiers import normalise_name

#: By which a source reports: the department's own system, the provincial "Internet + supervision" system, the
#: collaboration platform (协管平台), the national platform.
Way = Literal["own-system", "provincial", "collaboration-platform", "national"]
OWN_SYSTEM: Way = "own-system"
WAYS: tuple[Way, ...] = get_args(Way)
# Names of authorities and codes come again and again.
_plain, _normal = lru_cache(maxsize=1 << 14)(plain), lru_cache(maxsize=1 << 14)(normalise_name)
#: Name under which the state of a row is compared beside its fields.
STATE = "state"
#: Name under which it stands that the second is a record of its own, which had said another fact before.
RECORD = "record"


@dataclass(frozen=True, slots=True)
class FactRule:
    """Of one topic; names of fields, and in ``precedence`` names of sources and of ways (``WAYS``)."""

    key: tuple[str, ...]
    same: tuple[str, ...]
    precedence: tuple[str, ...] = ()

    def key_text(self, value: Mapping[str, Any], subject: str) -> str | None:
        """What makes the fact, as a text; ``None`` where a field of it is empty: then it is like nothing else.

        Numbers of documents are compared without brackets and blanks: 〔2026〕12号 is [2026] 12号.
        """
        texts = [plain_part(value.get(name)) for name in self.key]
        return "\x1f".join([*texts, subject]) if all(texts) else None

    def content(self, value: Mapping[str, Any], digest: Callable[[str], str]) -> tuple[str, ...]:
        """A digest of each field of ``same``, in its order."""
        return tuple(digest(comparable_text(name, value.get(name))) for name in self.same)

    def differing(self, ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the fields that differ. A rule that was changed since compares nothing: all of them."""
        if len(ours) != len(theirs):
            return self.same
        return tuple(name for name, a, b in zip(self.same, ours, theirs, strict=False) if a != b)

    def goes_before(self, source: str, way: str, other: str, other_way: str) -> bool:
        """Whether content of ``source`` counts against that of ``other``, each with the way by which it reports. A
        source stands where the first of its name and its way stands; one of which neither is named comes last, and of
        two equals whoever was first."""
        return self._rank(source, way) < self._rank(other, other_way)

    def _rank(self, source: str, way: str) -> int:
        named = [place for place, name in enumerate(self.precedence) if name in (source, way)]
        return named[0] if named else len(self.precedence)


def plain_part(content: Any) -> str:
    """A field of a fact's key as it is compared; empty where nothing is left of it."""
    return "" if content is None else _plain(str(content))


def comparable_text(name: str, content: Any) -> str:
    """A field of ``FactRule.same`` as a text: the same for contents that mean the same."""
    return f"{name}\x1f{_comparable(content)}"


def _comparable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "\x1e".join(sorted(map(_comparable, value)))
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return value.isoformat()
    return _normal(str(value))
