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
    """Columns, in the order of the rows: the event, what the index of rows holds of it, its id and that of its
    entity, and the row's key in hexadecimal digits. Nobody else has the lists of headers."""

    outputs: list[Output]
    afters: list[SeenRow]
    ids: list[bytes]
    correlation_ids: list[bytes]
    keys: list[bytes]


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
        self, topic: str, items: Sequence[Identified], subjects: Sequence[bytes], bodies: Sequence[bytes], now: datetime
    ) -> Firsts:
        """The events of rows of one topic."""
        rows, naturals, keys, digests = zip(*items, strict=True)
        names = list(map(str.encode, naturals))
        ids = self._event_ids.make_all([name + _FIRST for name in names])
        correlation_ids = self._entity_ids.make_all(names)
        states = [row.state_type for row in rows]
        key_texts = _hex(keys, _KEY_DIGITS)
        headers = self._headers.make_firsts(
            ids, states, subjects, written_time(now), new_traceparents(ids), correlation_ids, key_texts,
            _hex(digests, _DIGEST_DIGITS),
        )
        outputs = list(map(_output, zip(repeat(topic), subjects, bodies, headers, repeat(None))))
        afters = list(map(_seen, zip(repeat(1), digests, states)))
        return Firsts(outputs, afters, ids, correlation_ids, key_texts)


def _whole_subjects(codes: Sequence[str]) -> list[bytes] | None:
    return list(map(str.encode, codes)) if are_subjects(codes) else None


def _hex(digests: Sequence[bytes], width: int) -> list[bytes]:
    text = b"".join(digests).hex().encode()
    return [text[start : start + width] for start in range(0, len(text), width)]
