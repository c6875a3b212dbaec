"""Usual rows, which are worked out together, become what each becomes by itself; and how long a turn at facts lasts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.records import header
from hub.domain.events import IdMaker, new_traceparent, new_traceparents
from hub.domain.facts import FactRule
from hub.errors import IndexUnavailableError
from hub.intake import Batch, Counts, Place, Problem, Row, RowFault
from hub.intake.beside.columns import PreparedElsewhere, columns_of
from hub.intake.catch_up import Window
from hub.intake.facts.early import EarlyFacts
from hub.intake.facts.entries import Course, Owner
from hub.intake.facts.spell import Spell
from hub.intake.facts.turn import FactDesk, Turn
from hub.intake.ledger import Ledger
from hub.intake.prepared import Prepared, PreparedHere
from hub.intake.taking import Made, Taker
from hub.intake.usual import made_of, usual_rows
from hub.intake.versions import EventWriter
from hub.state.seen_index import SeenRow
from tests.support_intake import catalog

TOPIC, KIND = "inspection.results.v1", "inspection-results"
TYPES = ("inspection.result.recorded", "inspection.result.amended")
NOW = datetime(2026, 3, 2, 1, 2, 3, 4000, tzinfo=UTC)
RULE = FactRule(("inspecting_body", "behaviour_number"), ("check_date", "result_codes", "is_public"), ("b", "a"))
Entries = dict[bytes, SeenRow]
Prepare = Callable[[EventWriter, FactDesk | None, list[Any]], Prepared]


class InMemoryBook:
    """The book of facts without Redis; ``said`` is what was done with it."""

    def __init__(self, entries: Entries | None = None) -> None:
        self.entries, self.said, self.wanted = dict(entries or {}), list[Any](), False
        self.offsets: dict[tuple[str, int], int] = {}

    def open(self) -> None:
        self.said.append("open")

    def look_up(self, facts: list[bytes]) -> dict[bytes, Owner]:
        return {fact: Owner.of(self.entries[fact]) for fact in facts if fact in self.entries}

    def courses(self, rows: list[bytes]) -> dict[bytes, Course]:
        return {row: Course.of(self.entries[row]) for row in rows if row in self.entries}

    def is_wanted(self) -> bool:
        return self.wanted

    def keep(self) -> None:
        self.said.append("keep")

    def store(self, entries: Entries, offsets: dict[tuple[str, int], int]) -> None:
        self.entries.update(entries)
        self.offsets.update(offsets)

    def close(self, *, is_done: bool) -> None:
        self.said.append("done" if is_done else "not done")


class InMemoryIndex:
    def __init__(self, rows: Entries) -> None:
        self.rows = rows

    def lookup(self, keys: list[bytes]) -> list[SeenRow | None]:
        return [self.rows.get(key) for key in keys]


class SlowWriter(EventWriter):
    """Knows no values beforehand, so that no row is a usual one."""

    def bodies(self, items: Any) -> list[bytes | None]:
        return [None] * len(items)


def writer(make: type[EventWriter] = EventWriter) -> EventWriter:
    return make("a", lambda kind: (TOPIC, "inspection/result"), catalog().schema, b"only-for-tests")


def desk(make: EventWriter, book: InMemoryBook) -> FactDesk:
    return FactDesk("a", {TOPIC: RULE}, make, book, catalog())  # type: ignore[arg-type]


def early_of(facts: FactDesk, items: list[Any]) -> EarlyFacts:
    early = facts.early(items)
    assert early is not None
    return early


def row(number: object = 1, key: str = "", **more: Any) -> Row:
    value = {
        "record_unique_identity": f"JC-{key or number}", "region_code": "623000", "party_kind": "02",
        "department_code": "11623000013999917X", "department_name": "甘南州市场监督管理局",
        "party_name": "合作市雪域牦牛乳业有限责任公司", "party_uscc": "91623000739699913A",
        "inspection_kind": "double-random", "result_date": date(2026, 3, 2), "check_date": date(2026, 3, 1),
        "result_codes": ["1"], "behaviour_number": number, "item_name": "年报公示信息检查",
        "inspecting_body": "合作市市场监督管理局", "inspectors": [], **more,
    }  # fmt: skip
    return Row(KIND, f"JC-{key or number}", *TYPES, value, Place("a.csv", None, 3))


_WARNING = (Problem("check-digit", None, "party_uscc", None, "校验码不符", "请核对"),)
_ROWS = st.builds(
    lambda number, key, more, plain: row(number, key, **more)._replace(**plain),
    st.sampled_from(["1", "2", "3", "〔2026〕4号", None]), st.sampled_from(["", "", "", "5"]),
    st.fixed_dictionaries({}, optional={
        "party_uscc": st.sampled_from([None, "91623000739699913A", " 9162 3000739699913a", "无", "12345"]),
        "party_name": st.sampled_from(["扎西东智", "", "甲"]), "result_codes": st.sampled_from([[], ["2"], ["2", "1"]]),
        "check_date": st.sampled_from([date(2026, 3, 3), "2026-03-01"]), "is_public": st.booleans(),
        "inspecting_body": st.sampled_from(["〔〕", "夏河县市场监督管理局"]),
    }),
    st.sampled_from([
        {}, {}, {}, {"warnings": _WARNING}, {"is_removed": True}, {"state_type": "inspection.result.withdrawn"},
    ]),
)  # fmt: skip
_FAULT = RowFault(Place("a.csv", None, 4), (Problem("date", None, None, None, "", ""),), "0" * 16)
_BATCHES = st.lists(st.lists(st.one_of(_ROWS, _ROWS, _ROWS, st.just(_FAULT)), max_size=9), min_size=1, max_size=3)


def prepared_here(make: EventWriter, facts: FactDesk | None, rows: list[Any]) -> Prepared:
    return PreparedHere(make, facts, Batch(rows, 0))


def prepared_elsewhere(make: EventWriter, facts: FactDesk | None, rows: list[Any]) -> Prepared:
    return PreparedElsewhere(make, facts, pickle.loads(pickle.dumps(columns_of(make, facts, Batch(rows, 0)), -1)))


def run(
    make: EventWriter, batches: list[list[Any]], entries: Entries, has_facts: bool, prepare: Prepare = prepared_here
) -> list[Any]:
    book = InMemoryBook(entries)
    facts, counts, seen = desk(make, book), Counts(), Entries()
    index: Any = InMemoryIndex(seen)
    taker = Taker(make, Ledger(index, None, Window({}, {})), None, "a.csv", counts)
    found: list[Any] = []
    for batch in batches:
        prepared = prepare(make, facts if has_facts else None, batch)
        made = Made({key: seen[key] for key in prepared.keys if key in seen})
        if prepared.early is not None:
            made.turn = Turn(facts, prepared.early, rows=made.known)
        taker.take(prepared, made, NOW)
        seen.update(made.rows)
        book.entries.update(made.turn.made if made.turn is not None else {})
        # A rejection is said to be of the moment.
        outputs = [each for each in made.outputs if each.topic != "intake.rejections.v1"]
        found.append((outputs, made.rows, made.logged, dict(book.entries), counts.as_dict()))
    return found


@settings(deadline=None, max_examples=150)
@given(_BATCHES, st.booleans(), st.sets(st.sampled_from(["1", "2", "3"])), st.sampled_from(["a", "b", "z"]))
def test_rows_become_the_same_together_as_one_by_one(
    batches: list[list[Any]], has_facts: bool, owned: set[str], owner: str
) -> None:
    entries = {}
    for number in owned:
        # What another source, or another row of this one, has told before.
        key = writer().keyed(f"fact\x1f{TOPIC}\x1f合作市市场监督管理局\x1f{number}\x1f91623000739699913A", 16)
        entries[key] = Owner(owner, "ab" * 16, 2, "e", "c", TYPES[0], ("1" * 8, "2" * 8, "3" * 8)).entry()
    one_by_one = run(writer(SlowWriter), batches, entries, has_facts)
    assert run(writer(), batches, entries, has_facts) == one_by_one
    assert run(writer(), batches, entries, has_facts, prepared_elsewhere) == one_by_one


def test_the_rows_of_a_large_file_are_usual_and_no_other_is() -> None:
    make = writer()
    odd = [
        row("6", party_uscc=None), row("7", party_uscc=" 9162 3000739699913a"), row("8")._replace(warnings=_WARNING),
        row("9")._replace(is_removed=True), row("10", check_date="2026-03-01"), row("11", key="1"), row("12"),
    ]  # fmt: skip
    items = [make.identify(each) for each in [row("1"), row("2"), row("3"), *odd]]
    # The last one has a version.
    news = dict(enumerate(items[:-1]))
    bodies = dict(enumerate(make.bodies(items)))
    found = usual_rows(make, news, bodies, None, None)
    # The first and the eleventh have one key.
    assert found.numbers == [1, 2]
    facts = desk(make, InMemoryBook())
    early = early_of(facts, items)
    turn = Turn(facts, early)
    output, after = make.event(items[1], None, NOW)
    judged = turn.judge(items[1], None, output, after, NOW, None)
    with_facts = usual_rows(make, news, bodies, facts, early, is_free=Turn(facts, early).is_free)
    usual = made_of(with_facts, make, facts, NOW)[1]
    assert usual.claim is not None and with_facts.numbers == [1, 2]
    assert judged.outputs == [output._replace(headers=[*usual.output.headers, usual.claim.header])]
    assert turn.made == {usual.claim.fact: usual.claim.entry} and judged.after == usual.after
    others = usual_rows(make, news, bodies, facts, early, is_free=lambda fact: fact not in turn.made)
    assert others.numbers == [2]


def test_who_was_published_and_is_not_in_the_book_yet_owns_his_fact() -> None:
    make = writer()
    items = [make.identify(row("1"))]
    facts = desk(make, InMemoryBook())
    first = Turn(facts, early_of(facts, items))
    output, after = make.event(items[0], None, NOW)
    first.judge(items[0], None, output, after, NOW, None)
    (fact,) = first.made
    assert first.is_free(fact)
    entry = Owner("b", "ab" * 16, 1, "e", "c", TYPES[0], ()).entry()
    second = Turn(facts, early_of(facts, items), MappingProxyType({fact: entry}))
    assert not second.is_free(fact)
    judged = second.judge(items[0], None, output, after, NOW, None)
    assert not judged.is_event and header(judged.outputs[0].headers, "ce_causationid") == b"e"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=9))
def test_ids_of_a_batch_are_those_of_each(rests: list[str]) -> None:
    maker = IdMaker("event", "/sources/a")
    ids = maker.make_all([rest.encode() for rest in rests])
    assert [id_.decode() for id_ in ids] == [maker.make(rest) for rest in rests]
    assert [each.decode() for each in new_traceparents(ids)] == [new_traceparent(id_.decode()) for id_ in ids]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Stretch:
    """A spell over a book in memory; what is under way lands when it is asked for."""

    def __init__(self) -> None:
        self.book, self.clock, self.under_way = InMemoryBook(), Clock(), list[Entries]()
        self.spell = Spell(desk(writer(), self.book), self.land_all, now=self.clock, sleep=self.clock.sleep)

    def land_all(self) -> None:
        while self.under_way:
            self.spell.landed(self.under_way.pop(0), {(TOPIC, 3): 7})

    def batch(self, *numbers: str) -> Turn:
        facts = desk(writer(), self.book)
        turn = self.spell.batch(early_of(facts, facts.writer.identify_all([row(number) for number in numbers])), {})
        made = {bytes(15) + number[:1].encode(): SeenRow(1, bytes(8), number) for number in numbers}
        self.spell.launched(made)
        self.under_way.append(made)
        return turn


def test_a_turn_lasts_over_batches_and_ends_with_all_of_it_in_the_book() -> None:
    stretch = Stretch()
    for number in "123":
        stretch.batch(number)
        stretch.spell.rest(0.01)
    assert stretch.book.said == ["open"] and not stretch.book.entries
    stretch.spell.end()
    assert stretch.book.said == ["open", "done"] and len(stretch.book.entries) == 3
    assert stretch.book.offsets == {(TOPIC, 3): 7}
    stretch.spell.end()
    stretch.spell.drop()
    assert stretch.book.said == ["open", "done"]


@pytest.mark.parametrize(("age", "wanted", "read", "ends"), [
    (0.2, True, 0.01, True), (0.05, True, 0.01, False), (4.9, False, 0.01, False), (5.0, False, 0.01, True),
    (0.0, False, 0.25, True),
])  # fmt: skip
def test_a_turn_goes_back_when_somebody_waits_or_the_source_is_slow(
    age: float, wanted: bool, read: float, ends: bool
) -> None:
    stretch = Stretch()
    stretch.batch("1")
    stretch.clock.now += age
    stretch.book.wanted = wanted
    stretch.spell.rest(read)
    assert stretch.book.said == (["open", "done"] if ends else ["open"])
    assert bool(stretch.book.entries) == ends
    ended_at = stretch.clock.now
    stretch.batch("2")
    assert (stretch.clock.now > ended_at) == (ends and wanted)


def test_a_turn_that_breaks_off_is_not_done_and_a_batch_without_facts_has_none() -> None:
    stretch = Stretch()
    assert desk(writer(), stretch.book).early([_FAULT]) is None and not stretch.book.said
    stretch.batch("1")

    def lose() -> None:
        raise IndexUnavailableError("The index of rows seen was lost or rolled back; it will be rebuilt.")

    stretch.spell._land_all = lose
    with pytest.raises(IndexUnavailableError):
        stretch.spell.end()
    stretch.spell.drop()
    assert stretch.book.said == ["open", "not done"] and not stretch.book.entries


def test_what_a_later_batch_made_of_a_fact_stays_ahead_of_the_book() -> None:
    stretch = Stretch()
    stretch.batch("1a")
    stretch.batch("1b")
    older, newer = stretch.under_way
    stretch.spell.landed(older, {})
    assert stretch.spell._ahead == newer
    stretch.spell.landed(newer, {})
    assert not stretch.spell._ahead and stretch.book.entries == newer
