"""A view can only take away or mask; identity numbers leave in the full view alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contracts.fields import Field
from hub.contracts.views import action_for, derive_definition, mask
from hub.domain.parties import counts_as_person
from hub.domain.scrubbing import HIDDEN, scrub
from hub.errors import ContractError
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog, records, sample

#: The end of a term names no party: what holds of parties is not asked of it, see the test of its own.
TERM = "clock/term"
DOMAIN = [s for s in catalog().schemas if s.view == "full" and not s.name.startswith("hub/") and s.name != TERM]
NAME = "拉毛才让"
by_schema = pytest.mark.parametrize("schema", DOMAIN, ids=lambda schema: schema.label)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for content in value.values():
            yield from _texts(content)
    elif isinstance(value, list):
        for content in value:
            yield from _texts(content)


def test_the_end_of_a_term_says_in_public_nothing_of_whom_it_is_about() -> None:
    for view in ("public", "partner"):
        names = {field.name for field in catalog().schema(TERM, view=view).fields}
        left = {"term_id", "clock_id", "subject"} if view == "partner" else set()
        assert names - left == {"rule", "title", "basis", "department_code", "counts_from", "ended_on"}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_projection_only_removes_or_masks(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(DOMAIN))
    view = data.draw(st.sampled_from(["public", "partner"]))
    value = data.draw(records(schema))
    before = copy.deepcopy(value)
    projection = catalog().projection(schema, view)
    result = projection.apply(value)
    assert value == before
    assert set(result) == {field.name for field in projection.schema.fields}
    _compare(schema.fields, before, result, view, counts_as_person(before))
    # What leaves can be read by whoever knows only the view.
    assert projection.schema.decode(projection.encode(value)) == result
    assert IDENTITY_NUMBER not in "\n".join(_texts(result))


def _compare(
    fields: tuple[Field, ...], value: Mapping[str, Any], result: Mapping[str, Any], view: str, is_person: bool
) -> None:
    assert result.keys() <= value.keys()
    for field in fields:
        static = action_for(field.privacy, field.mask is not None, view)
        if field.name not in result:
            assert static == "drop" or field.items
            continue
        assert static != "drop"
        if view == "public":
            assert field.privacy not in ("sensitive", "internal")
        original, left = value[field.name], result[field.name]
        privacy = field.privacy_natural_person if is_person else None
        action = action_for(privacy or field.privacy, field.mask is not None, view)
        if field.items:
            assert len(left) == len(original)
            for before, after in zip(original, left, strict=True):
                _compare(field.items, before, after, view, is_person)
        elif original is None or original == "":
            assert left == original
        elif action != "keep" or IDENTITY_NUMBER in str(original):
            assert left != original
        elif not field.is_scrubbed:
            assert left == original


@by_schema
@pytest.mark.parametrize("view", ["public", "partner"])
def test_a_natural_person_cannot_be_made_out(schema: Any, view: str) -> None:
    """Every text of the record names the person and the number; the number never leaves."""
    value = sample(
        schema, party_kind="01", party_name=NAME, party_certificate_number=IDENTITY_NUMBER,
        record_unique_identity=f"甘南市监处罚〔2026〕12号{NAME}{IDENTITY_NUMBER}",
        party_uscc=IDENTITY_NUMBER, party_registration_number=IDENTITY_NUMBER, legal_representative=NAME,
    )
    for field in schema.fields:
        if field.is_scrubbed and field.name != "party_name":
            value[field.name] = f"当事人{NAME}（{IDENTITY_NUMBER}，电话{PHONE}）"[: field.max_length]
    result = catalog().projection(schema, view).apply(value)
    text = "\n".join(_texts(result))
    assert IDENTITY_NUMBER not in text and PHONE not in text
    if view == "public":
        assert NAME not in text
        assert result["party_name"] == "拉**"
        assert result["party_uscc"] is None and result["party_registration_number"] is None
        assert result["record_unique_identity"] == HIDDEN
    else:
        assert result["party_name"] == NAME
        assert result["party_uscc"] == HIDDEN + IDENTITY_NUMBER[-4:]


@pytest.mark.parametrize("kind", ["", "9", None, "01"])
def test_a_party_of_unknown_kind_counts_as_a_person(kind: str | None) -> None:
    schema = catalog().schema("enforcement/penalty")
    result = catalog().projection(schema, "public").apply(sample(schema, party_kind=kind, party_name=NAME))
    assert result["party_name"] == "拉**" and result["violation_facts"] == HIDDEN


def test_an_enterprise_keeps_what_the_registers_publish() -> None:
    schema = catalog().schema("enforcement/penalty")
    value = sample(schema, party_kind="02")
    result = catalog().projection(schema, "public").apply(value)
    for name in ("party_name", "party_uscc", "legal_representative", "violation_facts", "fine_amount"):
        assert result[name] == value[name]
    assert not result.keys() & {"party_certificate_number", "is_public", "case_source", "remark"}


def test_a_number_in_the_column_of_the_code_is_seen() -> None:
    schema = catalog().schema("licensing/permit")
    value = sample(schema, party_kind="02", party_uscc=IDENTITY_NUMBER)
    assert catalog().projection(schema, "public").apply(value)["party_uscc"] is None
    assert catalog().projection(schema, "partner").apply(value)["party_uscc"] == HIDDEN + "3029"


def test_related_persons_leave_masked_and_inspectors_too() -> None:
    schema = catalog().schema("blacklist/notice")
    person = {"name": NAME, "certificate_kind": "01", "certificate_number": IDENTITY_NUMBER, "role": "投资人"}
    value = sample(schema, related_persons=[person], handling_result=f"对{NAME}（{IDENTITY_NUMBER}）限制任职")
    public = catalog().projection("blacklist/notice", "public").apply(value)
    assert public["related_persons"] == [{"name": "拉**", "role": "投资人"}]
    assert public["handling_result"] == f"对拉**（{HIDDEN}）限制任职"
    partner = catalog().projection("blacklist/notice", "partner").apply(value)
    assert partner["related_persons"] == [{**person, "certificate_number": HIDDEN + "3029"}]
    assert partner["handling_result"] == f"对{NAME}（{HIDDEN}3029）限制任职"
    inspection = catalog().schema("inspection/result")
    row = sample(inspection, inspectors=[{"name": NAME, "certificate_number": "甘P001"}])
    assert catalog().projection(inspection, "public").apply(row)["inspectors"] == [{"name": "拉**"}]


def test_a_complaint_never_shows_who_complained() -> None:
    schema = catalog().schema("complaint/lead")
    value = sample(schema, complainant_name=NAME, summary=f"我叫{NAME}，电话{PHONE}")
    public = catalog().projection(schema, "public").apply(value)
    assert not public.keys() & {"summary", "complainant_name", "complainant_phone", "resolution"}
    partner = catalog().projection(schema, "partner").apply(value)
    assert partner["complainant_name"] == "拉**"
    assert partner["summary"] == f"我叫拉**，电话{HIDDEN}1234"


def test_full_is_the_schema_itself() -> None:
    schema = catalog().schema("complaint/lead")
    projection = catalog().projection(schema, "full")
    value = sample(schema)
    assert projection.schema is schema
    assert projection.apply(value) == value and projection.encode(value) == schema.encode(value)
    with pytest.raises(ContractError, match="is a view already"):
        catalog().projection(catalog().schema("complaint/lead", view="public"), "partner")
    with pytest.raises(ContractError):
        catalog().projection("hub/rejection", "public")


@given(st.sampled_from(["name", "identity-number", "phone", "hide"]), st.text(max_size=30))
def test_a_mask_never_is_the_value(kind: str, value: str) -> None:
    assert (mask(kind, value) != value) == bool(value)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"证号{IDENTITY_NUMBER}。", f"证号{HIDDEN}。"),
        ("证号６２３０２１１８５００６１５３０２９", f"证号{HIDDEN}"),
        (f"ID{IDENTITY_NUMBER}", f"ID{HIDDEN}"),
        ("62302118500615302x与13900000000", f"{HIDDEN}与{HIDDEN}"),
        ("证号623021500615302", f"证号{HIDDEN}"),
        ("罚款20000元，案号202600000012", "罚款20000元，案号202600000012"),
        ("单位916230000010000150", "单位916230000010000150"),
        ("单位116230009900000171", "单位116230009900000171"),
        ("", ""),
    ],
)
def test_scrub_takes_personal_numbers_out_of_text(text: str, left: str) -> None:
    assert scrub(text, []) == left


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"mask": "rot13"}, "mask is not one of"),
        ({"privacy_natural_person": "sensitive"}, "needs a mask and a field party_kind"),
        ({"type": "long", "scrub": True}, "only one text can be scrubbed"),
    ],
)
def test_masks_that_cannot_be_applied_are_refused(extra: dict[str, Any], words: str) -> None:
    field = {"name": "a", "type": "string", "title": "甲", "doc": "a", "privacy": "public", **extra}
    definition = {"type": "record", "name": "A", "fields": [field]}
    with pytest.raises(ContractError, match=words):
        derive_definition(definition, "a/a v1", "public")
