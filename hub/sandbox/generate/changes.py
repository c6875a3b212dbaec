"""What becomes of a case later: an amendment, the next state, the removal from a list; and what a
reader has to make of it: natural key, state, traits."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from hub.sandbox.generate.cases import Case
from hub.sandbox.generate.departments import Department

#: kind -> begin of its event types
_EVENTS = {
    "inspection-results": "inspection.result",
    "penalties": "enforcement.penalty",
    "blacklist-notices": "blacklist.notice",
    "complaint-leads": "complaint.lead",
}
_LEAD_STATES = {"待受理": "received", "已受理": "accepted", "已办结": "resolved"}
_REMOVAL_REASONS = {
    "未按期年报": "已补报未报年份的年度报告并公示",
    "通过登记的住所或者经营场所无法联系": "依法办理住所变更登记，提出移出申请并经查实",
}
_RESOLUTIONS = ("经调解双方达成一致", "经查属实，已立案", "经查不属实，已告知投诉人", "已责令改正并退款")


def natural_key(kind: str, case: Case) -> str:
    """What identifies the case within its source, as the connector's mappings write it."""
    match kind:
        case "inspection-results":
            return str(case["检查编号"])
        case "penalties":
            return f"{case['行政处罚决定书文号']}|{case['行政相对人名称']}"
        case "blacklist-notices":
            return f"{case['列入文号']}|{case['统一社会信用代码'] or case['注册号'] or case['企业名称']}"
        case _:
            return str(case["线索编号"])


def state_type(kind: str, case: Case) -> str:
    """Event type of the state that the case is in."""
    word = "recorded"
    if kind == "blacklist-notices":
        word = "removed" if case["移出日期"] else "listed"
    elif kind == "complaint-leads":
        word = _LEAD_STATES[str(case["处理状态"])]
    return f"{_EVENTS[kind]}.{word}"


def amended_type(kind: str) -> str:
    """Event type of a change that leaves the state as it was."""
    return f"{_EVENTS[kind]}.amended"


def traits(kind: str, case: Case) -> tuple[str, ...]:
    """What decides on the publishing of the case; names as in ``manifest.Entity``."""
    found = []
    if case.get("是否公示") == "否":
        found.append("not-public")
    if kind == "penalties":
        if case["处罚程序"] == "简易程序":
            found.append("summary")
        if case["处罚类别"] == ("警告",):
            found.append("warning-only")
        if case["行政相对人类别"] == "自然人":
            found.append("natural-person")
    if kind == "blacklist-notices":
        found.append("abnormal" if case["名单类型"] == "经营异常名录" else "serious")
    return tuple(found)


def amend(kind: str, case: Case, day: date) -> Case:
    """The case corrected on ``day``: another content, in the state that it was in."""
    changed: Case = {**case, "备注": f"{day}更正"}
    if kind == "inspection-results":
        changed["检查结果"] = ("发现问题经责令已改正",)
    elif kind == "penalties" and isinstance(fine := case["罚款金额（万元）"], Decimal):
        lower = (fine / 2).quantize(Decimal("0.01"))
        changed["罚款金额（万元）"] = lower
        changed["处罚内容"] = str(case["处罚内容"]).replace(f"罚款{fine}万元", f"罚款{lower}万元")
    elif kind == "complaint-leads":
        changed["风险等级"] = "中" if case["风险等级"] == "高" else "高"
    return changed


def vary_penalty(rng: Random, case: Case) -> Case:
    """Some warnings by the ordinary procedure, some small fines by the summary one (行政处罚法第五十一条)."""
    if case["处罚类别"] == ("警告",) and rng.random() < 0.4:
        return {**case, "处罚程序": "普通程序"}
    if case["处罚类别"] == ("罚款",) and rng.random() < 0.15:
        small: Case = {"罚款金额（万元）": Decimal("0.02"), "处罚内容": "罚款0.02万元"}
        return {**case, "处罚程序": "简易程序", **small}
    return case


def advance(rng: Random, case: Case, until: date) -> Case:
    """A lead one state further, by a step that was taken on ``until`` at the latest."""
    if case["处理状态"] == "待受理":
        return {**case, "处理状态": "已受理", "受理日期": _some_days_after(rng, case["登记日期"], until)}
    return {
        **case,
        "处理状态": "已办结",
        "办结日期": _some_days_after(rng, case["受理日期"], until),
        "办理结果": rng.choice(_RESOLUTIONS),
    }


def _some_days_after(rng: Random, day: object, until: date) -> date:
    assert isinstance(day, date)
    return min(day + timedelta(days=rng.randint(1, 12)), until)


def remove(case: Case, by: Department, number: int, day: date) -> Case:
    """A listing with its removal on ``day`` filled in."""
    return {
        **case,
        "移出原因": _REMOVAL_REASONS.get(str(case["列入原因"]), "已履行公示义务，提出移出申请并经查实"),
        "移出日期": day,
        "移出决定机关": by.name,
        "移出文号": f"{by.short}异出〔{day.year}〕第{number:04d}号",
    }
