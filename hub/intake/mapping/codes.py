"""Codes of parties in a cell: what is taken, what is taken with a warning, what is refused."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from hub.domain.identifiers import judge
from hub.intake.mapping.parsers import NOTHING, ValueFault, compact, expect_fit

CheckDigit = Literal["warn", "refuse"]
_FAILED_CHECK = frozenset({"check-digit", "organisation-check-digit", "both-check-digits"})
_REMEDY = {
    "uscc": "应为 18 位统一社会信用代码，请对照营业执照核对",
    "registration": "应为 15 位工商注册号，请对照营业执照核对",
    "id-card": "应为 18 位公民身份号码，请对照身份证核对",
}


class Reading(NamedTuple):
    """A code that was taken: its kind, its canonical form, and the warning it was taken with
    (code, problem, remedy) or ``None``."""

    kind: str
    code: str
    warning: tuple[str, str, str] | None


@lru_cache(maxsize=65536)
def read_code(raw: str, wanted: str, check_digit: CheckDigit) -> Reading:
    """A code of the kinds in ``wanted`` (joined by "|": uscc, registration, id-card).

    :raises ValueFault: when it is none of them, was misread, or fails its check digit and
        ``check_digit`` says ``refuse``.
    """
    judgement = judge(raw)
    kinds = wanted.split("|")
    remedy = _REMEDY[kinds[0]]
    if judgement.kind not in kinds or not judgement.is_plausible:
        if judgement.kind == "id-card" and "id-card" not in kinds:
            raise ValueFault(
                "code-kind", "这里填的是身份证号码，不是统一社会信用代码", "身份证号码请填入“证件号码”列"
            )
        if judgement.kind == "registration" and "registration" not in kinds and judgement.is_plausible:
            raise ValueFault(
                "code-kind", "这里填的是工商注册号，不是统一社会信用代码", "注册号请填入注册号列"
            )
        offered = judgement.repair if judgement.repair and judgement.kind != "id-card" else None
        raise ValueFault(
            judgement.problem or "form",
            _chinese(judgement.reason) or "代码形式不对",
            f"可能应为 {offered}，请核对后重新填写" if offered else remedy,
        )
    if judgement.problem in _FAILED_CHECK:
        if check_digit == "refuse":
            raise ValueFault(judgement.problem, _chinese(judgement.reason), remedy)
        return Reading(
            judgement.kind, judgement.normalised, (judgement.problem, _chinese(judgement.reason), remedy)
        )
    if judgement.problem == "old-number":
        return Reading(
            judgement.kind,
            judgement.normalised,
            ("old-number", _chinese(judgement.reason), "如已换发统一社会信用代码，请填写统一社会信用代码"),
        )
    return Reading(judgement.kind, judgement.normalised, None)


def read_certificate(raw: str, kind: str | None, check_digit: CheckDigit) -> Reading:
    """A certificate's number; an ID card's (kind 01, or unsaid) is checked, others are taken as they are."""
    text = compact(raw).upper()
    if kind in (None, "01") and (kind == "01" or len(text) == 18):
        return read_code(raw, "id-card", check_digit)
    expect_fit(text)
    if len(text) > 64:
        raise ValueFault("too-long", "证件号码过长", "最多 64 个字符")
    return Reading("certificate", text, None)


def is_nothing(raw: str) -> bool:
    """Whether a cell says in words that there is no value."""
    return raw in NOTHING


def _chinese(reason: str) -> str:
    """The reason without the English remark in brackets behind it."""
    return reason.split(" (", 1)[0]
