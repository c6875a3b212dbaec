"""Entries of desks: whatever order facts come in, and however often, they come to the same; what they count for."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.desk import (
    ClockEntry,
    Colour,
    LeadEntry,
    Mark,
    NoticeEntry,
    NoticeState,
    Score,
    colour_of,
    is_person,
    join_notice,
    later_clock,
    later_lead,
    marks_of,
    score,
)
from hub.domain.events import Envelope
from hub.ops.ledger.desk_facts import ELSEWHERE, FactKey, add_clock, add_lead
from hub.ops.ledger.desks import is_over, moved_leads
from hub.state.desk_index import Entry
from tests.support_contracts import catalog, sample
from tests.support_ledger import calendars

CLOCK = ClockEntry(
    1, 1, "c", "accept-lead", None, "s", "e", "v", "running", "2026-07-10", 1783699200000, False, False, None, None
)
NOTICE = NoticeEntry("n")
MOMENTS = st.integers(1, 4)

CLOCKS = st.builds(
    lambda stamp, offset, status, ended, breached: CLOCK._replace(
        stamp=stamp, offset=offset, status=status, ended_on=ended, breached_on=breached
    ),
    MOMENTS, MOMENTS, st.sampled_from(["running", "met", "met_late", "cancelled", ELSEWHERE]),
    st.sampled_from([None, "2026-07-09"]), st.sampled_from([None, "2026-07-11"]),
)
LEAD = LeadEntry(1, "e", "v", "s", "complaint", "received", "623001", "2026-07-01", None, "12315", None)
LEADS = st.builds(
    lambda sequence, closed: LEAD._replace(sequence=sequence, closed_on=closed), MOMENTS,
    st.sampled_from([None, "2026-07-09"]),
)
NOTICES = st.one_of(
    st.builds(lambda at: NOTICE._replace(issued=(at, "v", "e", "s", "sub", "apply", 1)), MOMENTS),
    st.builds(
        lambda rank, at, status: NOTICE._replace(end=(rank, at, status, "webhook")), st.integers(0, 1), MOMENTS,
        st.sampled_from(["delivered", "expired"]),
    ),
    st.builds(lambda at: NOTICE._replace(registered=(at, "http")), MOMENTS),
    st.builds(
        lambda at, id, status: NOTICE._replace(answered=(at, id, status, "m", "http")), MOMENTS,
        st.sampled_from("ab"), st.sampled_from(["acted", "objected"]),
    ),
)


@given(st.lists(CLOCKS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_clocks_come_to_the_same_in_any_order_and_with_repeats(facts: list[ClockEntry], chance: random.Random) -> None:
    again = facts + chance.sample(facts, len(facts))
    chance.shuffle(again)
    first, second = reduce(later_clock, facts, None), reduce(later_clock, again, None)
    assert first is not None and first == second
    assert (first.stamp, first.offset) == max((fact.stamp, fact.offset) for fact in facts)


@given(st.lists(NOTICES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_notices_come_to_the_same_in_any_order_and_with_repeats(
    facts: list[NoticeEntry], chance: random.Random
) -> None:
    again = facts + chance.sample(facts, len(facts))
    chance.shuffle(again)
    first = reduce(join_notice, facts, None)
    assert first is not None and first == reduce(join_notice, again, None)
    assert (first.answered is not None) == any(fact.answered for fact in facts)
    assert NoticeEntry.parse([first[0], *(list(part) if part else None for part in first[1:])]) == first


@given(st.lists(LEADS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_leads_come_to_the_same_in_any_order_and_with_repeats(facts: list[LeadEntry], chance: random.Random) -> None:
    again = facts + chance.sample(facts, len(facts))
    chance.shuffle(again)
    assert reduce(later_lead, facts, None) == reduce(later_lead, again, None)


def test_a_notice_says_where_it_stands() -> None:
    issued = NOTICE._replace(issued=(5, "v", "e", "s", "sub", "apply", 1))
    assert (issued.state, issued.is_waiting) == (NoticeState.UNANSWERED, True)
    delivered = join_notice(issued, NOTICE._replace(end=(1, 6, "delivered", "webhook")))
    assert delivered.is_waiting
    # It was parked before; that was no end.
    assert join_notice(delivered, NOTICE._replace(end=(0, 9, "parked", ""))) == delivered
    assert not join_notice(issued, NOTICE._replace(end=(1, 6, "superseded", ""))).is_waiting
    registered = join_notice(delivered, NOTICE._replace(registered=(7, "file")))
    assert (registered.state, registered.is_waiting) == (NoticeState.REGISTERED, True)
    answered = join_notice(registered, NOTICE._replace(answered=(8, "f", "acted", "m", "http")))
    assert (answered.state, answered.is_waiting, answered.last_ms) == (NoticeState.ANSWERED, False, 8)
    # An answer alone, read before its notice: it stands in no inbox yet, and nothing is lost of it.
    assert NOTICE._replace(answered=(8, "f", "acted", "m", "http")).order is None


@pytest.mark.parametrize(
    ("day", "more", "colour"),
    [
        (date(2026, 7, 7), {}, Colour.GREEN),
        (date(2026, 7, 8), {}, Colour.AMBER),  # two working days before
        (date(2026, 7, 9), {"is_warned": True}, Colour.AMBER),
        (date(2026, 7, 1), {"is_warned": True}, Colour.AMBER),
        (date(2026, 7, 10), {}, Colour.RED),
        (date(2026, 7, 20), {}, Colour.RED),
        (date(2026, 7, 20), {"status": "suspended"}, Colour.GREEN),
        (date(2026, 7, 20), {"due_on": None}, Colour.GREEN),
    ],
)
def test_the_colour_is_that_of_the_day(day: date, more: dict[str, Any], colour: Colour) -> None:
    assert colour_of(CLOCK._replace(**more), day, 2, calendars()["gannan"]) is colour


def test_what_clocks_count_for() -> None:
    late = CLOCK._replace(status="met_late", ended_on="2026-07-15", breached_on="2026-07-10")
    assert marks_of(CLOCK) == {Mark("", "accept-lead", "open")}
    assert marks_of(late) == {
        Mark("2026-07-15", "accept-lead", "met_late"), Mark("2026-07-10", "accept-lead", "breached"),
    }
    assert marks_of(CLOCK._replace(status="cancelled", ended_on="2026-07-15")) == frozenset()
    marks = [(mark, 2) for mark in marks_of(late) | marks_of(CLOCK)]
    assert score(marks, date(2026, 7, 11), date(2026, 7, 15)) == {
        "accept-lead": Score("accept-lead", met_late=2, open=2)
    }
    assert score(marks, date(2026, 7, 1), date(2026, 7, 14))["accept-lead"] == Score("accept-lead", breached=2, open=2)


def test_a_person_is_told_from_an_enterprise() -> None:
    assert is_person("id-0123456789abcdef") and is_person("name-0123456789abcdef")
    assert not is_person("91623000739699913A")


def test_a_clock_that_another_department_has_taken_over_leaves_the_desk_of_the_first() -> None:
    schema = catalog().schema("hub/clock-state")
    value = sample(schema, owner_department="B", status="running", met_at=None, breached_at=None)
    value["history"] = [{**value["history"][0], "owner_department": owner} for owner in ("A", "B")]
    facts: dict[FactKey, Entry] = {}
    record = Record("clock.states.v1", 0, 7, 1000, b"k", b"", [])
    assert add_clock(facts, record, value) == "B"
    found = {key.department: entry for key, entry in facts.items()}
    assert isinstance(found["A"], ClockEntry) and isinstance(found["B"], ClockEntry)
    assert found["B"].is_open and not found["A"].is_open and found["A"].status == ELSEWHERE
    assert marks_of(found["A"]) == frozenset()


def test_a_lead_lies_with_who_handles_it_and_with_nobody_else() -> None:
    schema, facts = catalog().schema("complaint/lead"), dict[FactKey, Entry]()
    for version, handler in ((1, "A"), (3, "C"), (2, "B"), (1, "A")):
        envelope = Envelope(
            id=f"v{version}", source="s", type="complaint.lead.amended", subject="s",
            time=datetime(2026, 7, 1, tzinfo=UTC), correlation_id="e", sequence=version,
        )
        record = Record("complaint.leads.v1", 0, version, 1000, b"s", b"", to_headers(envelope))
        add_lead(facts, record, sample(schema, handling_department_code=handler, resolved_date=None))
    after = facts | dict(moved_leads(facts, {"e": "D"}))
    assert {key.department: isinstance(entry, LeadEntry) and entry.is_open for key, entry in after.items()} == {
        "A": False, "B": False, "C": True, "D": False,
    }


def test_nothing_personal_stands_in_an_entry() -> None:
    schema, facts = catalog().schema("complaint/lead"), dict[FactKey, Entry]()
    value = sample(schema)
    record = Record("complaint.leads.v1", 0, 1, 1000, b"s", b"", [])
    add_lead(facts, record, value)
    personal = {field.name for field in schema.fields if field.privacy in ("personal", "sensitive") or field.mask}
    said = str(list(facts.values()))
    assert personal and not [name for name in personal if value[name] and str(value[name]) in said]


def test_what_is_long_over_leaves_and_what_waits_stays() -> None:
    before = date(2026, 8, 1)
    assert not is_over(CLOCK, before)
    assert is_over(CLOCK._replace(status="met", ended_on="2026-07-01"), before)
    assert not is_over(CLOCK._replace(status="met", ended_on="2026-08-01"), before)
    assert not is_over(NOTICE._replace(issued=(1, "v", "e", "s", "sub", "apply", 1)), before)
    assert is_over(NOTICE._replace(answered=(1, "f", "acted", "", "http")), before)
    assert is_over(LEAD._replace(closed_on="2026-07-01"), before) and not is_over(LEAD, before)
