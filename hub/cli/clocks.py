"""``hub clocks``: which deadlines run, and why each is due when it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from hub.clocks.view import ClocksView, last_day
from hub.clocks.wire import state_from_value, state_to_value
from hub.domain.clocks import ClockState, Status
from hub.domain.plain import to_plain
from hub.errors import HubError, UsageError
from hub.settings import load

app = typer.Typer(help="法定时限 / statutory clocks", no_args_is_help=True)

_TITLES = {
    Status.AWAITING: "待起算", Status.RUNNING: "计时中", Status.SUSPENDED: "中止",
    Status.MET: "按期完成", Status.MET_LATE: "超期完成", Status.CANCELLED: "已取消", Status.EXPIRED: "期满",
}
_CHANGES = {
    "started": "起算", "restarted": "重新起算", "amended": "起算日变更",
    "met": "按期完成", "met-late": "超期完成", "met-early": "起算前已完成",
    "cancelled": "取消", "suspended": "中止", "resumed": "恢复",
    "warned": "预警", "breached": "超期", "escalated": "超期督促", "expired": "期满",
    "met-again": "再次完成", "repeated": "重复触发", "counted": "计入次数", "ignored": "不起作用",
    "rederived": "日历更新后重算",
}
AsJson = Annotated[bool, typer.Option("--json", help="JSON")]
ClockId = Annotated[str, typer.Argument(metavar="ID", help="时限编号，或其开头 / id or its beginning")]


def open_view() -> ClocksView:
    """The clocks of the hub that the settings name."""
    # Here, not above: the wiring brings every stage and client library, which --help does not need.
    from hub.wiring import clocks_view

    return clocks_view(load())


@app.command("list")
def list_clocks(
    status: Annotated[Status | None, typer.Option(help="状态")] = None,
    rule: Annotated[str | None, typer.Option(help="规则 / rule of the map")] = None,
    department: Annotated[str | None, typer.Option(help="责任部门代码 / code of the department")] = None,
    subject: Annotated[str | None, typer.Option(help="主体标识 / key of the enterprise")] = None,
    as_json: AsJson = False,
) -> None:
    """Clocks, the earliest due first: id, rule, status, due day, subject, target."""
    with _errors():
        found = open_view().find(status=status, rule=rule, department=department, subject=subject)
    if as_json:
        typer.echo(_dump([state_to_value(state) for state in found]))
        return
    for state in found:
        place = (state.subject, state.target or "-")
        typer.echo("\t".join((state.clock_id, state.rule, _status(state), last_day(state), *place)))


@app.command()
def show(clock_id: ClockId, as_json: AsJson = False) -> None:
    """One clock and its history."""
    with _errors():
        state = open_view().get(clock_id)
    if as_json:
        typer.echo(_dump(state_to_value(state)))
        return
    _print_state(state)


@app.command()
def explain(clock_id: ClockId, as_json: AsJson = False) -> None:
    """Why a clock is due when it is: trigger, rule and law, calendar, each day that did not count."""
    with _errors():
        found = open_view().explain(clock_id)
    if as_json:
        typer.echo(_dump(found))
        return
    state = state_from_value(found["clock"])
    _print_state(state)
    rule, calendar = found["rule"], found["calendar"]
    if rule is None:
        typer.echo("规则已不在 topics.yaml 中")
    else:
        typer.echo(f"规则      {rule['title']}：{rule['due']}（版本 {rule['version']}）")
        typer.echo(f"依据      {rule['basis']}\n出处      {rule['source']}")
    if calendar is not None:
        note = "" if found["is_calendar_current"] else f"；本时限按 {state.calendar_version} 计算"
        typer.echo(f"日历      {calendar['title']} {calendar['version']}{note}")
    typer.echo(f"不计入的日子（{len(found['days_off'])}天）")
    for day, reason in found["days_off"]:
        typer.echo(f"  {day}  {reason}")


def _print_state(state: ClockState) -> None:
    target = f" → {state.target}" if state.target else ""
    typer.echo(f"时限      {state.clock_id}\n规则      {state.rule}{target}\n状态      {_status(state)}")
    typer.echo(f"主体      {state.subject}\n责任部门  {state.owner_department or '-'}")
    typer.echo(f"触发事件  {state.trigger_event_id or '-'}\n起算日    {state.counts_from or '-'}")
    typer.echo(f"到期日    {last_day(state)}，24:00 (Asia/Shanghai)" if state.due_at else "到期日    -")
    typer.echo("经过")
    for line in state.history:
        note = f"  {line.note}" if line.note else ""
        typer.echo(f"  {to_plain(line.at)}  {_CHANGES.get(line.change, line.change)}  {line.event_id}{note}")


def _status(state: ClockState) -> str:
    title = _TITLES[state.status]
    return f"{title}（已超期）" if state.is_open and state.breached_at else title


def _dump(value: object) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, indent=2)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(2) from error
    except HubError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(1) from error
