"""Classes of dead letters, places as text, and what of a letter's content a person may see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.dead_letters import earlier_letter, origin_of, redriven, to_dead_letter
from hub.bus.records import Record
from hub.domain.acts import Actor, Request, new_act
from hub.domain.letter_classes import class_name, normalise_message
from hub.domain.offset_ranges import Spot, format_spots, parse_spot, parse_spots
from hub.errors import ContractError, InputError, PoisonError
from hub.ops.letter_content import content_of
from hub.ops.letters import groups_of, marks_of, read_letters
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog, sample
from tests.support_outlets import notice

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LI = Actor("lisi", "command")


def letter(offset: int, error: Exception, *, value: bytes | None = b"x", headers: Any = ()) -> Record:
    record = Record("inspection.results.v1", 4, 100 + offset, 0, b"k", value, [("ce_id", b"e"), *headers])
    output = to_dead_letter(record, "routing", error, attempts=1, first_failed_at=NOW, rule_version="m1")
    return Record(output.topic, 4, offset, 0, output.key, output.value, output.headers)


@pytest.mark.parametrize(("one", "other"), [
    ("there is no schema with the id 4711", "there is no schema with the id 12"),
    ("notice 3d1ff4a1-0c0f-5d3c-8f2c-111111111111 is not", "notice 3d1ff4a1-0c0f-5d3c-8f2c-222222222222 is not"),
    ("header ce_time is no time: '合作1'", "header ce_time is no time: '合作2'"),
    ("fingerprint 00aa11bb22cc33dd", "fingerprint 10aa11bb22cc33dd"),
])  # fmt: skip
def test_what_differs_from_record_to_record_makes_no_other_class(one: str, other: str) -> None:
    assert class_name("routing", "PoisonError", one, "m1") == class_name("routing", "PoisonError", other, "m1")


def test_other_causes_are_other_classes_and_names_stay() -> None:
    names = {
        class_name("routing", "ContractError", "no field 'penalty_kind'", "m1"),
        class_name("routing", "ContractError", "no field 'party_name'", "m1"),
        class_name("routing", "PoisonError", "no field 'party_name'", "m1"),
        class_name("clocks", "ContractError", "no field 'party_name'", "m1"),
        class_name("routing", "ContractError", "no field 'party_name'", "m2"),
    }
    assert len(names) == 5
    # On record in requests and runbooks: a change of the rule must not rename what stands there.
    assert class_name("routing", "PoisonError", "id 1", "m1") == "routing-PoisonError-1842e01a"


@given(st.text())
def test_a_class_is_that_of_its_normalised_message(message: str) -> None:
    assert class_name("a", "B", normalise_message(message), "v") == class_name("a", "B", message, "v")


def test_no_personal_number_stands_in_a_letter_that_is_shown() -> None:
    (found,) = read_letters([letter(0, PoisonError(f"header ce_time: {PHONE} {IDENTITY_NUMBER}"))], [])
    assert PHONE not in str(found) and IDENTITY_NUMBER not in str(found)


@given(st.sets(st.tuples(st.sampled_from(["a.dead-letters.v1", "b"]), st.integers(0, 11), st.integers(0, 60))),
       st.integers(100, 300))  # fmt: skip
def test_places_come_back_out_of_their_text(places: set[tuple[str, int, int]], most: int) -> None:
    spots = {Spot(*place) for place in places}
    texts = format_spots(spots, most)
    assert parse_spots(texts) == spots
    assert all(len(text) <= most for text in texts)
    assert all(parse_spot(str(spot)) == spot for spot in spots)


@pytest.mark.parametrize("text", ["", "a", "a:b:c", "a:1", "a:1:2:3", ":1:2", "a:-1:2", "a:1:²"])
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(InputError):
        parse_spot(text)


def test_whoever_wrote_a_record_does_not_choose_where_it_is_put_back() -> None:
    forged = [("__streams.errors.topic", b"audit.acts.v1"), ("__hub.redriven.letter", b"somebody's")]
    found = letter(7, PoisonError("no"), headers=forged)
    assert origin_of(found) == ("inspection.results.v1", 4, 107)
    output = redriven(found, "r1")
    assert output is not None
    assert (output.topic, output.partition, output.key, output.value) == ("inspection.results.v1", 4, b"k", b"x")
    assert dict(output.headers) == {
        "ce_id": b"e", "__hub.redriven.letter": b"routing.dead-letters.v1:4:7", "__hub.redriven.request": b"r1",
    }
    assert redriven(found._replace(headers=[("ce_id", b"e")]), "r1") is None


def test_a_letter_that_comes_back_names_the_earlier_one() -> None:
    first = letter(7, PoisonError("no"))
    output = redriven(first, "r1")
    assert output is not None
    again = Record(output.topic, 4, 300, 0, output.key, output.value, output.headers)
    buried = to_dead_letter(again, "routing", PoisonError("no"), attempts=1, first_failed_at=NOW)
    second = Record(buried.topic, 4, 8, 0, buried.key, buried.value, buried.headers)
    assert earlier_letter(second) == "routing.dead-letters.v1:4:7" and earlier_letter(first) is None
    # Put back once more it names the last one, not both.
    third = redriven(second, "r2")
    assert third is not None and [value for name, value in third.headers if name.startswith("__hub.redriven")] == [
        b"routing.dead-letters.v1:4:8", b"r2",
    ]


def test_acts_alone_say_what_was_put_back() -> None:
    records = [letter(n, PoisonError("no")) for n in range(4)] + [letter(9, ContractError("other"))]

    def request(state: Any, *spots: int, needs_second: bool = False) -> Request:
        texts = format_spots([Spot("routing.dead-letters.v1", 4, spot) for spot in spots], 1000)
        act = new_act(
            "dead-letter.redrive", LI, "*", "已修复", NOW, details=[("letters", text) for text in texts],
            needs_second=needs_second,
        )
        return Request(act, state)

    done, begun, waiting = request("done", 0, 1), request("asked", 1, 2), request("asked", 3, needs_second=True)
    found = read_letters(records, [done, begun, waiting])
    assert [each.status for each in found] == ["redriven", "redriven", "begun", "open", "open"]
    assert found[0].request_id == done.asked.request_id
    groups = groups_of(found)
    assert [(group.count, group.open, group.exception) for group in groups] == [
        (4, 2, "PoisonError"), (1, 1, "ContractError"),
    ]
    assert marks_of([waiting]) == {}


def test_content_is_shown_in_a_view_or_as_length_and_digest() -> None:
    schema = catalog().schema("enforcement/penalty")
    value = schema.encode(sample(schema, party_kind="01"))
    for view in ("public", "partner"):
        shown = content_of(value, catalog(), view)
        assert shown.fields is not None and IDENTITY_NUMBER not in str(shown) and PHONE not in str(shown)
    assert content_of(b"no record", catalog(), "public").fields is None
    nothing = content_of(b"\x00\x00\x00\x00\x01garbage", catalog(), "public")
    assert (nothing.fields, nothing.size) == (None, 12) and len(nothing.digest) == 64
    assert "garbage" not in str(nothing)
    assert content_of(None, catalog(), "public").note == "it has no value"


def test_what_a_notice_carries_is_shown_in_no_wider_view_than_asked() -> None:
    record = notice("A", 1)
    public, partner = (content_of(record.value, catalog(), view) for view in ("public", "partner"))
    assert public.fields is not None and partner.fields is not None
    inner = catalog().decode(catalog().decode(record.value or b"")[1]["data"])[0]
    assert inner.view == "partner"
    assert "wider than public" in public.fields["data"] and isinstance(partner.fields["data"], dict)
