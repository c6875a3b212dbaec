"""How an event says on the log that a fact is its own, and what the book holds of it: for many events at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from hub.domain.facts import Way
from hub.intake.firsts import Firsts
from hub.intake.tentative import FACT_HEADER
from hub.state.seen_index import SeenRow

#: In the place of a digest: an owner has none.
_NO_DIGEST = bytes(8)


class Claim(NamedTuple):
    """What ``Owner.header`` and ``Owner.entry`` give of the owner of a fact."""

    fact: bytes
    header: tuple[str, bytes]
    entry: SeenRow


# Without the call of Python code that a named tuple's own constructor is.
_claim, _seen = partial(tuple.__new__, Claim), partial(tuple.__new__, SeenRow)


#: What is the same for all events of one content: the end of the header, and that of the entry.
Ends = tuple[bytes, bytes]


class Claims:
    """Of one source, which reports by ``way``."""

    def __init__(self, source: str, way: Way) -> None:
        self._begin, self._way = source.encode() + b"\x1f", way
        # Few contents differ among the thousands of a file.
        self._ends = lru_cache(maxsize=1 << 12)(self._make_ends)

    def ends(self, states: Sequence[str], contents: Sequence[tuple[str, ...]]) -> list[Ends]:
        """Of events of these states and contents."""
        return list(map(self._ends, states, contents))

    def make(
        self, facts: Sequence[bytes | None], ends: Sequence[Ends], firsts: Firsts, key_texts: Sequence[bytes]
    ) -> list[Claim | None]:
        """The claim of each event of ``firsts`` to the fact beside it; ``None`` where there is none. ``key_texts`` are
        the keys in hexadecimal digits."""
        begin = self._begin
        return [
            None if fact is None else _claim((
                fact, (FACT_HEADER, fact.hex().encode() + header),
                _seen((1, _NO_DIGEST, (begin + key + b"\x1f" + id_ + b"\x1f" + correlation_id + entry).decode())),
            ))
            for fact, (header, entry), key, id_, correlation_id in zip(
                facts, ends, key_texts, firsts.ids, firsts.correlation_ids, strict=True
            )
        ]

    def _make_ends(self, state: str, content: tuple[str, ...]) -> Ends:
        said = ",".join(content)
        return f";{state};{said};{self._way}".encode(), f"\x1f{state}\x1f{said}\x1f{self._way}".encode()
