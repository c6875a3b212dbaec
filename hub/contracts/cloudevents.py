"""The envelope as Kafka headers: CloudEvents 1.0, binary content mode.

Attributes are headers with the prefix ``ce_``, in UTF-8; ``content-type`` and W3C's ``traceparent``
stand without it, so that tracing libraries find theirs. Extensions: ``correlationid``,
``causationid``, ``sequence``, ``naturalkey``, ``digest``. An attribute without a value has no header.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from hub.domain.events import Envelope
from hub.errors import ContractError

#: As ``hub.bus.records`` has it; contracts know nothing of Kafka.
Headers = list[tuple[str, bytes]]

_SPECVERSION = ("ce_specversion", b"1.0")
_FIRST = ("ce_sequence", b"1")
_CONTENT_TYPE = ("content-type", b"application/avro")
_REQUIRED = ("ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_correlationid")
_KNOWN = frozenset({
    *_REQUIRED, "ce_specversion", "ce_causationid", "traceparent", "ce_sequence", "ce_naturalkey", "ce_digest",
})


def to_headers(envelope: Envelope) -> Headers:
    """The headers, always in the same order. Raises ContractError if the time has no zone."""
    headers: Headers = [
        _SPECVERSION,
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", written_time(envelope.time)),
        _CONTENT_TYPE,
    ]
    if envelope.traceparent is not None:
        headers.append(("traceparent", envelope.traceparent.encode()))
    headers.append(("ce_correlationid", envelope.correlation_id.encode()))
    if envelope.causation_id is not None:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.sequence is not None:
        headers.append(("ce_sequence", b"%d" % envelope.sequence))
    if envelope.natural_key is not None:
        headers.append(("ce_naturalkey", envelope.natural_key.encode()))
    if envelope.digest is not None:
        headers.append(("ce_digest", envelope.digest.encode()))
    return headers


class HeaderMaker:
    """``to_headers`` for the events of one source, whose envelopes differ in little: what is the same for all of
    them is encoded once. Texts come as bytes; ``time`` is encoded by ``written_time``."""

    def __init__(self, source: str) -> None:
        self._source = ("ce_source", source.encode())
        self._types: dict[str, tuple[str, bytes]] = {}

    def make(
        self, id: bytes, type: str, subject: bytes, time: bytes, traceparent: bytes, correlation_id: bytes,
        sequence: int, natural_key: bytes, digest: bytes,
    ) -> Headers:
        named = self._types.get(type)
        if named is None:
            named = self._types[type] = ("ce_type", type.encode())
        return [
            _SPECVERSION, ("ce_id", id), self._source, named, ("ce_subject", subject), ("ce_time", time), _CONTENT_TYPE,
            ("traceparent", traceparent), ("ce_correlationid", correlation_id), ("ce_sequence", b"%d" % sequence),
            ("ce_naturalkey", natural_key), ("ce_digest", digest),
        ]

    def make_firsts(
        self, ids: Sequence[bytes], types: Sequence[str], subjects: Sequence[bytes], time: bytes,
        traceparents: Sequence[bytes], correlation_ids: Sequence[bytes], natural_keys: Sequence[bytes],
        digests: Sequence[bytes],
    ) -> list[Headers]:
        """``make`` for the first versions of several rows."""
        for type in set(types).difference(self._types):
            self._types[type] = ("ce_type", type.encode())
        source, moment = self._source, ("ce_time", time)
        return [
            [
                _SPECVERSION, ("ce_id", id), source, type, ("ce_subject", subject), moment, _CONTENT_TYPE,
                ("traceparent", traceparent), ("ce_correlationid", correlation_id), _FIRST,
                ("ce_naturalkey", natural_key), ("ce_digest", digest),
            ]
            for id, type, subject, traceparent, correlation_id, natural_key, digest in zip(
                ids, map(self._types.__getitem__, types), subjects, traceparents, correlation_ids, natural_keys,
                digests, strict=True,
            )
        ]


def from_headers(headers: Headers) -> Envelope:
    """The envelope; of a name that stands twice the first counts, unknown ones are passed over.

    Raises ContractError naming the header that is missing or cannot be read.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        # A header without a value is None in some clients: the same as no header.
        if name in _KNOWN and value is not None and name not in found:
            try:
                found[name] = value.decode()
            except UnicodeDecodeError:
                raise ContractError(f"header {name} is not UTF-8") from None
    if found.get("ce_specversion") != "1.0":
        raise ContractError(f"header ce_specversion is {found.get('ce_specversion', 'missing')}, not 1.0")
    for name in _REQUIRED:
        if not found.get(name):
            raise ContractError(f"header {name} is missing or empty")
    return Envelope(
        id=found["ce_id"],
        source=found["ce_source"],
        type=found["ce_type"],
        subject=found["ce_subject"],
        time=_read_time(found["ce_time"]),
        correlation_id=found["ce_correlationid"],
        causation_id=found.get("ce_causationid"),
        traceparent=found.get("traceparent"),
        sequence=_read_sequence(found.get("ce_sequence")),
        natural_key=found.get("ce_naturalkey"),
        digest=found.get("ce_digest"),
    )


@lru_cache(maxsize=64)
def written_time(time: datetime) -> bytes:
    """A moment as ``ce_time`` has it; the events of a batch share one. Raises ContractError if it has no zone."""
    zone = time.tzinfo
    if zone is None or zone.utcoffset(time) is None:
        raise ContractError("header ce_time needs a time with its zone")
    utc = time if zone is UTC else time.astimezone(UTC)
    return utc.isoformat()[:-6].encode() + b"Z"  # less "+00:00"


def _read_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ContractError(f"header ce_time is not a time of RFC 3339: {text}") from None
    if time.tzinfo is None:
        raise ContractError(f"header ce_time has no zone: {text}")
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def _read_sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ContractError(f"header ce_sequence is not a number: {text}")
    return int(text)
