"""``hub clocks``: which deadlines run, and why each is due when it is."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli import clocks_common as common
from hub.cli import clocks_report
from hub.cli.clocks_explain import explanation
from hub.clocks.view import last_day
from hub.clocks.wire import state_to_value
from hub.domain.clocks import ClockState, Status
from hub.domain.plain import to_plain

app = typer.Typer(help="法定时限 / statutory clocks", no_args_is_help=True)
app.add_typer(clocks_report.app)



@app.command("list")
def list_clocks(
    status: Annotated[Status | None, typer.Option(help="状态")] = None,
    rule: Annotated[str | None, typer.Option(help="规则 / rule of the map")] = None,
    department: Annotated[str | None, typer.Option(help="责任部门代码 / code of the department")] = None,
    subject: Annotated[str | None, typer.Option(help="主体标识 / key of the enterprise")] = None,
    as_json: common.AsJson = False,
) -> None:
    """Clocks, the earliest due first: id, rule, status, due day, subject, target."""
    with common.errors():
        found = common.open_view().find(status=status, rule=rule, department=department, subject=subject)
    if as_json:
        typer.echo(common.dump([state_to_value(state) for state in found]))
        return
    for state in found:
        place = (state.subject, state.target or "-")
        typer.echo("\t".join((state.clock_id, state.rule, common.status_word(state), last_day(state), *place)))


@app.command()
def show(clock_id: common.ClockId, as_json: common.AsJson = False) -> None:
    """One clock and its history."""
    with common.errors():
        state = common.open_view().get(clock_id)
    if as_json:
        typer.echo(common.dump(state_to_value(state)))
        return
    _print_state(state)


@app.command()
def explain(clock_id: common.ClockId, as_json: common.AsJson = False) -> None:
    """Why a clock is due when it is: trigger, rule and law, calendar, each day that did not count."""
    with common.errors():
        found = common.open_view().explain(clock_id)
    typer.echo(common.dump(found) if as_json else explanation(found))


def _print_state(state: ClockState) -> None:
    target = f" → {state.target}" if state.target else ""
    typer.echo(f"时限      {state.clock_id}\n规则      {state.rule}{target}\n状态      {common.status_word(state)}")
    typer.echo(f"主体      {state.subject}\n责任部门  {state.owner_department or '-'}")
    typer.echo(f"触发事件  {state.trigger_event_id or '-'}\n起算日    {state.counts_from or '-'}")
    typer.echo(f"到期日    {last_day(state)}，24:00 (Asia/Shanghai)" if state.due_at else "到期日    -")
    typer.echo("经过")
    for line in state.history:
        note = f"  {line.note}" if line.note else ""
        typer.echo(f"  {to_plain(line.at)}  {common.CHANGES.get(line.change, line.change)}  {line.event_id}{note}")
