"""Decides for the rows of one batch whether each is a fact of its own, a witness, or a conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from hub.bus.reader import read_topics
from hub.bus.records import Output, header
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id
from hub.domain.facts import OWN_SYSTEM, STATE, FactRule, Way
from hub.intake.facts.book import FactBook, Owner
from hub.intake.facts.early import EarlyFacts, FactMaker, begin_of
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


class FactDesk(FactMaker):
    """Of one source: its facts, and the book in which they stand."""

    def __init__(
        self, source: str, rules: Mapping[str, FactRule], writer: EventWriter, book: FactBook, catalog: Catalog,
        way: Way = OWN_SYSTEM,
    ) -> None:
        super().__init__(source, rules, writer, way)
        self.book, self.schema = book, catalog.schema(WITNESS_SCHEMA)

    def turn(self, items: Sequence[object]) -> Turn | None:
        """The turn for a batch alone; ``None`` if none of its rows is of a topic that declares facts.

        Whoever gets it calls ``close``. Raises what ``FactBook.open`` raises.
        """
        early = self.early(items)
        if early is None:
            return None
        self.book.open()
        try:
            return Turn(self, early)
        except BaseException:
            self.book.close(is_done=False)
            raise


class Turn:
    """One batch's, while the book is open. ``ahead`` are owners that were published and are not in the book yet.
    ``made`` are those of this batch, as the book has them."""

    def __init__(
        self, desk: FactDesk, early: EarlyFacts, ahead: Mapping[bytes, SeenRow] = MappingProxyType({})
    ) -> None:
        self._desk, self._book, self._ahead = desk, desk.book, ahead
        self.made: dict[bytes, SeenRow] = {}
        self._early = early
        # One question for the batch; rows whose subject is found later ask for themselves.
        self._asked = set(early.facts)
        self._found = self._book.look_up(list(self._asked)) if self._asked else {}

    def is_free(self, fact: bytes) -> bool:
        """Whether a fact of the batch was nobody's before it; else ``judge`` has to decide."""
        return fact not in self._found and fact not in self._ahead

    def are_free(self, facts: Iterable[object]) -> bool:
        """Whether all of these are."""
        return self._found.keys().isdisjoint(facts) and self._ahead.keys().isdisjoint(facts)

    def judge(
        self, item: Identified, before: SeenRow | None, output: Output, after: SeenRow, now: datetime,
        identity: Identity | None,
    ) -> Judged:
        """``output`` and ``after`` are what the row would become by itself, ``before`` its last published version."""
        rule = self._desk.rules.get(output.topic)
        subject = (output.key or b"").decode()
        seen = self._early.seen.get(id(item))
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

    def _fact(self, rule: FactRule | None, topic: str, value: Mapping[str, Any], subject: str) -> bytes | None:
        text = rule.key_text(value, subject) if rule is not None else None
        return None if text is None else self._desk.writer.keyed(begin_of(topic) + text, 16)


def _text(output: Output, name: str) -> str:
    return (header(output.headers, name) or b"").decode()
