"""Who is meant by a row without a valid code: what is certain, what a person decides, what is nobody."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.check_digits import ALPHABET
from hub.domain.enterprise_names import _SIMPLIFIED, NameReader
from hub.domain.enterprise_register import EnterpriseRegister
from hub.domain.matching import Enterprise, Match, Matcher, Party
from tests.support_intake import catalog

YAK = Enterprise("91623000739699913A", "合作市雪域牦牛乳业有限责任公司", "623001", "扎西东智", "623000200001232")
SHOP = Enterprise("92623001MA99ABC10Q", "合作市兴旺超市", "623001", "才让卓玛")
OTHER_SHOP = Enterprise("92623025MA99ABC29E", "玛曲县兴旺超市", "623025", "丹增")
CO_OP = Enterprise(
    "93623025MA99KX2388", "玛曲县阿万仓牦牛农民专业合作社", "623025", "索南", None, ("玛曲县阿万仓藏羊合作社",)
)
ALL = (YAK, SHOP, OTHER_SHOP, CO_OP)


def names() -> NameReader:
    entries = catalog().codes["region"].entries
    return NameReader({text: code for code, entry in entries.items() for text in (entry.title, *entry.aliases)})


def register(*enterprises: Enterprise) -> EnterpriseRegister:
    found = EnterpriseRegister(names())
    for each in enterprises or ALL:
        found.put(each)
    return found


def match(party: Party, *enterprises: Enterprise) -> Match:
    return register(*enterprises).match(party)


def of(found: Match) -> tuple[str, str | None]:
    return found.verdict, found.candidates[0].enterprise.uscc if found.candidates else None


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [
    "合作市雪域牦牛乳业有限公司", "合作雪域牦牛乳业有限责任公司", "甘南州合作市雪域牦牛乳业有限公司",
    "甘肃省合作市雪域牦牛乳业有限公司", " 合作市　雪域牦牛乳业(有限公司) ", "雪域牦牛乳业（合作）有限公司",
    "合作市雪域牦牛乳業有限責任公司",
])
def test_spellings_of_one_name_are_equal(written: str) -> None:
    assert names().read(written) == ("雪域牦牛乳业", "有限公司", "623001")


def test_a_name_is_never_cut_to_nothing() -> None:
    reader = names()
    assert reader.read("合作市").core == "合作市"
    assert reader.read("有限公司").core == "有限公司"
    # 合作社 begins like 合作市's short name and is none.
    assert reader.read("玛曲县合作社").core


@given(st.text(max_size=30))
def test_any_text_is_a_name_and_reading_it_again_changes_nothing(text: str) -> None:
    reader = names()
    found = reader.read(text)
    assert (found.core == "") <= (not any(char.isalnum() for char in text))
    assert reader.read(text) == found


def test_no_letter_is_simplified_twice() -> None:
    assert not {chr(after) if isinstance(after, int) else after for after in _SIMPLIFIED.values()} & set(
        map(chr, _SIMPLIFIED)
    )


# -- what is certain ---------------------------------------------------------------------------


@pytest.mark.parametrize("party", [
    Party("合作市雪域牦牛乳业有限公司"),
    Party("雪域牦牛乳业有限责任公司", region="623001"),
    Party("雪域牦牛乳业", legal_representative="扎西东智"),
    Party("合作市雪域牦牛乳业有限公司", code="91623000739699913B"),  # the last character wrong
    Party("雪域牦牛乳品有限公司", code="91623000736999913A"),  # transposed, and a name nearly right
    Party("雪域牦牛乳业公司", code="73969991-3"),  # its organisation code
    Party("雪域牦牛乳业", code="623000739699913"),  # its old tax number
    Party("合作市雪域牦牛乳业", registration_number="623000200001232"),
    Party("合作市雪域牦牛乳业有限公司", code="9162300073969991A"),  # one character missing
    Party("合作市雪域牦牛乳业有限公司", code="办理中"),
], ids=lambda party: f"{party.name}-{party.code or ''}")
def test_certain(party: Party) -> None:
    found = match(party)
    assert of(found) == ("match", YAK.uscc), found
    assert "name" in found.reason and YAK.name not in found.reason and "扎西东智" not in found.reason


def test_a_former_name_counts() -> None:
    found = match(Party("玛曲县阿万仓藏羊合作社", legal_representative="索南"))
    assert of(found) == ("match", CO_OP.uscc)
    assert found.reason.startswith("name equal to a former one 0.50")


# -- what a person decides ---------------------------------------------------------------------


def test_two_of_one_name_are_not_told_apart_by_it() -> None:
    twins = (SHOP, SHOP._replace(uscc="92623001MA99ABC29M", legal_representative="丹增"))
    assert match(Party("合作市兴旺超市"), *twins).verdict == "band"
    # Not even with the region, which they share; by who runs it they are.
    assert match(Party("合作市兴旺超市", region="623001"), *twins).verdict == "band"
    assert of(match(Party("合作市兴旺超市", legal_representative="丹增"), *twins)) == ("match", twins[1].uscc)


def test_shops_of_two_counties_have_one_name_unless_the_name_says_which() -> None:
    assert match(Party("兴旺超市", region="623001")).verdict == "band"
    assert of(match(Party("玛曲兴旺超市"))) == ("match", OTHER_SHOP.uscc)


def test_a_similar_name_of_the_same_owner_is_no_match() -> None:
    found = match(Party("合作市雪域牦牛奶业有限公司", legal_representative="扎西东智"))
    assert of(found) == ("band", YAK.uscc)


def test_a_code_that_is_almost_right_under_another_name_is_no_match() -> None:
    assert match(Party("合作市金鹏大酒店有限公司", code="91623000739699913B")).verdict != "match"


def test_a_tibetan_name_is_compared_whole() -> None:
    # 扎西 is no surname: whoever else begins so is another person.
    one = match(Party("兴旺超市", legal_representative="扎西"), YAK._replace(name="兴旺超市", uscc=SHOP.uscc))
    assert "legal representative another" in one.candidates[0].explanation()
    near = match(Party("合作市雪域牦牛乳业有限公司", legal_representative="扎西东知"))
    assert "the same but for one character" in near.reason


def test_nobody() -> None:
    found = match(Party("临潭县洮河渔具店"))
    assert found.verdict == "none"
    assert match(Party(""), SHOP).verdict == "none"


# -- laws of the score -------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.integers(0, 17))
def test_one_slip_in_the_code_finds_the_enterprise(chance: random.Random, at: int) -> None:
    wrong = chance.choice([char for char in ALPHABET if char != YAK.uscc[at]])
    code = YAK.uscc[:at] + wrong + YAK.uscc[at + 1 :]
    found = match(Party("雪域牦牛乳业", code=code))
    assert of(found) == ("match", YAK.uscc)


@given(
    st.permutations(ALL),
    st.sampled_from([each.name for each in ALL] + ["兴旺超市", "雪域", "阿万仓"]),
    st.sampled_from([None, "623001", "623025", "623000"]),
    st.sampled_from([None, "扎西东智", "丹增", "索南"]),
)
def test_the_order_of_candidates_decides_nothing(
    order: list[Enterprise], name: str, region: str | None, person: str | None
) -> None:
    party = Party(name, None, None, region, person)
    matcher = Matcher(names())
    first, second = matcher.decide(party, order), matcher.decide(party, ALL)
    assert first == second
    if first.verdict == "match":
        lead = [each.points for each in first.candidates]
        assert lead[0] >= 80 and (len(lead) == 1 or lead[0] - lead[1] >= 20)


def test_a_newer_entry_replaces_the_older() -> None:
    found = register()
    found.put(YAK._replace(name="合作市雪域乳品有限公司", former_names=()))
    assert len(found) == len(ALL)
    assert found.match(Party("合作市雪域牦牛乳业有限公司")).verdict != "match"
    assert of(found.match(Party("雪域乳品有限公司", region="623001"))) == ("match", YAK.uscc)
    found.drop(YAK.uscc)
    assert found.get(YAK.uscc) is None and found.code_of_registration("623000200001232") is None
    assert found.match(Party("雪域乳品有限公司", region="623001")).verdict == "none"
