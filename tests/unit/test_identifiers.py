"""Codes: vectors from the standards, detection of every single error, repairs offered and never applied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_11_10

from hub.domain.check_digits import (
    ALPHABET,
    id_card_check_character,
    organisation_check_character,
    registration_check_digit,
    uscc_check_character,
)
from hub.domain.identifiers import AUTHORITIES, judge, normalise, normalise_name, subject_key
from hub.errors import InputError

SECRET = b"a secret of the tests"
USCCS = [
    "11623000013999917X", "12623001438999912A", "91623000739699913A", "92623001MA99ABC10Q",
    "93623025MA99KX2388", "52623000MJ9991233H", "N2623021MF99912122",
]
REGISTRATIONS = ["623000200001232", "623001600004568"]
#: Nobody was born in 1850 in a county of today.
ID_CARD = "623021185006153029"


@st.composite
def valid_usccs(draw: st.DrawFn) -> str:
    head = draw(st.sampled_from(AUTHORITIES)) + draw(st.sampled_from(ALPHABET))
    region = draw(st.text("0123456789", min_size=6, max_size=6))
    # Begins with M, as codes do that were given since 2015: never the form of an ID card number.
    organisation = "M" + draw(st.text(ALPHABET, min_size=7, max_size=7))
    first17 = head + region + organisation + organisation_check_character(organisation)
    return first17 + uscc_check_character(first17)


@pytest.mark.parametrize("code", USCCS)
def test_valid_usccs_of_every_prefix(code: str) -> None:
    found = judge(code)
    assert (found.kind, found.verdict, found.reason, found.normalised) == ("uscc", "valid", "", code)


@pytest.mark.parametrize("code", REGISTRATIONS)
def test_valid_registration_numbers(code: str) -> None:
    assert judge(code)[2:5] == ("registration", "valid", "")
    assert mod_11_10.is_valid(code)


def test_id_card_of_an_area_that_libraries_refuse() -> None:
    assert judge(ID_CARD)[2:5] == ("id-card", "valid", "")


@given(valid_usccs())
def test_generated_usccs_are_valid(code: str) -> None:
    assert judge(code)[2:4] == ("uscc", "valid")


@given(valid_usccs(), st.integers(0, 17), st.sampled_from(ALPHABET))
def test_every_single_substitution_is_detected(code: str, place: int, char: str) -> None:
    if code[place] == char:
        return
    found = judge(code[:place] + char + code[place + 1 :])
    assert found.verdict != "valid"
    if found.is_plausible:
        assert "check-digit" in found.problem


@given(valid_usccs())
def test_agrees_with_stdnum_where_that_applies(code: str) -> None:
    assert uscc.calc_check_digit(code[:17]) == code[17]
    if code[:2].isdigit():
        assert uscc.is_valid(code)


@given(st.text("0123456789", min_size=17, max_size=17))
def test_id_and_registration_check_characters_agree_with_stdnum(digits: str) -> None:
    assert id_card_check_character(digits) == ric.calc_check_digit(digits + "0")
    assert registration_check_digit(digits[:14]) == mod_11_10.calc_check_digit(digits[:14])


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("91623000739699913B", "check-digit"),
        ("91623001739699913A", "check-digit"),
        ("91623000739699923A", "both-check-digits"),
        # The final character is right for what stands before it (remainder 0), the inner one is not.
        ("916230000010000150", "organisation-check-digit"),
    ],
)
def test_the_two_check_characters_are_told_apart(code: str, problem: str) -> None:
    found = judge(code)
    assert found[2:4] == ("uscc", "invalid")
    assert (found.problem, found.is_plausible) == (problem, True)
    assert ("第17位" in found.reason) == (problem != "check-digit")


@pytest.mark.parametrize(
    "dirty",
    [
        "９１６２３０００７３９６９９９１３Ａ",
        " 91623000739699913a\t", "91623000-73969991-3A", "9162 3000 7396 9991 3A",
        "91623000\u3000739699913A",
        "\ufeff91623000739699913A\u200b", "'91623000739699913A", "9.1623000739699913A",
        "91623000－739699913A", "\u00a091623000739699913A",
    ],
)
def test_dirt_is_removed_without_a_word(dirty: str) -> None:
    found = judge(dirty)
    assert (found.input, found.normalised, found.verdict, found.reason) == (dirty, USCCS[2], "valid", "")


@pytest.mark.parametrize(
    ("code", "repair"),
    [
        ("9162300O739699913A", USCCS[2]),
        ("9I623000739699913A", USCCS[2]),
        ("926230OIMA99ABCIOQ", USCCS[3]),
        ("9Z623001MA99ABC10Q", USCCS[3]),
        ("SZ623000MJ9991Z33H", USCCS[5]),
        ("91623000739699913А", USCCS[2]),  # the last is Cyrillic
        ("6Z3OOO2O0001232", REGISTRATIONS[0]),
        ("O1623000739699913A", None),
        ("62302118500615302O", None),
    ],
)
def test_look_alikes_are_offered_as_a_repair(code: str, repair: str | None) -> None:
    found = judge(code)
    assert found.input == code
    assert found.repair == repair
    assert found.verdict == ("repaired" if repair else "invalid")
    if repair:
        assert found.normalised == repair
    assert not found.is_plausible


@given(valid_usccs(), st.data())
def test_a_misread_code_is_offered_right_or_not_at_all(code: str, data: st.DataObject) -> None:
    places = [place for place, char in enumerate(code) if char in "0125U"]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    wrong = code[:place] + dict(zip("0125U", "OIZSV", strict=True))[code[place]] + code[place + 1 :]
    found = judge(wrong)
    assert found.repair in (code, None)
    assert found.verdict != "valid"


@pytest.mark.parametrize("code", ["623021185006153028", "62302118500615302O", "6230211850O6153029"])
def test_reasons_tell_nothing_of_an_id_card(code: str) -> None:
    found = judge(code)
    assert found.kind == "id-card"
    assert found.verdict != "valid"
    # 11643 is the number of the standard; nothing else in the reason is a digit.
    assert not any(char.isdigit() for char in found.reason.replace("11643", ""))


@pytest.mark.parametrize("code", ["6230002000012", "62300020000123"])
def test_old_registration_numbers_are_taken_with_a_warning(code: str) -> None:
    found = judge(code)
    assert (found.kind, found.verdict, found.problem) == ("registration", "valid", "old-number")
    assert found.reason


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "empty"), ("   ", "empty"),
        ("无", "empty"), ("/", "empty"), ("123", "length"), ("739699913", "length"),
        ("6.23000200001232E+14", "form"),
        ("01623000739699913A", "form"), ("甘" * 18, "form"), ("九" * 15, "form"),
        ("91623000739699913A91623000739699913A", "length"),
    ],
)
def test_what_is_no_code(code: str, problem: str) -> None:
    found = judge(code)
    assert (found.verdict, found.problem, found.is_plausible) == ("invalid", problem, False)


@given(st.text(max_size=24))
def test_judge_never_raises_and_gives_a_reason(text: str) -> None:
    found = judge(text)
    assert found.input == text
    assert found.reason or found.verdict == "valid"


@given(st.text(ALPHABET + "ioszv９Ａ－ \u3000\u200b-.'", max_size=24))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_a_number_written_as_a_float_is_read() -> None:
    assert judge("623000200001232.0")[1:4] == ("623000200001232", "registration", "valid")


def test_names_are_compared_without_width_blanks_and_kinds_of_dots() -> None:
    assert normalise_name("合作市雪域牦牛乳业（集团） 有限公司\u3000") == "合作市雪域牦牛乳业(集团)有限公司"
    assert normalise_name("扎西•东智") == normalise_name("扎西・东智") == "扎西·东智"


class TestSubjectKey:
    def test_takes_the_best_code_there_is(self) -> None:
        assert subject_key(" 91623000739699913a", "1", ID_CARD, "甲", SECRET) == USCCS[2]
        assert subject_key("", REGISTRATIONS[0], ID_CARD, "甲", SECRET) == REGISTRATIONS[0]
        assert subject_key("无", "/", ID_CARD, "甲", SECRET).startswith("id-")
        assert subject_key(None, None, None, "甲", SECRET).startswith("name-")

    def test_holds_no_id_card_number_wherever_it_was_written(self) -> None:
        keys = {
            subject_key(None, None, ID_CARD, None, SECRET),
            subject_key(ID_CARD, None, None, None, SECRET),
            subject_key(None, ID_CARD, None, "甲", SECRET),
        }
        assert len(keys) == 1
        key = keys.pop()
        assert len(key) == 3 + 32
        assert ID_CARD not in key

    def test_hashes_a_personal_number_of_fifteen_digits(self) -> None:
        assert subject_key(None, "623021500615302", None, None, SECRET).startswith("id-")

    def test_depends_on_the_secret(self) -> None:
        assert subject_key(None, None, ID_CARD, None, b"1") != subject_key(None, None, ID_CARD, None, b"2")

    def test_same_name_written_differently_is_one_subject(self) -> None:
        first = subject_key(None, None, None, "扎西•东智", SECRET)
        assert first == subject_key("", "", "", "扎西·东智 ", SECRET)

    def test_a_remark_in_the_code_column_is_no_subject(self) -> None:
        assert subject_key("办理中", None, None, "甲", SECRET).startswith("name-")

    def test_nobody_is_an_error(self) -> None:
        with pytest.raises(InputError):
            subject_key(None, "", " ", "无名"[:0], SECRET)
