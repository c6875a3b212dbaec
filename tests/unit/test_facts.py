"""When rows of two sources are one fact, and whose content counts."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.contracts.map import HubMap, MapError
from hub.domain.facts import WAYS, FactRule
from tests.support_contracts import ROOT, catalog

RULE = FactRule(
    ("deciding_body_code", "document_number"), ("decided_date", "penalty_kinds", "fine_amount", "penalty_content"),
    ("province", "platform"),
)
VALUE: dict[str, Any] = {
    "deciding_body_code": "11623000013999917X", "document_number": "甘南市监处罚〔2026〕12号",
    "decided_date": date(2026, 3, 2), "penalty_kinds": ["1", "2"], "fine_amount": Decimal("0.5"),
    "penalty_content": "罚款5000元",
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize("number", [
    "甘南市监处罚[2026]12号", "甘南市监处罚（2026）12号", " 甘南市监处罚〔２０２６〕 12号",
])
def test_a_number_is_the_same_however_its_brackets_are_written(number: str) -> None:
    assert RULE.key_text({**VALUE, "document_number": number}, "s") == RULE.key_text(VALUE, "s")


@pytest.mark.parametrize("more", [
    {"document_number": "甘南市监处罚〔2026〕13号"}, {"deciding_body_code": "12623001438999912A"},
])
def test_another_number_or_authority_is_another_fact(more: dict[str, str]) -> None:
    assert RULE.key_text({**VALUE, **more}, "s") != RULE.key_text(VALUE, "s")
    assert RULE.key_text(VALUE, "t") != RULE.key_text(VALUE, "s")


@pytest.mark.parametrize("empty", [None, "", "〔〕"])
def test_without_a_part_of_its_key_a_row_is_like_no_other(empty: str | None) -> None:
    assert RULE.key_text({**VALUE, "document_number": empty}, "s") is None


def test_what_means_the_same_is_equal_and_what_differs_is_named() -> None:
    same = {**VALUE, "penalty_kinds": ["2", "1"], "fine_amount": Decimal("0.500000"), "penalty_content": "罚款 ５000元"}
    ours = RULE.content(VALUE, digest)
    assert RULE.differing(RULE.content(same, digest), ours) == ()
    other = {**VALUE, "fine_amount": Decimal("0.6"), "decided_date": None}
    assert RULE.differing(RULE.content(other, digest), ours) == ("decided_date", "fine_amount")
    assert RULE.differing(ours[:2], ours) == RULE.same


WAYS_RULE = FactRule(("n",), ("m",), ("own-system", "law-office", "provincial"))
_SIDES = st.tuples(st.sampled_from(["law-office", "x", "y"]), st.sampled_from(WAYS))


@given(_SIDES, _SIDES)
def test_of_two_sources_at_most_one_goes_before(one: tuple[str, str], other: tuple[str, str]) -> None:
    for rule in (RULE, WAYS_RULE):
        assert not (rule.goes_before(*one, *other) and rule.goes_before(*other, *one))


def test_precedence_names_sources_and_ways() -> None:
    own, provincial, national = "own-system", "provincial", "national"
    assert RULE.goes_before("province", own, "platform", own) and RULE.goes_before("platform", own, "x", own)
    assert not RULE.goes_before("x", own, "y", own)
    assert WAYS_RULE.goes_before("x", own, "y", provincial) and WAYS_RULE.goes_before("y", provincial, "x", national)
    # A name stands before its way where it is named first, and the other way round.
    assert WAYS_RULE.goes_before("law-office", national, "y", provincial)
    assert not WAYS_RULE.goes_before("law-office", own, "x", own)


def test_the_default_map_knows_facts_by_fields_that_their_schemas_have() -> None:
    hub_map = HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")
    facts = hub_map.facts()
    assert set(facts) == {
        "inspection.results.v1", "enforcement.penalties.v1", "enforcement.coercions.v1", "licensing.permits.v1",
        "blacklist.notices.v1", "support.grants.v1",
    }
    for topic, rule in facts.items():
        fields = {field.name: field for field in catalog().schema(str(hub_map.topics[topic].schema_)).fields}
        assert set(rule.precedence) == set(WAYS), "every way has its place"
        # Texts that a person words are not compared, and who decided is part of what it is.
        assert not any((fields[name].max_length or 0) > 500 for name in rule.same)
        assert any(name.endswith(("_body", "_body_code")) for name in rule.key)


def test_a_field_that_the_schema_lacks_is_a_fault_of_the_map(tmp_path: Path) -> None:
    text = re.sub(r"    fact:\n(      .*\n)+", "", (ROOT / "topics.yaml").read_text(encoding="utf-8"))
    place = "    schema: enforcement/penalty\n"
    fact = "    fact: {key: [document_number], same: [fine_amount, fine], precedence: [province]}\n"
    (tmp_path / "topics.yaml").write_text(text.replace(place, place + fact), encoding="utf-8")
    with pytest.raises(MapError, match=r"fact\.same\.1: unknown field 'fine'"):
        HubMap.load(tmp_path / "topics.yaml", catalog(), ROOT / "reference")
    (tmp_path / "topics.yaml").write_text(text.replace(place, place + fact.replace(", fine]", "]")), encoding="utf-8")
    found = HubMap.load(tmp_path / "topics.yaml", catalog(), ROOT / "reference").facts()
    assert found == {"enforcement.penalties.v1": FactRule(("document_number",), ("fine_amount",), ("province",))}
