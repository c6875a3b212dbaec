"""Values as departments write them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from hub.intake import mask, mask_personal
from hub.intake.mapping.codes import read_certificate, read_code
from hub.intake.mapping.parsers import (
    ValueFault,
    amount_parser,
    boolean_parser,
    code_list_parser,
    code_parser,
    date_parser,
    number_parser,
    text_parser,
)


@pytest.mark.parametrize("text", [
    "2021-07-05", "2021/7/5", "2021.7.5", "20210705", "2021年7月5日", "２０２１年７月５日", "2021 年 7 月 5 日",
    "2021-07-05 00:00:00", "2021-07-05T08:30:00", "2021/7/5 8:30", "44382", "44382.5", "２０２１０７０５",
    "20210705083000", "2021-7-05日",
])
def test_dates_in_every_form_are_the_same_day(text: str) -> None:
    assert date_parser()(text) == date(2021, 7, 5)


def test_serial_numbers_of_1904_workbooks_count_from_their_own_day() -> None:
    assert date_parser(is_1904=True)("42920") == date(2021, 7, 5)


@pytest.mark.parametrize("text", [
    "2021-02-30", "2021年13月1日", "昨天", "05/07/2021", "2021-07", "1021-07-05", "2021-07-05 下午", "7", "2021070",
])
def test_what_is_no_date_says_which_forms_are(text: str) -> None:
    with pytest.raises(ValueFault) as caught:
        date_parser()(text)
    assert caught.value.code == "date"
    assert text in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize(("unit", "text", "wan"), [
    ("wan", "2.5", "2.5"), ("wan", "25000元", "2.5"), ("wan", "2.5万元", "2.5"), ("wan", "２．５万", "2.5"),
    ("yuan", "25,000.00", "2.5"), ("yuan", "￥25000", "2.5"), ("yuan", "2.5万", "2.5"), ("wan", "0", "0"),
    ("yuan", "0.01", "0.000001"), ("wan", "0.30000000000000004", "0.3"), ("wan", "1E-05", "0.00001"),
    ("yuan", "人民币25000元整", "2.5"), ("wan", "1,234.5", "1234.5"),
])
def test_amounts_become_ten_thousands_of_yuan(unit: str, text: str, wan: str) -> None:
    assert amount_parser(unit)(text) == Decimal(wan)


@pytest.mark.parametrize("text", ["-5", "两万", "1,23", "0.1234567", "1e15", "12%", "5千元"])
def test_amounts_that_cannot_be_right_are_faults(text: str) -> None:
    with pytest.raises(ValueFault) as caught:
        amount_parser("wan")(text)
    assert caught.value.code == "amount"


def test_booleans() -> None:
    parse = boolean_parser()
    assert [parse(text) for text in ("是", "否", "Y", "0", "TRUE", "√")] == [True, False, True, False, True, True]
    with pytest.raises(ValueFault):
        parse("也许")


_RESULTS = {"未发现问题": "1", "公示信息隐瞒真实情况、弄虚作假": "C", "注销": "9", "A": "A"}


def test_codes_are_found_by_any_of_their_texts() -> None:
    assert code_parser(_RESULTS)("未发现 问题") == "1"
    with pytest.raises(ValueFault) as caught:
        code_parser(_RESULTS)("没问题")
    assert "未发现问题" in caught.value.remedy


def test_a_title_that_holds_the_separator_stays_whole() -> None:
    parse = code_list_parser(_RESULTS, "、；")
    assert parse("公示信息隐瞒真实情况、弄虚作假；注销") == ["C", "9"]
    assert parse("注销、公示信息隐瞒真实情况、弄虚作假、注销") == ["9", "C"]
    assert parse("公示信息隐瞒真实情况、弄虚作假") == ["C"]


def test_numbers_lose_blanks_and_width_but_keep_their_brackets() -> None:
    assert number_parser(50)("甘南市监处罚〔２０２６〕 12号") == "甘南市监处罚〔2026〕12号"


def test_digits_that_a_spreadsheet_lost_are_not_accepted() -> None:
    with pytest.raises(ValueFault) as caught:
        number_parser(50)("6.230021234E+17")
    assert caught.value.code == "lost-digits"


def test_text_is_never_cut() -> None:
    with pytest.raises(ValueFault) as caught:
        text_parser(3)("四个字符")
    assert caught.value.code == "too-long"


def test_a_failed_check_digit_is_a_warning_or_a_fault_but_never_silent() -> None:
    wrong = "916230007396999131"
    reading = read_code(wrong, "uscc", "warn")
    assert (reading.kind, reading.code) == ("uscc", wrong)
    assert reading.warning is not None
    with pytest.raises(ValueFault) as caught:
        read_code(wrong, "uscc", "refuse")
    assert "check" in caught.value.code


def test_codes_are_cleaned_and_told_apart() -> None:
    assert read_code("９１６２３０００７３９６９９９１３ａ", "uscc", "warn").code == "91623000739699913A"
    assert read_code("623000200001232", "uscc|registration", "warn").kind == "registration"


def test_a_person_s_number_in_the_enterprise_s_column_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueFault) as caught:
        read_code("623021185006153029", "uscc", "warn")
    assert caught.value.code == "code-kind"
    assert "185006" not in caught.value.problem + caught.value.remedy


def test_misread_characters_are_refused_with_what_they_may_have_been() -> None:
    with pytest.raises(ValueFault) as caught:
        read_code("9162300O739699913A", "uscc", "warn")
    assert "91623000739699913A" in caught.value.remedy


def test_certificates() -> None:
    assert read_certificate("623021185006153029", "01", "refuse").kind == "id-card"
    assert read_certificate("e1234567", "02", "refuse").code == "E1234567"
    with pytest.raises(ValueFault):
        read_certificate("62302118500615302", "01", "warn")


def test_masks() -> None:
    assert mask("623021185006153029") == "623*************29"
    shown = mask_personal("张三 623021185006153029 电话13900000000，文号2026001")
    assert "185006" not in shown and "3900000" not in shown and "2026001" in shown
