"""Which event a row is: new, changed, or a repeat; and how that event is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

from hub.bus.records import Headers, Output
from hub.contracts.cloudevents import HeaderMaker, to_headers, written_time
from hub.contracts.codec import Schema
from hub.domain.events import Envelope, IdMaker, derive_id, new_traceparent
from hub.domain.identifiers import subject_key
from hub.domain.plain import whole_millis
from hub.errors import ContractError, InputError
from hub.intake.column import Table
from hub.intake.content import Contents, canonical_text
from hub.intake.encoder import Encode, RowEncoder
from hub.intake.firsts import FirstEvents
from hub.intake.rows import Problem, Row, RowFault
from hub.state.seen_index import SeenRow

#: Where refused rows go, and as what.
REJECTIONS_TOPIC = "intake.rejections.v1"
REJECTION_SCHEMA = "hub/rejection"
REJECTION_TYPE = "intake.row.rejected"
_REMOVED = b"\x1e\x1fremoved"
_UNREAD = b"\x1e\x1funread\x1f"
#: Headers that say how the subject of an event was found, where its row had no valid code.
IDENTIFIED_BY, IDENTITY_REASON = "ce_identifiedby", "ce_identityreason"
#: Subjects that are remembered; a batch of a large export speaks of some hundred enterprises.
_SUBJECTS = 16384


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


# Without the call of Python code that a named tuple's own constructor is.
_identified = partial(tuple.__new__, Identified)


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
        self.uri = source_uri(source)
        self._source = source
        self._target = target
        self._schema = schema
        self._secret = secret
        # A whole block of the hash, so that each digest begins behind the secret.
        self._keyed = hashlib.sha256(hashlib.sha256(secret).digest().ljust(64, b"\0"))
        self._targets: dict[str, tuple[str, RowEncoder]] = {}
        self._salt = f"{self.uri}\x1f"
        self._rejection = schema(REJECTION_SCHEMA)
        self._contents = Contents()
        self._table = Table([])
        self._keys = self.keyed_all(self._salt, 16)
        self._entity_ids, self._event_ids = IdMaker("entity", self.uri), IdMaker("event", self.uri)
        self._headers = HeaderMaker(self.uri)
        self._subject_of_code = lru_cache(maxsize=_SUBJECTS)(self._code_subject)
        self.firsts = FirstEvents(self._event_ids, self._entity_ids, self._headers, self._code_subject)

    def target(self, kind: str) -> tuple[str, Encode]:
        """Topic and encoder of a kind of row."""
        topic, encoder = self._row_target(kind)
        return topic, encoder.encode

    def _row_target(self, kind: str) -> tuple[str, RowEncoder]:
        found = self._targets.get(kind)
        if found is None:
            topic, name = self._target(kind)
            found = self._targets[kind] = (topic, RowEncoder(self._schema(name)))
        return found

    def identify(self, row: Row) -> Identified:
        """The row's identity. The natural key is of the topic: two kinds of rows may share numbers."""
        content = canonical_text(row.value).encode("utf-8", "replace") + self._rest(row)
        natural = f"{self._row_target(row.kind)[0]}|{row.natural_key}"
        return Identified(row, natural, self.keyed(self._salt + natural, 16), self._digest(content, 8))

    def identify_all(self, items: Sequence[Row | RowFault]) -> list[Identified | RowFault]:
        """``identify`` for each row of a batch; faults stay as they are."""
        rows = [item for item in items if type(item) is Row]
        self._table = Table([row.value for row in rows])
        contents = self._contents.of(self._table)
        for number, row in enumerate(rows):
            if row.is_removed or row.unread_code is not None:
                contents[number] += self._rest(row)
        begins = {kind: f"{self._row_target(kind)[0]}|" for kind in {row.kind for row in rows}}
        naturals = [begins[row.kind] + row.natural_key for row in rows]
        keys, digests = self._keys(naturals), self._digests(contents)
        found: list[Identified | RowFault] = list(map(_identified, zip(rows, naturals, keys, digests, strict=True)))
        if len(rows) == len(items):
            return found
        identified = iter(found)
        return [item if isinstance(item, RowFault) else next(identified) for item in items]

    @staticmethod
    def _rest(row: Row) -> bytes:
        """What is content of a row beside its value."""
        # The last content of a removed row is that of the version before: only this tells them apart.
        removed = _REMOVED if row.is_removed else b""
        return removed if row.unread_code is None else removed + _UNREAD + row.unread_code.encode("utf-8", "replace")

    def bodies(self, items: Sequence[Identified]) -> list[bytes | None]:
        """What ``event`` would encode of each, column by column; ``None`` where it has to look for itself."""
        kinds = {item.row.kind for item in items}
        if len(kinds) != 1:
            return [None] * len(items)
        return self._row_target(kinds.pop())[1].encode_all(self.table([item.row.value for item in items]))

    def table(self, values: Sequence[dict[str, Any]]) -> Table:
        """Values of rows as columns. All of a batch is new where a file is: then they are there already."""
        return self._table if self._table.is_of(values) else Table(values)

    def event(
        self, item: Identified, before: SeenRow | None, now: datetime, identity: Identity | None = None,
        correlation_id: str | None = None, body: bytes | None = None,
    ) -> tuple[Output, SeenRow]:
        """The event for a row that is new or changed, and what the index holds of it afterwards.

        Its type is the row's state where that is new, else the amendment. ``identity`` says whose it is where
        the row has no valid code; ``correlation_id`` is given where it goes on with another source's fact;
        ``body`` is what ``bodies`` gave for it.

        :raises ContractError: when the value does not fit its schema.
        :raises InputError: when nothing says whom it concerns.
        """
        row, natural, key, digest = item
        topic, encoder = self._row_target(row.kind)
        version = before.version + 1 if before else 1
        type_ = row.state_type if before is None or before.state != row.state_type else row.amended_type
        value = row.value if identity is None else with_code(row.value, identity.uscc)
        subject = self._subject(value)
        if body is None or identity is not None:
            body = encoder.encode(value)
        id_ = self._event_ids.make(f"{natural}{IdMaker.SEPARATOR}{version}")
        headers = self._headers.make(
            id_.encode(), type_, subject, written_time(now), new_traceparent(id_).encode(),
            (correlation_id or self._entity_ids.make(natural)).encode(), version, key.hex().encode(),
            digest.hex().encode(),
        )
        if identity is not None:
            headers += identity.headers()
        return Output(topic, subject, body, headers), SeenRow(version, digest, row.state_type)

    def address(self, row: Row, identity: Identity | None) -> tuple[str, bytes]:
        """Topic and key of the event that ``event`` would make. Raises InputError."""
        value = row.value if identity is None else with_code(row.value, identity.uscc)
        return self._row_target(row.kind)[0], self._subject(value)

    def _subject(self, value: Mapping[str, Any]) -> bytes:
        code = value.get("party_uscc")
        if code is not None and (found := self._subject_of_code(code)) is not None:
            return found
        return subject_key(
            code,
            value.get("party_registration_number"),
            value.get("party_certificate_number"),
            value.get("party_name"),
            self._secret,
        ).encode()

    def _code_subject(self, code: str) -> bytes | None:
        """The subject where the code alone decides it."""
        try:
            found = subject_key(code, None, None, None, self._secret)
        except InputError:
            return None
        # A person's number in this column gives way to one in its own.
        return None if found.startswith("id-") else found.encode()

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
        """A digest that tells nothing of ``text`` to whoever has not the secret: ``size`` bytes, 16 at most."""
        return self._digest(text.encode("utf-8", "replace"), size)

    def keyed_all(self, begin: str, size: int) -> Callable[[Iterable[str]], list[bytes]]:
        """``keyed`` for many texts that begin with the same: the beginning is hashed once."""
        begun = self._keyed.copy()
        begun.update(begin.encode("utf-8", "replace"))
        return lambda texts: _digests(begun, (text.encode("utf-8", "replace") for text in texts), size)

    def _digests(self, contents: Iterable[bytes]) -> list[bytes]:
        return _digests(self._keyed, contents, 8)

    def _digest(self, content: bytes, size: int) -> bytes:
        """SHA-256 behind a block that the secret makes, cut to half or less: what is left out keeps anybody from
        going on with a digest that they have seen."""
        begun = self._keyed.copy()
        begun.update(content)
        return begun.digest()[:size]


def _digests(begun: Any, contents: Iterable[bytes], size: int) -> list[bytes]:
    copy, found = begun.copy, []
    for content in contents:
        each = copy()
        each.update(content)
        found.append(each.digest()[:size])
    return found


def unfit(row: Row, problem: str, remedy: str, code: str) -> RowFault:
    """The fault of a row that the schema refused after the mapping had let it pass."""
    digest = hashlib.blake2b(canonical_text(row.value).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return RowFault(row.place, (Problem(code, None, None, None, problem, remedy),), digest)


def unfit_row(row: Row, error: ContractError | InputError) -> RowFault:
    """The fault of a row of which no event could be made (``EventWriter.event``)."""
    if isinstance(error, InputError):
        return unfit(
            row,
            "没有统一社会信用代码、注册号、证件号码或名称，无法确定当事人",
            "请至少填写其中一项",
            "no-subject",
        )
    return unfit(row, f"内容不符合数据标准：{error}", "请对照模板说明核对这一行", "schema")


def utc_now() -> datetime:
    """The moment, aware, to the millisecond that a record can hold."""
    now = datetime.now(UTC)
    return whole_millis(now)
