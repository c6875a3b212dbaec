"""Codes of enterprises and persons: what kind a code is, whether it can be right, who it stands for.

Three kinds are known:

``uscc``
    统一社会信用代码, GB 32100-2015: 18 characters, of which 9 to 17 are an organisation code
    (GB 11714) with a check digit of its own at 17, and 18 is the check character of the whole.
``registration``
    营业执照注册号, GS 15-2006: 15 digits, the last by ISO 7064 MOD 11,10. Older ones of 13 or 14
    digits have no check digit.
``id-card``
    公民身份号码, GB 11643: 17 digits and a check character. Only form and check character are
    judged: tables of areas and years refuse living people.

Dirt that cannot change the meaning (full-width forms, case, blanks, hyphens, dots) is removed
without a word. A letter that can only be a misread digit (O for 0) is different: the right code is
*offered*, as verdict ``repaired``, and it is for the caller to take it or not.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

from hub.domain.check_digits import (
    ALPHABET,
    id_card_check_character,
    organisation_check_character,
    registration_check_digit,
    uscc_check_character,
)
from hub.errors import InputError

Kind = Literal["uscc", "registration", "id-card", "unknown"]
Verdict = Literal["valid", "repaired", "invalid"]

#: 登记管理部门代码, the first character of a USCC: 1-9, A 中央军委, N 农业, Y 其他.
AUTHORITIES = "123456789ANY"

_USCC_FORM = re.compile(f"[{AUTHORITIES}][{ALPHABET}][0-9]{{6}}[{ALPHABET}]{{8}}[0-9X][{ALPHABET}]")
_ID_FORM = re.compile(r"[1-9]\d{5}(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[0-9X]")
_OLD_ID_FORM = re.compile(r"[1-8]\d{5}\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}")
_DIGITS = re.compile(r"[0-9]+")
#: How a spreadsheet writes a registration number that it took for a number.
_FLOAT = re.compile(r"(\d{13,15})\.0+")
_EXPONENT = re.compile(r"\d(?:\.\d+)?E\+?\d+")
#: Removed wherever they stand: hyphens and dashes, dots, quotation marks that guard a cell's text.
_PUNCTUATION = frozenset("-‐‑‒–—―−_.·•・。'’‘`\"“”")
#: What is written where there is no code; NFKC and upper case, punctuation gone.
_PLACEHOLDERS = frozenset(
    {"无", "暂无", "没有", "不详", "未知", "空", "NULL", "NONE", "N/A", "NA", "NIL", "/", "\\"}
)

#: Letters of other scripts that look the same as one of ours.
_HOMOGLYPHS = dict(zip("АВСЕНКМОРТХΑΒΕΗΙΚΜΝΟΡΤΧ×", "ABCEHKMOPTXABEHIKMNOPTXX", strict=True))
#: What a letter that must be a digit can have been.
_AS_DIGIT = {
    "O": "0", "Q": "0", "D": "0", "I": "1", "L": "1", "J": "1", "|": "1", "!": "1",
    "Z": "2", "S": "5", "G": "6", "T": "7", "B": "8",
}
#: What a letter that a USCC does not know can have been, likeliest first.
_LOOKALIKES = {
    "O": "0QD", "I": "1LJ", "|": "1", "!": "1", "Z": "2", "S": "5", "V": "UY",
}
#: More doubtful characters than this make a guess, not a repair (and 3**6 combinations at the most).
_MAX_DOUBTFUL = 6


class Judgement(NamedTuple):
    """What is known of one code.

    ``input`` is what was given, untouched. ``normalised`` is the code without dirt; where the
    verdict is ``repaired`` it is the repair that is offered (also in ``repair``), which nothing in
    the hub applies by itself. ``reason`` is empty for a code without remark and never holds a part
    of an ID card number. ``is_plausible`` says that form and alphabet are right, whatever the check
    digits say: intake takes such a code with a warning. ``problem`` is the reason as a code:
    ``""``, ``empty``, ``length``, ``form``, ``check-digit`` (the last character),
    ``organisation-check-digit`` (character 17), ``both-check-digits``, ``look-alike``,
    ``old-number``.
    """

    input: str
    normalised: str
    kind: Kind
    verdict: Verdict
    reason: str
    repair: str | None
    is_plausible: bool
    problem: str = ""


def normalise(code: str) -> str:
    """``code`` without what cannot change its meaning: half-width, upper case, no blanks, hyphens, dots."""
    if not code.isascii():
        # Visible look-alikes of other scripts stay: taking them is a repair, not a normalisation.
        code = unicodedata.normalize("NFKC", code)
    code = code.strip().upper()
    if code.isalnum():
        return code
    number = _FLOAT.fullmatch(code)
    if number is not None:
        return number.group(1)
    return "".join(char for char in code if not _is_dirt(char))


def _is_dirt(char: str) -> bool:
    if char in _PUNCTUATION or char.isspace():
        return True
    # Cc control, Cf format (zero-width, direction marks, byte order mark), Zs blanks.
    return not char.isalnum() and unicodedata.category(char) in ("Cc", "Cf", "Zs")


def is_uscc(code: str) -> bool:
    """Whether a normalised code is a USCC with both check characters right."""
    return (
        _USCC_FORM.fullmatch(code) is not None
        and organisation_check_character(code[8:16]) == code[16]
        and uscc_check_character(code[:17]) == code[17]
    )


def is_id_card(code: str) -> bool:
    """Whether a normalised code has the form and the check character of an ID card number."""
    return _ID_FORM.fullmatch(code) is not None and id_card_check_character(code[:17]) == code[17]


def is_registration_number(code: str) -> bool:
    """Whether a normalised code is a 15-digit registration number with the right check digit."""
    return len(code) == 15 and code.isdecimal() and registration_check_digit(code[:14]) == code[14]


def judge(code: str) -> Judgement:
    """Judge one code as it was written. Never raises; 3 to 6 µs for a code without dirt."""
    text = normalise(code)
    length = len(text)
    if length == 18:
        return _judge_18(code, text)
    if length == 15:
        return _judge_15(code, text)
    if length in (13, 14) and _DIGITS.fullmatch(text):
        return Judgement(
            code, text, "registration", "valid", f"{length}位旧注册号，没有校验码，无法核对 (old number)",
            None, True, "old-number",
        )
    if text in _PLACEHOLDERS or not text:
        return Judgement(code, text, "unknown", "invalid", "没有代码 (empty)", None, False, "empty")
    if _EXPONENT.fullmatch(code.strip().upper()):
        reason = "科学计数法，数字已丢失：请把单元格设为文本 (digits lost by a spreadsheet)"
        return Judgement(code, text, "unknown", "invalid", reason, None, False, "form")
    if length == 9 and text.isascii() and text.isalnum():
        reason = "9位是组织机构代码，不是18位统一社会信用代码 (organisation code only)"
    else:
        reason = f"长度为{length}，应为18位统一社会信用代码或15位注册号 (length)"
    return Judgement(code, text, "unknown", "invalid", reason, None, False, "length")


def _judge_18(code: str, text: str) -> Judgement:
    has_id_form = _ID_FORM.fullmatch(text) is not None
    if _USCC_FORM.fullmatch(text):
        is_inner_right = organisation_check_character(text[8:16]) == text[16]
        is_final_right = uscc_check_character(text[:17]) == text[17]
        is_right = is_inner_right and is_final_right
        # All-digit codes can have both forms. A right USCC wins if it begins with 9, which no ID card
        # of a citizen does; in any other doubt it is a person's number, which is the safer mistake.
        if is_right and (not has_id_form or text[0] == "9" or not is_id_card(text)):
            return Judgement(code, text, "uscc", "valid", "", None, True)
        if not has_id_form or (text[0] == "9" and not is_id_card(text)):
            return _wrong_uscc(code, text, is_inner_right, is_final_right)
    if has_id_form:
        if id_card_check_character(text[:17]) == text[17]:
            return Judgement(code, text, "id-card", "valid", "", None, True)
        reason = "身份证号码末位校验码不符 (check digit, GB 11643)"
        return Judgement(code, text, "id-card", "invalid", reason, None, True, "check-digit")
    return _offer_18(code, text)


def _wrong_uscc(code: str, text: str, is_inner_right: bool, is_final_right: bool) -> Judgement:
    inner = f"第17位组织机构代码校验码应为{organisation_check_character(text[8:16])}，实为{text[16]}"
    final = f"第18位校验码应为{uscc_check_character(text[:17])}，实为{text[17]}"
    if is_inner_right:
        reason, problem = f"{final} (check digit, GB 32100)", "check-digit"
    elif is_final_right:
        reason, problem = f"{inner} (organisation check digit, GB 11714)", "organisation-check-digit"
    else:
        reason = f"第17位和第18位校验码均不符，差错多在第9至17位：{inner} (both check digits)"
        problem = "both-check-digits"
    return Judgement(code, text, "uscc", "invalid", reason, None, True, problem)


def _offer_18(code: str, text: str) -> Judgement:
    """The one right code that look-alikes can have been, or why there is none."""
    latin = "".join(_HOMOGLYPHS.get(char, char) for char in text)
    as_id = latin.translate(_TO_DIGIT)
    is_like_id = _ID_FORM.fullmatch(as_id) is not None
    found = {"".join(candidate) for candidate in _uscc_candidates(latin)}
    repairs = sorted(filter(is_uscc, found))
    if is_like_id and is_id_card(as_id):
        repairs.append(as_id)
    if len(repairs) == 1:
        repair = repairs[0]
        if is_like_id and repair == as_id and not is_uscc(repair):
            # The places would betray nothing, but a reason about a person stays general.
            reason = "身份证号码中有形近字符，请核对 (look-alike)"
            return Judgement(code, repair, "id-card", "repaired", reason, repair, False, "look-alike")
        changes = "，".join(
            f"第{place}位{was}应为{now}"
            for place, (was, now) in enumerate(zip(text, repair, strict=True), 1) if was != now
        )
        reason = f"形近字符，请核对：{changes} (look-alike)"
        return Judgement(code, repair, "uscc", "repaired", reason, repair, False, "look-alike")
    if len(repairs) > 1:
        reason = "有形近字符，且不止一种改法，请查原件 (look-alike, more than one repair)"
        return Judgement(code, text, "uscc", "invalid", reason, None, False, "look-alike")
    if is_like_id:
        reason = "身份证号码中有不允许的字符 (form)"
        return Judgement(code, text, "id-card", "invalid", reason, None, False, "form")
    if not (text.isascii() and text.isalnum()):
        return Judgement(code, text, "unknown", "invalid", "含有代码不允许的字符 (form)", None, False, "form")
    return Judgement(code, text, "uscc", "invalid", f"{_form_fault(text)} (form)", None, False, "form")


_TO_DIGIT = str.maketrans(_AS_DIGIT)


def _uscc_candidates(text: str) -> product[tuple[str, ...]]:
    """Every code that ``text`` can have been; only characters impossible in their place are doubted."""
    choices: list[str] = []
    doubtful = 0
    for place, char in enumerate(text):
        if 2 <= place < 8:  # the region code: digits only
            options = char if char.isdigit() else _AS_DIGIT.get(char, "")
        elif char in ALPHABET and (place != 16 or char in "0123456789X"):
            options = char
        elif place == 16:
            options = _AS_DIGIT.get(char, "")
        else:
            options = _LOOKALIKES.get(char, "")
        doubtful += options != char
        choices.append(options)
    return product(*(choices if doubtful <= _MAX_DOUBTFUL else [""]))


def _form_fault(text: str) -> str:
    """The first fault of form in 18 characters that are letters and digits."""
    for place, char in enumerate(text, 1):
        if place == 1 and char not in AUTHORITIES and char in ALPHABET:
            return f"第1位{char}不是登记管理部门代码"
        if 3 <= place <= 8 and not char.isdigit():
            return f"第{place}位{char}应为行政区划数字"
        if char not in ALPHABET:
            return f"第{place}位{char}不在代码字符集内（没有I、O、Z、S、V）"
        if place == 17 and char not in "0123456789X":
            return "第17位应为数字或X"
    return "不符合统一社会信用代码的形式"


def _judge_15(code: str, text: str) -> Judgement:
    if text.isdecimal() and text.isascii():
        expected = registration_check_digit(text[:14])
        if expected == text[14]:
            return Judgement(code, text, "registration", "valid", "", None, True)
        # The expected digit is not told: a 15-digit ID card of before 1999 also comes this way.
        reason = "15位注册号末位校验码不符 (check digit, GS 15-2006)"
        return Judgement(code, text, "registration", "invalid", reason, None, True, "check-digit")
    digits = "".join(_HOMOGLYPHS.get(char, char) for char in text).translate(_TO_DIGIT)
    if sum(map(str.isdigit, text)) >= 15 - _MAX_DOUBTFUL and is_registration_number(digits):
        reason = "注册号中有形近字符，请核对 (look-alike)"
        return Judgement(code, digits, "registration", "repaired", reason, digits, False, "look-alike")
    return Judgement(code, text, "unknown", "invalid", "15位注册号应全为数字 (form)", None, False, "form")


def normalise_name(name: str) -> str:
    """A name as it is compared: half-width, upper case, no blanks, one kind of middle dot."""
    if name.isascii() and name.isprintable():
        return name.upper().replace(" ", "")
    name = unicodedata.normalize("NFKC", name).upper()
    return "".join(
        "·" if char in "•・‧∙⋅" else char for char in name
        if not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Zs")
    )


def subject_key(
    uscc: str | None,
    registration_number: str | None,
    certificate_number: str | None,
    name: str | None,
    secret: bytes,
) -> str:
    """The one canonical key of an enterprise or person; ``.encode()`` of it is a record's key.

    USCC, else registration number, else ``id-`` and 32 hex digits of an HMAC-SHA256 of the certificate
    number, else ``name-`` and the same of the name. An ID card number that somebody wrote into one of
    the first two columns is treated as what it is: no such number gets into a key.

    :raises InputError: if nothing at all says who it is.
    """
    if uscc is not None and _USCC_FORM.fullmatch(uscc) is not None and _ID_FORM.fullmatch(uscc) is None:
        return uscc  # what the steps below come to
    for given in (uscc, registration_number):
        text = _code_or_empty(given)
        if not text:
            continue
        if _is_personal(text):
            certificate_number = certificate_number or text
            continue
        # A USCC column that holds a remark ("办理中") must not make one subject of many enterprises.
        if any(map(str.isdigit, text)):
            return text
    text = _code_or_empty(certificate_number)
    if text:
        return f"id-{_keyed_digest(text, secret)}"
    text = normalise_name(name or "")
    if not text:
        raise InputError("没有统一社会信用代码、注册号、证件号码或名称：无法确定主体 (no subject)")
    return f"name-{_keyed_digest(text, secret)}"


def are_subjects(codes: Sequence[str]) -> bool:
    """Whether ``subject_key`` gives each of these codes as it is."""
    return None not in map(_USCC_FORM.fullmatch, codes) and not any(map(_ID_FORM.fullmatch, codes))


def _code_or_empty(code: str | None) -> str:
    text = normalise(code) if code else ""
    return "" if text in _PLACEHOLDERS else text


def is_personal_number(code: str) -> bool:
    """Whether a code, as it was written, has the form of an ID card number and none of an enterprise's."""
    return _is_personal(normalise(code))


def _is_personal(text: str) -> bool:
    if len(text) == 18:
        return _ID_FORM.fullmatch(text) is not None and _judge_18(text, text).kind == "id-card"
    return _OLD_ID_FORM.fullmatch(text) is not None and not is_registration_number(text)


def _keyed_digest(text: str, secret: bytes) -> str:
    return hmac.digest(secret, text.encode(), "sha256").hex()[:32]
