"""Why a clock is due when it is, for every unit and every turn that a clock can take."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hub.cli.clocks_common import dump
from hub.cli.clocks_explain import explanation
from hub.clocks.explain import explain
from hub.domain.calendar import Calendar
from hub.domain.clock_firing import fire
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockRule, ClockState, Due, Signal
from hub.domain.events import derive_id
from tests.support_clocks import CALENDARS, DISCLOSE, at, signal

GANNAN = CALENDARS["gannan"]
PLAIN = replace(DISCLOSE, basis="“二十个工作日内公示”", source="方案 三(三)", warn=(5, 1), escalate=(1,))


def clock(rule: ClockRule, *signals: Signal) -> ClockState:
    state: ClockState | None = None
    for each in signals:
        state, _ = apply(state, each, rule, GANNAN)
    assert state is not None
    return state


def start(when: str, counts_from: str | None = None, event: str = "s") -> Signal:
    return signal("start", event, when, counts_from=counts_from or when[:10])


def text(state: ClockState, rule: ClockRule | None = PLAIN, calendar: Calendar | None = GANNAN) -> str:
    found = explain(state, rule, calendar)
    assert '"clock_id"' in dump(found)  # all of it has a JSON form
    return explanation(found)


def test_working_days_and_the_law() -> None:
    said = text(clock(PLAIN, start("2026-09-30T02:00")))
    for part in (
        "20个工作日", "“二十个工作日内公示”", "方案 三(三)", "2026-10-08  州庆", "（15天）", "2026-11-04，24:00",
        derive_id("s"), "2026-09-30 10:00:00", GANNAN.version,
    ):
        assert part in said, part


def test_days_months_and_years_end_on_a_working_day() -> None:
    for due, moved_from, word in (
        (Due(3, "calendar-days"), "2026-10-01", "3日"), (Due(1, "months"), "2026-10-28", "1个月"),
        (Due(0, "date", 10, 3), "2026-10-03", "当年10月3日"), (Due(0, "date", 0, 31), "2026-09-30", "当月最后一日"),
    ):
        rule = replace(PLAIN, due=due)
        found = explain(clock(rule, start("2026-09-28")), rule, GANNAN)
        assert found["days_off"] == []
        moved = found["moved"]
        if GANNAN.is_working_day(date.fromisoformat(moved_from)):
            assert moved is None
        else:
            assert (moved["from"], moved["to"]) == (date.fromisoformat(moved_from), date(2026, 10, 9))
            assert [day for day, _ in moved["days_off"]] == [
                date(2026, 10, n) for n in range(moved["from"].day, 9)
            ]
        assert word in explanation(found)


def test_a_term_is_not_moved() -> None:
    rule = replace(PLAIN, due=Due(3, "years"), on_due="expire")
    found = explain(clock(rule, start("2023-10-03")), rule, GANNAN)
    assert found["moved"] is None and found["clock"]["due_on"] == date(2026, 10, 3)
    assert "3年" in explanation(found)


def test_hours_say_the_moment() -> None:
    rule = replace(PLAIN, due=Due(24, "hours"))
    state = clock(
        rule, start("2026-03-02T01:00"), signal("suspend", "x", "2026-03-02T02:00"),
        signal("resume", "y", "2026-03-02T04:30"),
    )
    said = text(state, rule)
    assert "到期时刻  2026-03-03 11:30:00" in said and "顺延2.5小时" in said and "不计入的日子" not in said


def test_a_day_that_the_event_names() -> None:
    rule = replace(PLAIN, until="publish_until")
    state = clock(rule, start("2026-03-02")._replace(until=date(2026, 12, 31)))
    said = text(state, rule)
    assert "由事件本身载明的日期代替" in said and "2026-12-31，24:00 (Asia/Shanghai)，事件载明" in said


def test_suspensions_and_amendments() -> None:
    state = clock(
        PLAIN, start("2026-03-02"), signal("suspend", "x", "2026-03-04"), signal("resume", "y", "2026-03-10"),
        signal("start", "again", "2026-03-12", counts_from="2026-03-05"), signal("suspend", "z", "2026-03-16"),
    )
    found = explain(state, PLAIN, GANNAN)
    assert [each["days"] for each in found["standstill"]] == [4, None]
    assert [(line["change"], line["due_on"]) for line in found["changes"]] == [
        ("started", date(2026, 3, 30)), ("suspended", None), ("resumed", date(2026, 4, 3)),
        ("amended", date(2026, 4, 9)), ("suspended", None),
    ]
    assert found["trigger"]["event_id"] == derive_id("again")
    said = explanation(found)
    assert "顺延4个工作日" in said and "尚未恢复" in said and "起算日变更" in said


def test_another_calendar_and_another_rule() -> None:
    off = GANNAN.version
    fewer = Calendar("gannan", "甘南州工作日历", {date(2026, 10, 12): "香浪节"}, {}, 2010, 2026)
    state = rederive(clock(PLAIN, start("2026-10-09")), PLAIN, fewer, "event-9", at("2026-10-10"))
    assert state is not None
    newer = replace(PLAIN, due=Due(10, "working-days"))
    found = explain(state, newer, GANNAN)
    (moved,) = found["rederived"]
    assert (moved["calendar_before"], moved["calendar_after"]) == (off, fewer.version)
    assert moved["due_after"] == str(state.due_on) and moved["event_id"] == "event-9"
    assert found["has_rule_changed"] and not found["is_calendar_current"]
    said = explanation(found)
    assert "20个工作日" in said and "现为 10 working-days" in said and f"按 {fewer.version} 计算" in said
    assert f"{off} → {fewer.version}" in said


def test_what_was_said_and_what_met_it() -> None:
    state = clock(PLAIN, start("2026-03-02"))
    for day in ("2026-03-24", "2026-03-31", "2026-04-02"):
        state, _ = fire(state, PLAIN, GANNAN, at(day))
    state, _ = apply(state, signal("meet", "r", "2026-04-03"), PLAIN, GANNAN)
    found = explain(state, PLAIN, GANNAN)
    assert [(each["kind"], each["level"]) for each in found["said"]] == [
        ("warned", "5"), ("breached", None), ("escalated", "1"),
    ]
    assert found["met"] == {"event_id": derive_id("r"), "at": at("2026-04-03"), "working_days_late": 4}
    said = explanation(found)
    assert "超期4个工作日" in said and "超期提醒 1" in said and "超期完成" in said
    amended, _ = apply(state, signal("start", "b", "2026-04-04", counts_from="2026-03-09"), PLAIN, GANNAN)
    assert "针对其后变更前的到期日" in text(amended)


def test_awaiting_and_cancelled() -> None:
    early = text(clock(PLAIN, signal("meet", "r", "2026-03-03")))
    assert "尚未读到" in early and "已先行完成" in early and "到期日    -" in early
    cancelled = text(clock(PLAIN, start("2026-03-02"), signal("cancel", "c", "2026-03-05")))
    assert f"取消      2026-03-05 08:00:00  {derive_id('c')}" in cancelled


def test_rounds() -> None:
    rule = replace(PLAIN, repeats=True, due=Due(3, "working-days"))
    state = clock(
        rule, start("2026-03-02"), signal("meet", "r", "2026-03-03"), start("2026-04-01", event="t"),
        signal("meet", "u", "2026-04-13"), start("2026-05-11", event="v"),
    )
    found = explain(state, rule, GANNAN)
    assert [(each["outcome"], each["due_on"]) for each in found["rounds"]] == [
        ("met", date(2026, 3, 5)), ("met_late", date(2026, 4, 7)),
    ]
    assert found["trigger"]["event_id"] == derive_id("v") and found["met"] is None
    assert "第2轮     2026-04-01 起算，2026-04-07 到期，2026-04-13 08:00:00 超期完成" in explanation(found)


def test_without_rule_and_calendar_the_clock_still_says_its_own() -> None:
    said = text(clock(PLAIN, start("2026-03-02")), None, None)
    assert "规则已不在 topics.yaml 中" in said and "20个工作日" in said and "2026-03-30" in said
