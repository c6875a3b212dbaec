"""What an event is, and how it and its effects get their identity.

An event's id is a UUIDv5 of (source, natural key, version); an output's id a UUIDv5 of
(input id, rule). Both are functions of their input alone: a repeat carries the same id, and so
an effect that happened twice can be told from two effects.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from hub.domain.hex_texts import HexForm

#: Root of all ids of the hub. Changing it would make every known event new: never change it.
NAMESPACE = uuid.UUID("6f4c0c1e-5a0b-5f0e-9d53-623000000000")
_NAMESPACE_BYTES = NAMESPACE.bytes
#: Parts of a name are joined by a byte that no identifier contains, so ("a", "bc") != ("ab", "c").
_SEPARATOR = "\x1f"
#: W3C Trace Context: version, trace id, span id, flags; a later version may say more behind them.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def derive_id(*parts: str) -> str:
    """UUIDv5 of the parts under the hub's namespace, as 36 characters.

    Same result as ``uuid.uuid5(NAMESPACE, "\\x1f".join(parts))`` at a quarter of its cost.
    """
    digest = bytearray(
        hashlib.sha1(  # UUIDv5 is defined on SHA-1 (RFC 9562, 5.5)
            _NAMESPACE_BYTES + _SEPARATOR.join(parts).encode(), usedforsecurity=False
        ).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


#: The four digits that the variant leaves of the seventeenth (RFC 9562, 4.1).
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
#: SHA-1 as a UUID of version 5, which takes the place of the thirteenth digit.
_UUIDS = HexForm(
    "xxxxxxxx-xxxx-5xxx-vxxx-xxxxxxxxxxxx", 40, {12}, bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)
)
_TRACEPARENTS = HexForm(f"00-{'x' * 32}-{'x' * 16}-01", 48)


class IdMaker:
    """``derive_id`` for many names that begin with the same ``parts``: the beginning is hashed once.

    ``make(rest)`` is ``derive_id(*parts, rest)``; further parts stand in ``rest`` behind a separator each.
    """

    __slots__ = ("_begun",)

    SEPARATOR = _SEPARATOR

    def __init__(self, *parts: str) -> None:
        begin = _SEPARATOR.join(parts) + _SEPARATOR
        self._begun = hashlib.sha1(_NAMESPACE_BYTES + begin.encode(), usedforsecurity=False)

    def make(self, rest: str) -> str:
        begun = self._begun.copy()
        begun.update(rest.encode())
        text = begun.hexdigest()
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"

    def make_all(self, rests: Iterable[bytes]) -> list[bytes]:
        """``make`` of each, in UTF-8 on both sides."""
        copy, digests = self._begun.copy, []
        for rest in rests:
            begun = copy()
            begun.update(rest)
            digests.append(begun.digest())
        return _UUIDS.texts(digests)


def entity_id(source: str, natural_key: str) -> str:
    """Id of the thing that all versions of a row speak of; the correlation id of its events."""
    return derive_id("entity", source, natural_key)


def event_id(source: str, natural_key: str, version: int) -> str:
    """Id of one version (1, 2, ...) of one row of one source."""
    return derive_id("event", source, natural_key, str(version))


def output_id(input_id: str, rule: str) -> str:
    """Id of what ``rule`` makes of the record ``input_id``."""
    return derive_id("output", input_id, rule)


def new_traceparent(seed: str) -> str:
    """A W3C ``traceparent`` whose trace id is derived from ``seed``, so that repeats share it."""
    digest = hashlib.blake2b(seed.encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def new_traceparents(seeds: Sequence[bytes]) -> list[bytes]:
    """``new_traceparent`` of each, in UTF-8 on both sides."""
    return _TRACEPARENTS.texts([hashlib.blake2b(seed, digest_size=24).digest() for seed in seeds])


def child_traceparent(parent: str, id: str) -> str:
    """The ``traceparent`` of what a record led to: the trace of ``parent`` and its flags, under a span of its own.

    ``id`` is the output's UUID; the span follows from it, so that a repeat is the same span. As W3C Trace Context
    asks, a parent that cannot be read begins a new trace instead.
    """
    if _TRACEPARENT.fullmatch(parent) is None:
        return new_traceparent(id)
    return f"00{parent[2:36]}{span_of(id)}{parent[52:55]}"


def read_traceparent(text: str) -> tuple[str, str] | None:
    """Trace and span of a ``traceparent``, as hexadecimal digits; ``None`` if it cannot be read."""
    return (text[3:35], text[36:52]) if _TRACEPARENT.fullmatch(text) is not None else None


def span_of(id: str) -> str:
    """The 16 hexadecimal digits of a span, of the UUID of what it made."""
    return f"{id[:8]}{id[9:13]}{id[14:18]}"


class Envelope(NamedTuple):
    """Metadata of an event, with the names of CloudEvents 1.0 and its extensions.

    ``type`` is ``<domain>.<noun>.<past-tense>``; ``subject`` the canonical key of the enterprise
    or person; ``time`` when it was entered (aware); ``correlation_id`` the entity; ``sequence``
    the version of the row, from 1; ``digest`` identifies the content of that version.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    sequence: int | None = None
    natural_key: str | None = None
    digest: str | None = None

    def caused(self, *, id: str, source: str, type: str, time: datetime) -> Envelope:
        """Envelope of a record that this one is the direct cause of."""
        return Envelope(
            id=id, source=source, type=type, subject=self.subject, time=time, correlation_id=self.correlation_id,
            causation_id=self.id, sequence=self.sequence,
            traceparent=child_traceparent(self.traceparent, id) if self.traceparent is not None else None,
        )
