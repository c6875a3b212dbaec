"""``hub acts``: what people did with the hub, and what waits for a second person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, cast, get_args

import typer

from hub import wiring
from hub.cli.common import AsJson, Data, errors_as_sentences, moment_of, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.domain.acts import APPROVAL_TERM, Act, Request, State, status_of
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.ops.acts import Filter

app = typer.Typer(help="操作留痕与双人复核 / acts on record, and the second person", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="申请编号或其开头 / id of the request, or its beginning")]
Why = Annotated[str, typer.Option("--reason", help="理由 / why; it stays on record")]


@app.command("list")
def list_acts(
    who: Annotated[str | None, typer.Option(help="操作人 / who took any step of it")] = None,
    kind: Annotated[str | None, typer.Option(help="操作 / kind or its beginning, e.g. dead-letter")] = None,
    target: Annotated[str | None, typer.Option(help="对象 / target or its beginning")] = None,
    state: Annotated[str | None, typer.Option(help="状态 / asked, approved, refused, done or failed")] = None,
    since: Annotated[str | None, typer.Option(help="起 / from this day or moment on")] = None,
    until: Annotated[str | None, typer.Option(help="止 / before this day or moment")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Acts in the order in which they were asked. Exit 1 if one of them waits for a second person."""
    with errors_as_sentences():
        if state not in (None, *get_args(State)):
            raise UsageError(f"--state is one of {', '.join(get_args(State))}, not {state!r}.")
        wanted = Filter(
            moment_of(since), moment_of(until), who, kind, target, cast(State | None, state),
        )
        with wiring.open_acts(settings_of(data)) as desk:
            found = desk.read(wanted)
    now = datetime.now(UTC)
    if as_json:
        print_json([_plain(request, now) for request in found])
    else:
        for request in found:
            asked = request.asked
            second = request.approved_by or ("?" if request.waits(now) else "")
            typer.echo("\t".join((
                asked.request_id, instant_text(asked.at), asked.actor, asked.kind, asked.target,
                status_of(request, now), second, asked.reason,
            )))
    raise typer.Exit(1 if any(request.waits(now) for request in found) else 0)


@app.command()
def show(id_: Id, data: Data = None, as_json: AsJson = False) -> None:
    """One request: what was asked, every step with who and why, and what came of it."""
    with errors_as_sentences(), wiring.open_acts(settings_of(data)) as desk:
        request = desk.find(id_)
    now = datetime.now(UTC)
    if as_json:
        print_json(_plain(request, now))
        return
    asked = request.asked
    typer.echo(f"{asked.request_id}\t{asked.kind}\t{asked.target}\t{status_of(request, now)}")
    for name, value in asked.details:
        typer.echo(f"{name}\t{value}")
    for step in request.steps:
        typer.echo("\t".join((
            step.state, instant_text(step.at), step.actor, step.way, step.reason, step.outcome or "",
        )))
    for step, why in request.passed_over:
        typer.echo("\t".join(("未计入 / does not count", step.state, instant_text(step.at), step.actor, why)))
    if request.waits(now):
        typer.echo(f"等待另一人批准，至 / waits for another person until {instant_text(asked.at + APPROVAL_TERM)}")


@app.command()
def approve(id_: Id, reason: Why, data: Data = None, as_json: AsJson = False) -> None:
    """Approves what another person asked. It is then carried out by the command that asked, with --request ID."""
    with errors_as_sentences(), wiring.open_acts(settings_of(data)) as desk:
        request = desk.approve(id_, this_actor(), reason)
    _said(request, as_json)


@app.command()
def refuse(id_: Id, reason: Why, data: Data = None, as_json: AsJson = False) -> None:
    """Refuses what was asked; whoever asked may take it back so."""
    with errors_as_sentences(), wiring.open_acts(settings_of(data)) as desk:
        request = desk.refuse(id_, this_actor(), reason)
    _said(request, as_json)


def _said(request: Request, as_json: bool) -> None:
    if as_json:
        print_json(_plain(request, datetime.now(UTC)))
    else:
        typer.echo(f"{request.asked.request_id}\t{request.state}")


def _plain(request: Request, now: datetime) -> dict[str, Any]:
    asked = request.asked
    return {
        "request_id": asked.request_id, "kind": asked.kind, "target": asked.target, "asked_by": asked.actor,
        "asked_at": asked.at, "reason": asked.reason, "details": [list(detail) for detail in asked.details],
        "needs_second": asked.needs_second, "status": status_of(request, now), "approved_by": request.approved_by,
        "steps": [_step(step) for step in request.steps],
        "passed_over": [{**_step(step), "why": why} for step, why in request.passed_over],
    }


def _step(step: Act) -> dict[str, Any]:
    names = ("act_id", "state", "actor", "department", "role", "way", "at", "reason", "outcome")
    return {name: getattr(step, name) for name in names}
