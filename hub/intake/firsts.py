"""Events of rows that were never seen before, a batch at a time: nearly all that a large file becomes.

What ``EventWriter.event`` makes of each with nothing before it, from the same parts; a test holds both equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from hub.bus.records import Output
from hub.contracts.cloudevents import HeaderMaker, written_time
from hub.domain.events import IdMaker, new_traceparents
from hub.domain.identifiers import are_subjects
from hub.intake.column import Column
from hub.state.seen_index import SeenRow

if TYPE_CHECKING:
    from hub.intake.versions import Identified

#: Behind a natural key in what an event's id is made of: the first version.
_FIRST = f"{IdMaker.SEPARATOR}1".encode()
_KEY_DIGITS, _DIGEST_DIGITS = 32, 16
# Without the call of Python code that a named tuple's own constructor is.
_output, _seen = partial(tuple.__new__, Output), partial(tuple.__new__, SeenRow)


class Firsts(NamedTuple):
    """Columns, in the order of the rows, of events of one topic: what their records and the index of rows hold of
    them but for the time. ``ids`` are those of the events, ``correlation_ids`` those of their entities."""

    topic: str
    keys: Sequence[bytes]
    subjects: Sequence[bytes]
    bodies: Sequence[bytes]
    digests: Sequence[bytes]
    states: Sequence[str]
    ids: Sequence[bytes]
    correlation_ids: Sequence[bytes]
    traceparents: Sequence[bytes]

    def key_texts(self) -> list[bytes]:
        """The keys in hexadecimal digits."""
        return _hex(self.keys, _KEY_DIGITS)

    def afters(self) -> list[SeenRow]:
        """What the index of rows holds of each."""
        return list(map(_seen, zip(repeat(1), self.digests, self.states)))


class FirstEvents:
    """Of one source. ``subject_of_code`` gives the subject where the code of the enterprise alone decides it."""

    def __init__(
        self, event_ids: IdMaker, entity_ids: IdMaker, headers: HeaderMaker,
        subject_of_code: Callable[[str], bytes | None],
    ) -> None:
        self._event_ids, self._entity_ids, self._headers = event_ids, entity_ids, headers
        self._subject_of_code = subject_of_code
        self._subjects = Column(self._subject, _whole_subjects)

    def subjects(self, items: Sequence[Identified]) -> list[bytes | None]:
        """The subject of each row whose code is written as a subject is; ``None`` for all others."""
        found: list[bytes | None] = self._subjects([item.row.value.get("party_uscc") for item in items])
        return found

    def _subject(self, code: str | None) -> bytes | None:
        subject = self._subject_of_code(code) if code is not None else None
        return subject if subject is not None and subject == (code or "").encode() else None

    def make(
        self, topic: str, items: Sequence[Identified], subjects: Sequence[bytes], bodies: Sequence[bytes]
    ) -> Firsts:
        """The events of rows of one topic."""
        rows, naturals, keys, digests = zip(*items, strict=True)
        names = list(map(str.encode, naturals))
        ids = self._event_ids.make_all([name + _FIRST for name in names])
        return Firsts(
            topic, keys, subjects, bodies, digests, [row.state_type for row in rows], ids,
            self._entity_ids.make_all(names), new_traceparents(ids),
        )

    def outputs(self, firsts: Firsts, key_texts: Sequence[bytes], now: datetime) -> list[Output]:
        """Their records; ``key_texts`` are those of ``firsts``. Nobody else has the lists of headers."""
        headers = self._headers.make_firsts(
            firsts.ids, firsts.states, firsts.subjects, written_time(now), firsts.traceparents, firsts.correlation_ids,
            key_texts, _hex(firsts.digests, _DIGEST_DIGITS),
        )
        return list(map(_output, zip(repeat(firsts.topic), firsts.subjects, firsts.bodies, headers, repeat(None))))


def _whole_subjects(codes: Sequence[str]) -> list[bytes] | None:
    return list(map(str.encode, codes)) if are_subjects(codes) else None


def _hex(digests: Sequence[bytes], width: int) -> list[bytes]:
    text = b"".join(digests).hex().encode()
    return [text[start : start + width] for start in range(0, len(text), width)]
