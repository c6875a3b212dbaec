"""Rows that leave their fact: the event goes on in its course, and the fact is free for whoever says it."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.records import Output, header
from hub.intake import Counts, Row
from hub.intake.catch_up import Window
from hub.intake.facts.book import _read
from hub.intake.facts.entries import Course, Owner, entries_behind
from hub.intake.facts.testimony import WITNESSES_TOPIC
from hub.intake.facts.turn import FactDesk, Turn
from hub.intake.ledger import Ledger
from hub.intake.taking import Made, Taker
from hub.intake.versions import EventWriter
from tests.support_intake import catalog
from tests.unit.test_intake_usual import (
    NOW,
    RULE,
    TOPIC,
    Entries,
    InMemoryBook,
    InMemoryIndex,
    Prepare,
    SlowWriter,
    prepared_elsewhere,
    prepared_here,
    row,
)

#: In the order of precedence; the last one is named nowhere.
SOURCES = ("b", "a", "z")
CODES = ("91623000739699913A", "92623001MA99ABC10Q")


class Said(NamedTuple):
    """An event as the log has it."""

    source: str
    type: str
    version: int
    course: str
    number: str
    codes: list[str]
    subject: str = CODES[0]
    key: str = ""


class CountingBook(InMemoryBook):
    asked: int = 0

    def look_up(self, facts: list[bytes]) -> dict[bytes, Owner]:
        self.asked += 1
        return super().look_up(facts)

    def courses(self, rows: list[bytes]) -> dict[bytes, Course]:
        self.asked += 1
        return super().courses(rows)


class World:
    """Three sources and one book; whatever they publish stands on ``log``."""

    def __init__(self, make: type[EventWriter] = EventWriter, prepare: Prepare = prepared_here) -> None:
        self.book, self.log, self._prepare, self.counts = CountingBook(), list[Output](), prepare, Counts()
        self.seen: dict[str, Entries] = {source: {} for source in SOURCES}
        self.writers = {
            source: make(source, lambda kind: (TOPIC, "inspection/result"), catalog().schema, b"only-for-tests")
            for source in SOURCES
        }
        self.latest: dict[tuple[str, str], Row] = {}

    def says(self, source: str, *rows: Row) -> list[Output]:
        """What becomes of them."""
        make, seen = self.writers[source], self.seen[source]
        desk = FactDesk(source, {TOPIC: RULE}, make, self.book, catalog())  # type: ignore[arg-type]  # a book in memory
        index: Any = InMemoryIndex(seen)
        self.counts = Counts()
        taker = Taker(make, Ledger(index, None, Window({}, {})), None, "a.csv", self.counts)
        prepared = self._prepare(make, desk, list(rows))
        made = Made({key: seen[key] for key in prepared.keys if key in seen})
        assert prepared.early is not None
        made.turn = Turn(desk, prepared.early, rows=made.known)
        taker.take(prepared, made, NOW)
        seen.update(made.rows)
        self.book.entries.update(made.turn.made)
        self.log += made.outputs
        self.latest |= {(source, each.natural_key): each for each in rows}
        return made.outputs

    def events(self, outputs: list[Output] | None = None) -> list[Said]:
        return [_said(each) for each in (self.log if outputs is None else outputs) if each.topic == TOPIC]

    def public(self) -> dict[str, Said]:
        """The last event of each course."""
        return {event.course: event for event in self.events()}

    def witnesses(self) -> list[dict[str, Any]]:
        return [catalog().decode(each.value or b"")[1] for each in self.log if each.topic == WITNESSES_TOPIC]


def _said(output: Output) -> Said:
    text = {name: value.decode() for name, value in output.headers}
    value = catalog().decode(output.value or b"")[1]
    return Said(
        text["ce_source"].rpartition("/")[2], text["ce_type"].rpartition(".")[2], int(text["ce_sequence"]),
        text["ce_correlationid"], value["behaviour_number"], value["result_codes"], text["ce_subject"],
        value["record_unique_identity"],
    )


def test_a_witness_of_a_fact_that_was_left_becomes_the_event_of_its_own() -> None:
    world = World()
    (wrong,) = world.events(world.says("a", row("13", "k")))
    assert not world.events(world.says("z", row("13", "p", result_codes=["2"])))
    # The mistake is corrected: in its course, and the fact is free.
    assert world.events(world.says("a", row("12", "k"))) == [wrong._replace(type="amended", version=2, number="12")]
    (event,) = world.events(world.says("z", row("13", "p", result_codes=["2"])))
    assert (event.type, event.version, event.number) == ("recorded", 1, "13") and event.course != wrong.course
    assert world.counts.accepted == {"recorded": 1}
    assert not world.says("z", row("13", "p", result_codes=["2"]))
    # From now on it is its owner's, and who left it says the same of another record.
    (witness,) = world.says("a", row("13", "other", result_codes=["2"]))
    assert header(witness.headers, "ce_correlationid") == event.course.encode()
    (amended,) = world.events(world.says("z", row("13", "p", result_codes=["3"])))
    assert (amended.type, amended.version, amended.course) == ("amended", 2, event.course)


def test_an_amended_witness_of_a_fact_that_was_left_is_an_event_too() -> None:
    world = World()
    world.says("a", row("13", "k"))
    world.says("z", row("13", "p"))
    # It has no number any more, and so no fact.
    world.says("a", row("〔〕", "k"))
    (event,) = world.events(world.says("z", row("13", "p", result_codes=["2"])))
    assert (event.type, event.version) == ("recorded", 1)
    # The number comes back after all: the fact is the other's now, and two records are public.
    (again,) = world.events(world.says("a", row("13", "k")))
    assert (again.type, again.version) == ("amended", 3) and again.course != event.course
    assert world.witnesses()[-1]["differs"] == ["result_codes", "record"]
    assert world.witnesses()[-1]["kind"] == "conflict" and world.witnesses()[-1]["in_force"] == "z"


def test_who_took_a_fact_over_corrects_its_number_in_the_course_that_it_took_over() -> None:
    world = World()
    (first,) = world.events(world.says("z", row("13", "p")))
    (second,) = world.events(world.says("a", row("13", "k", result_codes=["2"])))
    assert (second.version, second.course) == (2, first.course)
    # The wrong number that is public is corrected where it stands.
    (third,) = world.events(world.says("a", row("14", "k", result_codes=["2"])))
    assert third == second._replace(version=3, number="14")
    # The other has a record of its own, and begins a course of its own, once.
    (event,) = world.events(world.says("z", row("13", "p")))
    assert (event.type, event.version, event.number) == ("recorded", 2, "13") and event.course != first.course
    assert not world.says("z", row("13", "p"))
    (amended,) = world.events(world.says("z", row("13", "p", result_codes=["9"])))
    assert (amended.type, amended.version, amended.course) == ("amended", 3, event.course)
    (fourth,) = world.events(world.says("a", row("14", "k", result_codes=["3"])))
    assert (fourth.version, fourth.course) == (4, first.course)


def test_who_was_overtaken_and_corrects_its_number_leaves_the_course_to_the_other() -> None:
    world = World()
    (first,) = world.events(world.says("z", row("13", "p")))
    world.says("a", row("13", "k", result_codes=["2"]))
    (event,) = world.events(world.says("z", row("15", "p")))
    assert (event.type, event.number) == ("recorded", "15") and event.course != first.course
    assert world.public()[first.course].number == "13"


def test_a_correction_upon_the_fact_of_another_stays_in_its_course_and_is_told() -> None:
    world = World()
    (wrong,) = world.events(world.says("z", row("13", "p")))
    (right,) = world.events(world.says("a", row("12", "k")))
    for source, key in (("z", "p"), ("b", "new")):
        outputs = world.says(source, row("12", key, result_codes=["2"]))
        assert len(outputs) == 2
    # The one had an event, the other goes before and had none.
    public = world.public()
    assert public[wrong.course] == wrong._replace(type="amended", version=2, number="12", codes=["2"])
    assert public[right.course] == right._replace(source="b", type="amended", version=2, codes=["2"], key="JC-new")
    assert [each["differs"] for each in world.witnesses()] == [["result_codes", "record"], ["result_codes"]]


def test_two_records_of_one_source_leave_their_facts_each_for_itself() -> None:
    world = World()
    world.says("a", row("13", "k"), row("13", "m"), row("14", "n"))
    world.says("z", row("13", "p"), row("14", "q"))
    world.says("a", row("12", "k"), row("12", "n"))
    found = world.events(world.says("z", row("13", "p"), row("14", "q")))
    assert [(each.number, each.type) for each in found] == [("13", "recorded"), ("14", "recorded")]
    assert len({each.course for each in world.events()}) == 5


def test_a_batch_asks_the_book_twice_however_many_of_its_rows_have_changed() -> None:
    world = World()
    numbers = range(50)
    world.says("a", *(row(str(number)) for number in numbers))
    assert world.book.asked == 1
    world.says("z", *(row(str(number), f"p{number}") for number in numbers))
    assert world.counts.witnessed == 50 and world.book.asked == 3
    world.says("a", *(row(str(number + 100), str(number)) for number in numbers))
    assert world.counts.accepted == {"amended": 50} and world.book.asked == 5
    world.says("z", *(row(str(number), f"p{number}") for number in numbers))
    assert world.counts.accepted == {"recorded": 50} and world.book.asked == 7
    world.says("z", *(row(str(number), f"p{number}") for number in numbers))
    assert world.counts.repeated == 50 and world.book.asked == 8


_ROWS = st.builds(
    lambda key, number, codes, code, state: row(number, key, result_codes=codes, party_uscc=code)._replace(**state),
    st.sampled_from(["k", "l"]), st.sampled_from(["1", "1", "2", "3", "〔〕"]), st.sampled_from([["1"], ["2"]]),
    st.sampled_from([*CODES[:1] * 3, CODES[1]]),
    st.sampled_from([{}, {}, {"state_type": "inspection.result.withdrawn"}]),
)  # fmt: skip
_STEPS = st.lists(st.tuples(st.sampled_from(SOURCES), st.lists(_ROWS, min_size=1, max_size=3)), max_size=12)
Steps = list[tuple[str, list[Row]]]


def played(steps: Steps, *how: Any) -> World:
    """Behind the steps each source sends all that it has once more, and the other way round."""
    world = World(*how)
    for source, rows in steps:
        world.says(source, *rows)
    for source in SOURCES * 2:
        last = [each for (by, _), each in world.latest.items() if by == source]
        if last:
            world.says(source, *last)
    return world


@settings(deadline=None, max_examples=150)
@given(_STEPS)
def test_what_is_public_is_what_sources_say_and_all_that_they_say_is_public(steps: Steps) -> None:
    world = played(steps)
    said = {
        (source, key, each.value["party_uscc"], each.value["behaviour_number"])
        for (source, key), each in world.latest.items()
    }
    public = {(event.source, event.key, event.subject, event.number) for event in world.public().values()}
    assert public <= said, "nothing wrong stays"
    assert {each[2:] for each in said} <= {each[2:] for each in public}, "nothing is lost"
    versions: dict[str, int] = {}
    for event in world.events():
        assert event.version > versions.get(event.course, 0)
        versions[event.course] = event.version
    ids = [header(each.headers, "ce_id") for each in world.log if each.topic == TOPIC]
    assert len(set(ids)) == len(ids)
    # Who is silent when all is sent again has an event, or bears witness to one.
    count = len(world.log)
    for source in SOURCES:
        rows = [each for (by, _), each in world.latest.items() if by == source]
        if rows:
            world.says(source, *rows)
    assert len(world.log) == count


@settings(deadline=None, max_examples=150)
@given(_STEPS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_a_book_that_is_rebuilt_from_the_log_is_the_same(steps: Steps, random: Any, size: int) -> None:
    world = played(steps)
    partitions: dict[bytes, list[Any]] = {}
    for output in world.log:
        if output.topic == TOPIC and (found := _read(output.headers)) is not None:
            partitions.setdefault(output.key or b"", []).append(found)
    book: Entries = {}
    while any(partitions.values()):
        batch = []
        for _ in range(size):
            waiting = [each for each in partitions.values() if each]
            if waiting:
                batch.append(random.choice(waiting).pop(0))
        for _ in range(2):  # read once more it says nothing else
            book.update(entries_behind(batch, lambda keys: {key: book[key] for key in keys if key in book}))
    assert book == world.book.entries


@settings(deadline=None, max_examples=100)
@given(_STEPS)
def test_rows_that_move_become_the_same_together_as_one_by_one(steps: Steps) -> None:
    one_by_one = played(steps, SlowWriter)
    for prepare in (prepared_here, prepared_elsewhere):
        together = played(steps, EventWriter, prepare)
        assert together.log == one_by_one.log and together.book.entries == one_by_one.book.entries
        assert together.seen == one_by_one.seen
