"""Characters that are not what they look like, and cells that want to be run; CSV again."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.registry import case
from tests.hostile.rows import put, text, three
from tests.hostile.text_cases import ALL, BAD
from tests.hostile.ways import AFTER, BEFORE, Expected
from tests.support_contracts import IDENTITY_NUMBER, PHONE

USCC = "91623000739699913A"
WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x30, 0x5B)})


def _cell(name: str, column: str, content: str, expected: Expected | None = None) -> None:
    """A case whose second row holds ``content`` in ``column``; rejected for it unless told otherwise."""

    @case(name)
    def generate(folder: Path) -> Expected:
        put(folder, text(three(**{column: content})))
        return expected or Expected((3,), column)


def _taken(**values: object) -> Expected:
    return ALL._replace(values=tuple(values.items()))


_CODE, _NAME = "统一社会信用代码/注册号", "检查对象名称"
_cell("csv-control-character", _NAME, "合作市\x08乳业公司")
_cell("csv-escape-sequence", _NAME, "\x1b[2J\x1b[31m合作市乳业公司")
_cell("csv-delete-character", "检查编号", "JC000005\x7f")
_cell("csv-bidi-override", _NAME, "合作市\u202e业乳公司\u202c")
_cell("csv-bidi-isolate", "备注", "\u2066已整改\u2069")
_cell("csv-line-separator", "备注", "第一行\u2028第二行", _taken())
_cell("csv-zero-width-in-code", _CODE, "\u200b9162300\u200d0739699913A\ufeff", _taken(party_uscc=USCC))
_cell("csv-full-width-code", _CODE, USCC.translate(WIDE), _taken(party_uscc=USCC))
_cell("csv-full-width-date", "检查日期", "２０２６／３／１", _taken(check_date="2026-03-01"))
_cell("csv-zero-width-in-number", "检查编号", "JC\u200b000005\ufeff", _taken(behaviour_number=BAD))
_cell("csv-full-width-number", "检查编号", BAD.translate(WIDE), _taken(behaviour_number=BAD))
_cell("csv-look-alike-letters", _CODE, "9162300073969991ЗА")
_cell("csv-other-digits", "检查日期", "٢٠٢٦-٠٣-٠١", _taken(check_date="2026-03-01"))
_cell("csv-combining-marks", _NAME, "合" + "\u0301" * 5000)
_RARE = "合作市𠮷祥བོད་商行👨\u200d👩\u200d👧"
_cell("csv-emoji-name", _NAME, _RARE, _taken(party_name=_RARE))
_cell("csv-date-of-year-9999", "检查日期", "9999-12-31")
_cell("csv-date-serial", "检查日期", "99999")
_cell("csv-lost-digits", "检查编号", "6.23E+17")
_cell("csv-identity-number-as-code", _CODE, IDENTITY_NUMBER)
_cell("csv-identity-number-hidden", "检查日期", f"六二三{IDENTITY_NUMBER[:9]}\u200b{IDENTITY_NUMBER[9:]}")
_cell("csv-identity-number-cut", "检查日期", "无" * 90 + " " + IDENTITY_NUMBER)
_cell("csv-identity-number-wide", "检查日期", IDENTITY_NUMBER.translate(WIDE))
_cell("csv-identity-number-spaced", "检查日期", f"{IDENTITY_NUMBER[:6]} {IDENTITY_NUMBER[6:14]} {IDENTITY_NUMBER[14:]}")
_cell("csv-phone-spaced", "检查日期", f"{PHONE[:3]}-{PHONE[3:7]}-{PHONE[7:]}")
_cell("csv-formula-equals", "备注", '=HYPERLINK("http://a.invalid","点击")')
_cell("csv-formula-dde", "备注", "=cmd|'/C calc'!A0")
_cell("csv-formula-guarded", "检查编号", '="JC000005"', _taken(behaviour_number=BAD))
_cell("csv-formula-plus", "备注", "+1+1", _taken(remark="+1+1"))
_cell("csv-formula-minus", "备注", "-2+3", _taken(remark="-2+3"))
_cell("csv-formula-at", "备注", "@SUM(1+1)", _taken(remark="@SUM(1+1)"))


def _injection(name: str, content: str) -> None:
    @case(name)
    def generate(folder: Path) -> Expected:
        put(folder, text(检查日期=content))
        return Expected((3,), "检查日期", settings=(("errors", "csv" if name.endswith("csv") else "xlsx"),))


for _form in ("csv", "xlsx"):
    for _word, _start in (("equals", "=1+1"), ("plus", "+1+1"), ("minus", "-1+1"), ("at", "@SUM(1)"),
                          ("wide", "＝1+1"), ("blank", "\u00a0=1+1")):  # fmt: skip
        _injection(f"errors-{_word}-{_form}", _start)


@case("errors-heading-csv")
def _heading(folder: Path) -> Expected:
    lines = text(检查日期="昨天").splitlines(keepends=True)
    lines[0] = lines[0].replace("检查日期", "检查日期\t：")
    put(folder, "".join(lines))
    return Expected((3,), "检查日期\t：", taken=(BEFORE, AFTER), settings=(("errors", "csv"),))
