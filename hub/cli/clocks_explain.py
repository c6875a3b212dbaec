"""``hub clocks explain`` in words: Chinese for the clerk who is asked why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hub.cli.clocks_common import CHANGES, status_word
from hub.clocks.view import last_day
from hub.clocks.wire import state_from_value
from hub.domain.calendar import SHANGHAI
from hub.domain.clocks import ClockState, Status

_OUTCOMES = {"met": "按期完成", "met_late": "超期完成", "cancelled": "已取消"}


def explanation(found: Mapping[str, Any]) -> str:
    """What :func:`hub.clocks.explain.explain` found, line by line."""
    return "\n".join(_lines(state_from_value(found["clock"]), found))


def _lines(state: ClockState, found: Mapping[str, Any]) -> Iterator[str]:
    target = f" → {state.target}" if state.target else ""
    yield f"时限      {state.clock_id}"
    yield f"规则      {state.rule}{target}"
    yield f"状态      {status_word(state)}"
    yield f"主体      {state.subject}"
    yield f"责任部门  {state.owner_department or '-'}"
    yield from _trigger(state, found)
    yield from _rule(state, found)
    calendar = found["calendar"]
    if calendar is None:
        yield f"日历      {state.calendar} {state.calendar_version}（现已没有此日历）"
    elif found["is_calendar_current"]:
        yield f"日历      {calendar['title']} {calendar['version']}"
    else:
        yield f"日历      {calendar['title']}：按 {state.calendar_version} 计算，现行 {calendar['version']}"
    yield from _due(state, found)
    yield from _standstill(found)
    yield from _met(state, found)
    for number, each in enumerate(found["rounds"], 1):
        yield (
            f"第{number}轮     {each['counts_from']} 起算，{each['due_on']} 到期，"
            f"{_when(each['ended_at'])} {_OUTCOMES[each['outcome']]}  {each['event_id']}"
        )
    yield from _history(found)


def _trigger(state: ClockState, found: Mapping[str, Any]) -> Iterator[str]:
    trigger = found["trigger"]
    if trigger is None:
        early = "，已先行完成" if state.met_event_id else ""
        yield f"触发事件  尚未读到：在它之前先读到了与之有关的事件{early}"
        return
    yield f"触发事件  {trigger['event_id']}  {_when(trigger['at'])}"
    yield f"起算日    {trigger['counts_from']}（当日不计，次日为第1日）" if _counts_days(found) else (
        f"起算日    {trigger['counts_from']}"
    )


def _counts_days(found: Mapping[str, Any]) -> bool:
    period = found["period"]
    return period is not None and period["unit"] in ("working-days", "calendar-days")


def _rule(state: ClockState, found: Mapping[str, Any]) -> Iterator[str]:
    rule, period, trigger = found["rule"], found["period"], found["trigger"]
    if period is not None:
        own = "，由事件本身载明的日期代替" if trigger is not None and trigger["until"] is not None else ""
        yield f"期限      {period['text']}{own}"
    if rule is None:
        yield "依据      规则已不在 topics.yaml 中"
        return
    changed = f"；规则其后有变，现为 {rule['due']}（版本 {rule['version']}）" if found["has_rule_changed"] else ""
    yield f"规则名称  {rule['title']}（版本 {state.rule_version}{changed}）"
    yield f"依据      {rule['basis']}"
    yield f"出处      {rule['source']}"


def _due(state: ClockState, found: Mapping[str, Any]) -> Iterator[str]:
    if state.due_at is None:
        yield "到期日    -"
        return
    period, trigger = found["period"], found["trigger"]
    if trigger is not None and trigger["until"] is not None:
        yield f"到期日    {last_day(state)}，24:00 (Asia/Shanghai)，事件载明"
    elif period is not None and period["unit"] == "hours":
        yield f"到期时刻  {_when(state.due_at)} (Asia/Shanghai)，自触发时刻起连续计算"
    else:
        yield f"到期日    {last_day(state)}，24:00 (Asia/Shanghai)"
    if period is not None and period["unit"] == "working-days" and (trigger is None or trigger["until"] is None):
        yield f"不计入的日子（{len(found['days_off'])}天）"
        yield from (f"  {day}  {reason}" for day, reason in found["days_off"])
    moved = found["moved"]
    if moved is not None:
        yield f"顺延      {moved['from']} → {moved['to']}，末日为休息日"
        yield from (f"  {day}  {reason}" for day, reason in moved["days_off"])


def _standstill(found: Mapping[str, Any]) -> Iterator[str]:
    unit = "个工作日" if found["period"] and found["period"]["unit"] == "working-days" else "日"
    for each in found["standstill"]:
        if each["to"] is None:
            yield f"中止      {_when(each['from'])} 起，尚未恢复  {each['suspended_by']}"
            continue
        added = "，期限不变"
        if each["hours"] is not None:
            added = f"，顺延{each['hours']:g}小时"
        elif each["days"] is not None:
            added = f"，顺延{each['days']}{unit}"
        yield f"中止      {_when(each['from'])} 至 {_when(each['to'])}{added}  {each['suspended_by']}"


def _met(state: ClockState, found: Mapping[str, Any]) -> Iterator[str]:
    met = found["met"]
    if met is not None:
        late = met["working_days_late"]
        note = f"，超期{late}个工作日" if late is not None else ""
        yield f"完成      {_when(met['at'])}{note}  {met['event_id']}"
    elif state.status is Status.CANCELLED:
        line = state.last("cancelled")
        if line is not None:
            yield f"取消      {_when(line.at)}  {line.event_id}"


def _history(found: Mapping[str, Any]) -> Iterator[str]:
    yield "经过"
    for line in found["changes"]:
        due = f"  到期日 {line['due_on']}" if line["due_on"] else ""
        note = f"  ({line['note']})" if line["note"] else ""
        yield f"  {_when(line['at'])}  {CHANGES.get(line['change'], line['change'])}  {line['event_id']}{due}{note}"
    if found["rederived"]:
        yield "日历更新后重算"
    for line in found["rederived"]:
        if "due_before" in line:
            what = f"到期日 {line['due_before']} → {line['due_after']}"
            versions = f"{line['calendar_before']} → {line['calendar_after']}"
            yield f"  {_when(line['at'])}  {what}  {versions}  {line['event_id']}"
        else:
            yield f"  {_when(line['at'])}  到期日 {line['due_on']}  {line['note'] or ''}  {line['event_id']}"
    if found["said"]:
        yield "已发提醒"
    for line in found["said"]:
        level = f" {line['level']}" if line["level"] else ""
        old = "" if line["is_of_this_due_time"] else "  （针对其后变更前的到期日）"
        yield f"  {_when(line['at'])}  {CHANGES[line['kind']]}{level}  {line['alert_id']}{old}"


def _when(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
