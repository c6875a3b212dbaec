"""Decides for the rows of one batch whether each is a fact of its own, a witness, or a conflict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from hub.bus.reader import read_topics
from hub.bus.records import Output, header
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id
from hub.domain.facts import OWN_SYSTEM, STATE, FactRule, Way
from hub.intake.facts.book import FactBook, Owner
from hub.intake.facts.claims import Claim, Claims
from hub.intake.facts.columns import FactColumns
from hub.intake.firsts import Firsts
from hub.intake.tentative import tentative, tentative_headers
from hub.intake.versions import EventWriter, Identified, Identity
from hub.state.seen_index import SeenRow

WITNESSES_TOPIC = "intake.witnesses.v1"
WITNESS_SCHEMA, WITNESS_EVENT = "hub/witness", "intake.witness.recorded"


def read_witnesses(bootstrap: str, catalog: Catalog) -> list[dict[str, Any]]:
    """What the topic holds, the newest first, without the content. Raises BrokerError."""
    found = {}
    for record in read_topics(bootstrap, [WITNESSES_TOPIC]):
        if record.value is not None:
            value = catalog.decode(record.value)[1]
            del value["data"]
            found[value["witness_id"]] = value
    return sorted(found.values(), key=lambda each: (each["recorded_at"], each["witness_id"]), reverse=True)


class Judged(NamedTuple):
    """What becomes of a row: its records, the event first; what the index of rows holds of it; whether it is an
    event. Of a witness ``differs`` names the fields that it says otherwise."""

    outputs: list[Output]
    after: SeenRow
    is_event: bool
    differs: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The last word of the type of the first record."""
        return _text(self.outputs[0], "ce_type").rpartition(".")[2]


class FactDesk:
    """Of one source, which reports by ``way``; used by its thread. ``rules`` are those of the topics that declare
    facts."""

    def __init__(
        self, source: str, rules: Mapping[str, FactRule], writer: EventWriter, book: FactBook, catalog: Catalog,
        way: Way = OWN_SYSTEM,
    ) -> None:
        self.source, self.rules, self.writer, self.book, self.way = source, rules, writer, book, way
        self.schema = catalog.schema(WITNESS_SCHEMA)
        # Dates and codes come again and again.
        self.digest = lru_cache(maxsize=1 << 14)(self._digest)
        self._columns: dict[str, FactColumns] = {}
        self.claims = Claims(source, way)

    def _digest(self, text: str) -> str:
        return self.writer.keyed(text, 4).hex()

    def columns(self, topic: str) -> FactColumns:
        """Raises KeyError for a topic that declares no facts."""
        found = self._columns.get(topic)
        if found is None:
            keyed_all = self.writer.keyed_all(_begin(topic), 16)
            found = self._columns[topic] = FactColumns(self.rules[topic], keyed_all, self.digest)
        return found

    def concerned(self, items: Sequence[object]) -> list[Identified]:
        """The rows of a batch; none if not one is of a topic that declares facts."""
        rows = [item for item in items if type(item) is Identified]
        kinds = {item.row.kind for item in rows}
        return rows if any(self.writer.target(kind)[0] in self.rules for kind in kinds) else []

    def turn(self, items: Sequence[object]) -> Turn | None:
        """The turn for a batch alone; ``None`` if none of its rows is of a topic that declares facts.

        Whoever gets it calls ``close``. Raises what ``FactBook.open`` raises.
        """
        rows = self.concerned(items)
        if not rows:
            return None
        self.book.open()
        try:
            return Turn(self, rows)
        except BaseException:
            self.book.close(is_done=False)
            raise


class Turn:
    """One batch's, while the book is open. ``ahead`` are owners that were published and are not in the book yet.
    ``made`` are those of this batch, as the book has them."""

    def __init__(
        self, desk: FactDesk, rows: Sequence[Identified], ahead: Mapping[bytes, SeenRow] = MappingProxyType({})
    ) -> None:
        self._desk, self._book, self._ahead = desk, desk.book, ahead
        self.made: dict[bytes, SeenRow] = {}
        # By row, which is kept so that no other gets its id, with the subject that each was seen under.
        self._rows = rows
        self._seen = self._early(rows)
        facts = {fact for _, fact in self._seen.values()}
        # One question for the batch; rows whose subject is found later ask for themselves.
        self._asked = facts
        self._found = self._book.look_up(list(facts)) if facts else {}

    def free(
        self, items: Sequence[Identified], subjects: Sequence[bytes | None]
    ) -> list[bytes | Literal[False] | None]:
        """The fact of each row under the subject beside it, where it is nobody's so far; ``None`` for a row that is
        like nothing else, ``False`` where ``judge`` has to decide. A subject is the code that the row says, or
        ``None``."""
        found: list[bytes | Literal[False] | None] = []
        for item, subject in zip(items, subjects, strict=True):
            seen = self._seen.get(id(item))
            fact = None if seen is None else seen[1]
            if fact is not None and (subject is None or fact in self._found or fact in self._ahead):
                found.append(False)
            else:
                found.append(fact)
        return found

    def claims(
        self, topic: str, items: Sequence[Identified], facts: Sequence[bytes | None], firsts: Firsts
    ) -> list[Claim | None]:
        """What makes each event of ``firsts`` the owner of its fact: whoever publishes the event puts the claim's
        header to its others and the entry into ``made``. ``None`` where there is no fact."""
        if facts.count(None) == len(facts):
            return [None] * len(facts)
        contents = self._desk.columns(topic).contents([item.row.value for item in items])
        return self._desk.claims.make(facts, contents, [item.row.state_type for item in items], firsts)

    def judge(
        self, item: Identified, before: SeenRow | None, output: Output, after: SeenRow, now: datetime,
        identity: Identity | None,
    ) -> Judged:
        """``output`` and ``after`` are what the row would become by itself, ``before`` its last published version."""
        rule = self._desk.rules.get(output.topic)
        subject = (output.key or b"").decode()
        seen = self._seen.get(id(item))
        fact = seen[1] if seen is not None and seen[0] == subject else self._fact(
            rule, output.topic, item.row.value, subject
        )
        if rule is None or fact is None:
            return Judged([output], after, True)
        owner = self._owner(fact)
        content = rule.content(item.row.value, self._desk.digest)
        row, state = item.key.hex(), item.row.state_type
        if owner is None or (owner.source, owner.row) == (self._desk.source, row):
            return self._own(item, before, fact, owner, content, output, after, now, identity)
        if owner.source == self._desk.source:
            # What is one record in a source, the source itself says by its natural keys.
            return Judged([output], after, True)
        differs = rule.differing(content, owner.content) + ((STATE,) if state != owner.state else ())
        if differs and rule.goes_before(self._desk.source, self._desk.way, owner.source, owner.way):
            return self._overtake(item, before, fact, owner, content, differs, now, identity)
        testimony = self._testimony(item, fact, owner, subject, differs, output, owner.source, now)
        after = tentative(before, item.digest, state)
        headers = self._row_headers(testimony, item, after, before)
        return Judged([testimony._replace(headers=headers)], after, False, differs)

    def witnessed(self, item: Identified, output: Output) -> Owner | None:
        """The other row whose fact this one bears witness to; ``output`` is what it would be by itself."""
        rule = self._desk.rules.get(output.topic)
        fact = self._fact(rule, output.topic, item.row.value, (output.key or b"").decode())
        owner = None if fact is None else self._owner(fact)
        return None if owner is None or owner.source == self._desk.source else owner

    def keep(self) -> None:
        """Makes sure that the turn lasts for what is published next. Raises IndexUnavailableError."""
        self._book.keep()

    def close(self, offsets: Mapping[tuple[str, int], int] | None) -> None:
        """Ends a turn for this batch alone; ``offsets`` are those of what was acknowledged, ``None`` if it was not."""
        if offsets is None:
            self._book.close(is_done=False)
            return
        try:
            if self.made:
                self._book.store(self.made, offsets)
        except BaseException:
            self._book.close(is_done=False)
            raise
        self._book.close(is_done=True)

    def _own(
        self, item: Identified, before: SeenRow | None, fact: bytes, owner: Owner | None, content: tuple[str, ...],
        output: Output, after: SeenRow, now: datetime, identity: Identity | None,
    ) -> Judged:
        """An event of the row's own; one that took a fact over stays in the course of that fact."""
        if owner is not None:
            output, after = self._desk.writer.event(item, before, now, identity, owner.correlation_id)
        return Judged([self._marked(item, fact, content, output, after)], after, True)

    def _overtake(
        self, item: Identified, before: SeenRow | None, fact: bytes, owner: Owner, content: tuple[str, ...],
        differs: tuple[str, ...], now: datetime, identity: Identity | None,
    ) -> Judged:
        """The row goes before what stands there: the next version of that fact, and the conflict on record."""
        last = before if before is not None and before.version > owner.version else SeenRow(
            owner.version, bytes(8), owner.state
        )
        output, after = self._desk.writer.event(item, last, now, identity, owner.correlation_id)
        event = self._marked(item, fact, content, output, after)
        subject = (output.key or b"").decode()
        testimony = self._testimony(item, fact, owner, subject, differs, output, self._desk.source, now)
        return Judged([event, testimony], after, True)

    def _marked(
        self, item: Identified, fact: bytes, content: tuple[str, ...], output: Output, after: SeenRow
    ) -> Output:
        owner = Owner(
            self._desk.source, item.key.hex(), after.version, _text(output, "ce_id"), _text(output, "ce_correlationid"),
            item.row.state_type, content, self._desk.way,
        )
        self.made[fact] = owner.entry()
        return output._replace(headers=[*output.headers, owner.header(fact)])

    def _testimony(
        self, item: Identified, fact: bytes, owner: Owner, subject: str, differs: tuple[str, ...], output: Output,
        in_force: str, now: datetime,
    ) -> Output:
        id_ = derive_id("witness", self._desk.writer.uri, item.natural, item.digest.hex(), owner.event_id)
        place = item.row.place
        value = self._desk.schema.encode({
            "witness_id": id_, "kind": "conflict" if differs else "same", "topic": output.topic, "fact": fact.hex(),
            "subject": subject, "source": self._desk.source, "first_source": owner.source,
            "first_event_id": owner.event_id, "in_force": in_force, "differs": list(differs),
            "file": place.file[:500], "row": place.row, "data": output.value, "recorded_at": now,
        })
        headers = to_headers(Envelope(
            id=id_, source=self._desk.writer.uri, type=WITNESS_EVENT, subject=subject, time=now,
            correlation_id=owner.correlation_id, causation_id=owner.event_id,
        ))
        return Output(WITNESSES_TOPIC, output.key, value, headers)

    @staticmethod
    def _row_headers(
        testimony: Output, item: Identified, after: SeenRow, before: SeenRow | None
    ) -> list[tuple[str, bytes]]:
        """By these the index of rows is rebuilt. A conflict that is an event as well has that for it."""
        return [
            *testimony.headers, ("ce_sequence", b"%d" % after.version), ("ce_naturalkey", item.key.hex().encode()),
            ("ce_digest", item.digest.hex().encode()), *tentative_headers(before, item.row.state_type),
        ]

    def _owner(self, fact: bytes) -> Owner | None:
        made = self.made.get(fact) or self._ahead.get(fact)
        if made is not None:
            return Owner.of(made)
        if fact not in self._asked:
            self._asked.add(fact)
            self._found |= self._book.look_up([fact])
        return self._found.get(fact)

    def _early(self, rows: Sequence[Identified]) -> dict[int, tuple[str, bytes]]:
        """Subject and fact of rows that have a code; whether it is a valid one shows later."""
        found: dict[int, tuple[str, bytes]] = {}
        for kind in {item.row.kind for item in rows}:
            topic = self._desk.writer.target(kind)[0]
            if topic not in self._desk.rules:
                continue
            asked = [item for item in rows if item.row.kind == kind and item.row.value.get("party_uscc")]
            codes = [item.row.value["party_uscc"] for item in asked]
            facts = self._desk.columns(topic).facts([item.row.value for item in asked], codes)
            for item, code, fact in zip(asked, codes, facts, strict=True):
                if fact is not None:
                    found[id(item)] = (code, fact)
        return found

    def _fact(self, rule: FactRule | None, topic: str, value: Mapping[str, Any], subject: str) -> bytes | None:
        text = rule.key_text(value, subject) if rule is not None else None
        return None if text is None else self._desk.writer.keyed(_begin(topic) + text, 16)


def _begin(topic: str) -> str:
    return f"fact\x1f{topic}\x1f"


def _text(output: Output, name: str) -> str:
    return (header(output.headers, name) or b"").decode()
