"""Which event a row is: new, changed, or a repeat; and how that event is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from hub.bus.records import Headers, Output
from hub.contracts.cloudevents import to_headers
from hub.contracts.codec import Schema
from hub.domain.events import Envelope, derive_id, entity_id, event_id, new_traceparent
from hub.domain.identifiers import subject_key
from hub.domain.plain import whole_millis
from hub.intake.encoder import Encode, row_encoder
from hub.intake.rows import Problem, Row, RowFault
from hub.state.seen_index import SeenRow

#: Where refused rows go, and as what.
REJECTIONS_TOPIC = "intake.rejections.v1"
REJECTION_SCHEMA = "hub/rejection"
REJECTION_TYPE = "intake.row.rejected"
_REMOVED = "\x1e\x1fremoved"
_UNREAD = "\x1e\x1funread\x1f"
#: Headers that say how the subject of an event was found, where its row had no valid code.
IDENTIFIED_BY, IDENTITY_REASON = "ce_identifiedby", "ce_identityreason"


def source_uri(name: str) -> str:
    """``ce_source`` of a source's events."""
    return f"/sources/{name}"


class Identified(NamedTuple):
    """A row with its identity: ``natural`` is what all ids derive from, ``key`` its keyed digest (16
    bytes), ``digest`` identifies the content (8 bytes)."""

    row: Row
    natural: str
    key: bytes
    digest: bytes


class Identity(NamedTuple):
    """Whose a row is that does not say so itself. ``by`` is ``register`` or ``person``; ``reason`` the evidence,
    without a name; ``causation_id`` the decision of a person."""

    uscc: str
    by: str
    reason: str
    causation_id: str | None = None

    def headers(self) -> Headers:
        return [(IDENTIFIED_BY, self.by.encode()), (IDENTITY_REASON, self.reason.encode())]


def with_code(value: Mapping[str, Any], uscc: str) -> dict[str, Any]:
    """The fields of a row whose enterprise was found. A code that begins with 92 is a household's."""
    kind = value.get("party_kind")
    return {**value, "party_uscc": uscc, "party_kind": "04" if kind == "02" and uscc.startswith("92") else kind}


class EventWriter:
    """Makes records of rows and faults of one source.

    ``secret`` keys the digests of natural keys and contents: a natural key may hold
    a name. Changing it makes every row look new, so it is never changed on a living hub.
    """

    def __init__(
        self,
        source: str,
        target: Callable[[str], tuple[str, str]],
        schema: Callable[[str], Schema],
        secret: bytes,
    ) -> None:
        # BLAKE2b takes keys of at most 64 bytes; a longer secret is no less secret as its digest.
        self._key = secret if len(secret) <= 64 else hashlib.blake2b(secret).digest()
        self.uri = source_uri(source)
        self._source = source
        self._target = target
        self._schema = schema
        self._secret = secret
        self._targets: dict[str, tuple[str, Encode]] = {}
        self._salt = f"{self.uri}\x1f"
        self._rejection = schema(REJECTION_SCHEMA)

    def target(self, kind: str) -> tuple[str, Encode]:
        """Topic and encoder of a kind of row."""
        found = self._targets.get(kind)
        if found is None:
            topic, name = self._target(kind)
            found = self._targets[kind] = (topic, row_encoder(self._schema(name)))
        return found

    def identify(self, row: Row) -> Identified:
        """The row's identity. The natural key is of the topic: two kinds of rows may share numbers."""
        natural = f"{self.target(row.kind)[0]}|{row.natural_key}"
        content = canonical_text(row.value)
        if row.is_removed:
            # Its last content is that of the version before: only this tells them apart.
            content += _REMOVED
        if row.unread_code is not None:
            content += _UNREAD + row.unread_code
        return Identified(row, natural, self.keyed(self._salt + natural, 16), self.keyed(content, 8))

    def event(
        self, item: Identified, before: SeenRow | None, now: datetime, identity: Identity | None = None,
        correlation_id: str | None = None,
    ) -> tuple[Output, SeenRow]:
        """The event for a row that is new or changed, and what the index holds of it afterwards.

        Its type is the row's state where that is new, else the amendment. ``identity`` says whose it is where
        the row has no valid code; ``correlation_id`` is given where it goes on with another source's fact.

        :raises ContractError: when the value does not fit its schema.
        :raises InputError: when nothing says whom it concerns.
        """
        row, natural, key, digest = item
        topic, encode = self.target(row.kind)
        version = before.version + 1 if before else 1
        type_ = row.state_type if before is None or before.state != row.state_type else row.amended_type
        value = row.value if identity is None else with_code(row.value, identity.uscc)
        subject = subject_key(
            value.get("party_uscc"),
            value.get("party_registration_number"),
            value.get("party_certificate_number"),
            value.get("party_name"),
            self._secret,
        )
        id_ = event_id(self.uri, natural, version)
        headers = to_headers(
            Envelope(
                id=id_,
                source=self.uri,
                type=type_,
                subject=subject,
                time=now,
                correlation_id=correlation_id or entity_id(self.uri, natural),
                traceparent=new_traceparent(id_),
                sequence=version,
                natural_key=key.hex(),
                digest=digest.hex(),
            )
        )
        if identity is not None:
            headers += identity.headers()
        return (
            Output(topic, subject.encode(), encode(value), headers),
            SeenRow(version, digest, row.state_type),
        )

    def rejection(self, identity: str, fault: RowFault, number: int, now: datetime) -> tuple[bytes, Output]:
        """The record of one problem of a fault, with the key under which the index knows it.

        The same problem of the same file is the same record, however often the file is read.
        """
        place, problem = fault.place, fault.problems[number]
        id_ = derive_id(
            "rejection", self.uri, identity, place.sheet or "", str(place.row), str(number), problem.code
        )
        key = self.keyed(id_, 16)
        value = self._rejection.encode(
            {
                "rejection_id": id_,
                "source": self._source,
                "file": place.file[:500],
                "sheet": place.sheet and place.sheet[:200],
                "row": place.row,
                "column": problem.column and problem.column[:200],
                "field": problem.field,
                "value": problem.value,
                "problem_code": problem.code,
                "problem": problem.problem[:2000],
                "remedy": problem.remedy[:2000],
                "rejected_at": now,
                "row_digest": fault.digest,
            }
        )
        headers = to_headers(
            Envelope(
                id=id_,
                source=self.uri,
                type=REJECTION_TYPE,
                subject=self._source,
                time=now,
                correlation_id=id_,
                traceparent=new_traceparent(id_),
                sequence=1,
                natural_key=key.hex(),
                digest=key[:8].hex(),
            )
        )
        return key, Output(REJECTIONS_TOPIC, self._source.encode(), value, headers)

    def keyed(self, text: str, size: int) -> bytes:
        """A digest that tells nothing of ``text`` to whoever has not the secret."""
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=size, key=self._key).digest()


def canonical_text(value: Mapping[str, Any]) -> str:
    """The content of a row as one text, the same for the same content for ever.

    Fields without a value are left out, so that a field added to the schema changes nothing; fields
    are sorted, so that a column moved or left to its default changes nothing either.
    """
    return "\x1e".join(
        [
            f"{name}\x1f{content if type(content) is str else _canonical(content)}"
            for name in _sorted(tuple(value))
            if (content := value[name]) is not None
        ]
    )


@lru_cache(maxsize=4096)
def _sorted(names: tuple[str, ...]) -> list[str]:
    """Rows of one table have few sets of fields."""
    return sorted(names)


def _canonical(content: Any) -> str:
    kind = type(content)
    if kind is date:
        return cast(date, content).isoformat()
    if kind is list:
        return "\x1d".join([part if type(part) is str else _canonical(part) for part in content])
    if kind is dict:
        return "\x1c".join([f"{name}={part}" for name, part in sorted(content.items()) if part is not None])
    return str(content)


def unfit(row: Row, problem: str, remedy: str, code: str) -> RowFault:
    """The fault of a row that the schema refused after the mapping had let it pass."""
    digest = hashlib.blake2b(canonical_text(row.value).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return RowFault(row.place, (Problem(code, None, None, None, problem, remedy),), digest)


def utc_now() -> datetime:
    """The moment, aware, to the millisecond that a record can hold."""
    now = datetime.now(UTC)
    return whole_millis(now)
