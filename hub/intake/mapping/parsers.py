"""Values as departments write them: dates, amounts, codes, numbers, yes and no.

A parser takes the text of a cell, already stripped and not empty, and gives the value for the
schema; it raises ``ValueFault`` with words for a clerk. Parsers are pure, so repeated texts are
cached where working them out costs more than looking them up.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from hub.domain.characters import describe, unfit_character

Parser = Callable[[str], Any]

#: What a spreadsheet shows where a formula failed; never a value.
SHEET_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!"})

#: What people write into a cell that has no value.
NOTHING = frozenset({"-", "--", "—", "——", "/", "\\", "无", "NULL", "null", "None", "N/A", "不详", "空"})

_DATE_REMEDY = "应为 2021-07-05、2021/7/5、2021.7.5、20210705 或 2021年7月5日"
_SEPARATED = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s]*(\d{1,2}:.*)?)?$")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6})?$")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?$")
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?$")
#: Excel's day 0; its false 29 February 1900 makes every serial from 61 on count from here.
_EPOCH_1900 = date(1899, 12, 30)
_EPOCH_1904 = date(1904, 1, 1)
#: Years outside are slips of the pen; 2099-12-31 stands for "no end".
YEARS = range(1949, 2100)

_AMOUNT = re.compile(
    r"(?P<sign>[-+]?)[¥￥]?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[Ee](?P<exponent>[+-]?\d{1,2}))?(?P<unit>万元|万|元)?(?:整|人民币)?$"
)
_TEN_THOUSAND = Decimal(10000)
_AMOUNT_LIMIT = Decimal(10) ** 12
_LONG_FLOAT = re.compile(r"\d(?:\.\d+)?[Ee]\+\d{2}$")

_TRUE = frozenset({"是", "有", "1", "Y", "y", "YES", "yes", "TRUE", "true", "True", "√", "公示", "匿名"})
_FALSE = frozenset(
    {"否", "无", "0", "N", "n", "NO", "no", "FALSE", "false", "False", "×", "不公示", "不匿名", "实名"}
)


class ValueFault(Exception):
    """A cell does not hold what its column should: a code, what is wrong, what would be right."""

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.remedy = remedy


def half_width(text: str) -> str:
    """Full-width letters, digits and punctuation as their ASCII twins."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def compact(text: str) -> str:
    """``half_width`` without any white space; the form in which headings and codes are compared."""
    return "".join(half_width(text).split())


def expect_fit(text: str) -> None:
    """Raises ``ValueFault`` for a text with a character that no record may hold."""
    character = unfit_character(text)
    if character is not None:
        raise ValueFault(
            "control-character",
            f"含有看不见的控制字符（{describe(character)}）",
            "请删除该字符，或在此单元格重新输入内容",
        )


def text_parser(max_length: int | None) -> Parser:
    """Free text as it stands; longer than ``max_length`` characters is a fault, never cut."""

    most = sys.maxsize if max_length is None else max_length

    def parse(text: str) -> str:
        if not text.isprintable():
            expect_fit(text)
        if len(text) > most:
            raise ValueFault("too-long", f"内容过长：{len(text)} 个字符", f"最多 {max_length} 个字符")
        return text

    return parse


def number_parser(max_length: int | None) -> Parser:
    """A document, plan or item number: half-width, without the white space that copying leaves."""

    most = sys.maxsize if max_length is None else max_length

    def parse(text: str) -> str:
        text = text.replace(" ", "") if text.isascii() else "".join(text.split()).translate(_FULL_TO_HALF)
        if not text.isprintable():
            expect_fit(text)
        if _LONG_FLOAT.match(text):
            raise ValueFault(
                "lost-digits",
                "编号被 Excel 转为科学计数法，后几位已丢失",
                "请将该列设为文本格式后重新填写完整编号",
            )
        if len(text) > most:
            raise ValueFault("too-long", f"内容过长：{len(text)} 个字符", f"最多 {max_length} 个字符")
        return text

    return parse


#: Digits, letters and hyphen alone: the brackets of 〔2026〕 and （甘） belong to a number. What nobody sees goes:
#: a number copied out of a web page is no other number.
_FULL_TO_HALF: dict[int, int | None] = {
    code: code - 0xFEE0
    for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B), 0xFF0D)
} | dict.fromkeys((*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF))


def date_parser(is_1904: bool = False) -> Parser:
    """A calendar date; ``is_1904`` says from which day the workbook's serial numbers count."""
    epoch = _EPOCH_1904 if is_1904 else _EPOCH_1900

    @lru_cache(maxsize=16384)
    def parse(raw: str) -> date:
        text = half_width(raw).strip()
        found = _SEPARATED.match(text) or _COMPACT.match(text)
        if found:
            clock = found.group(4) if found.lastindex and found.lastindex >= 4 else None
            if clock and not _TIME_OF_DAY.match(clock.strip()):
                raise ValueFault("date", f"日期无法识别：{raw}", _DATE_REMEDY)
            try:
                result = date(int(found.group(1)), int(found.group(2)), int(found.group(3)))
            except ValueError:
                raise ValueFault("date", f"没有这一天：{raw}", _DATE_REMEDY) from None
        elif _SERIAL.match(text):
            result = epoch + timedelta(days=int(float(text)))
        else:
            raise ValueFault("date", f"日期无法识别：{raw}", _DATE_REMEDY)
        if result.year not in YEARS:
            raise ValueFault("date", f"年份不合理：{raw}", "年份应在 1949 至 2099 之间")
        return result

    return parse


def amount_parser(unit: str) -> Parser:
    """An amount as a decimal in 万元. ``unit`` (``wan`` or ``yuan``) is what a bare number counts in;
    a unit written in the cell wins."""

    @lru_cache(maxsize=16384)
    def parse(raw: str) -> Decimal:
        text = compact(raw).replace("¥", "").replace("人民币", "")
        found = _AMOUNT.match(text)
        remedy = "应为数字，如 2.5（万元）" if unit == "wan" else "应为数字，如 25000（元）"
        if not found:
            raise ValueFault("amount", f"金额无法识别：{raw}", remedy)
        try:
            number = Decimal(found.group("number").replace(",", ""))
        except InvalidOperation:
            raise ValueFault("amount", f"金额无法识别：{raw}", remedy) from None
        if found.group("exponent"):
            number = number.scaleb(int(found.group("exponent")))
        if found.group("sign") == "-" and number:
            raise ValueFault("amount", f"金额不能为负数：{raw}", remedy)
        written = found.group("unit") or ("元" if unit == "yuan" else "万元")
        if written == "元":
            number = number / _TEN_THOUSAND
        rounded = number.quantize(Decimal("0.000001")) if number < _AMOUNT_LIMIT else number
        if rounded >= _AMOUNT_LIMIT:
            raise ValueFault("amount", f"金额过大：{raw}", "请核对单位是万元还是元")
        if rounded != number and abs(rounded - number) > Decimal("0.000000001"):
            # A binary fraction such as 0.30000000000000004 is Excel's, not the clerk's.
            raise ValueFault("amount", f"金额的小数位过多：{raw}", "精确到分，即万元最多六位小数")
        return rounded

    return parse


def boolean_parser() -> Parser:
    """是/否 and its usual variants."""

    def parse(raw: str) -> bool:
        text = raw if raw in _TRUE or raw in _FALSE else compact(raw)
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise ValueFault("boolean", f"无法识别：{raw}", "应填 是 或 否")

    return parse


def code_parser(table: Mapping[str, str]) -> Parser:
    """One value of a code list; ``table`` maps every accepted text (compact form) to its code."""

    @lru_cache(maxsize=4096)
    def parse(raw: str) -> str:
        code = table.get(raw) or table.get(compact(raw))
        if code is None:
            raise ValueFault("code", f"不在代码表中：{raw}", f"应为其中之一：{_choices(table)}")
        return code

    return parse


def code_list_parser(table: Mapping[str, str], separators: str) -> Parser:
    """Several values of a code list, in the order written, without doubles."""
    one = code_parser(table)
    split = splitter(separators)

    @lru_cache(maxsize=4096)
    def parse_all(raw: str) -> tuple[str, ...]:
        try:
            # A title may hold a separator itself, e.g. 公示信息隐瞒真实情况、弄虚作假.
            return (one(raw),)
        except ValueFault:
            return tuple(dict.fromkeys(one(part) for part in _join_known(split(raw), table)))

    return lambda raw: list(parse_all(raw))


def _join_known(parts: list[str], table: Mapping[str, str]) -> list[str]:
    """Puts neighbouring parts together again where only together they are a title of the table."""
    joined: list[str] = []
    at = 0
    while at < len(parts):
        for end in range(len(parts), at + 1, -1):
            for glue in ("、", ",", "", "，"):
                if compact(glue.join(parts[at:end])) in table:
                    joined.append(glue.join(parts[at:end]))
                    at = end
                    break
            else:
                continue
            break
        else:
            joined.append(parts[at])
            at += 1
    return joined


def text_list_parser(separators: str) -> Parser:
    """Several free texts."""
    split = splitter(separators)

    def parse(text: str) -> list[str]:
        expect_fit(text)
        return split(text)

    return parse


def splitter(separators: str) -> Callable[[str], list[str]]:
    """Splits at any of the characters; empty parts are left out."""
    pattern = re.compile("[" + re.escape(separators) + "\n\r]+")
    return lambda text: [part for part in (piece.strip() for piece in pattern.split(text)) if part]


def _choices(table: Mapping[str, str]) -> str:
    titles = [text for text in table if not text.isascii()] or list(table)
    shown = "、".join(titles[:12])
    return shown + (" 等" if len(titles) > 12 else "")


@lru_cache(maxsize=16384)
def parse_phone(raw: str) -> str:
    """A telephone number, digits with at most a leading + and hyphens."""
    text = compact(raw)
    if not re.fullmatch(r"\+?[\d-]{5,20}", text):
        raise ValueFault("phone", "电话号码无法识别", "应为 11 位手机号或带区号的固定电话，如 0941-8210000")
    return text
