"""``hub connect held``: what waits for a person because it would take back or change too much, or is not what
its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import AsJson, errors_as_sentences, print_json, settings_of
from hub.errors import UsageError

if TYPE_CHECKING:
    from hub.intake.held import HeldPortions, Verdict

app = typer.Typer(help="暂扣的批次 / portions that wait for a person", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="来源名称 / name of the source")]
Id = Annotated[str, typer.Argument(metavar="ID", help="编号 / id, as `list` shows it")]
By = Annotated[str, typer.Option("--by", help="决定人 / who decides")]
Reason = Annotated[str, typer.Option("--reason", help="理由 / why")]


def _held(name: str) -> HeldPortions:
    from hub.intake.build import held_portions
    from hub.intake.sources import load_sources

    settings = settings_of()
    sources = load_sources(settings.sources)
    if name not in sources:
        raise UsageError(f"There is no source {name!r}; there are: {', '.join(sources) or 'none'}.")
    return held_portions(settings.data, name)


@app.command("list")
def list_held(name: Name, as_json: AsJson = False) -> None:
    """What a source holds, and why. Exit 1 if it holds anything."""
    with errors_as_sentences():
        found = _held(name).all()
    if as_json:
        print_json([held._asdict() for held in found])
    for held in () if as_json else found:
        state = held.verdict or "待决定 / waits"
        typer.echo("\t".join((held.id, held.held_at, held.name, state, "；".join(held.reasons))))
    if not found and not as_json:
        typer.echo(f"{name}: 没有暂扣的批次 / nothing is held")
    raise typer.Exit(1 if any(held.verdict is None for held in found) else 0)


@app.command("show")
def show(name: Name, id_: Id, as_json: AsJson = False) -> None:
    """Counts, reasons, and the first rows that would be taken back, personal data masked."""
    with errors_as_sentences():
        portions = _held(name)
        held = portions.find(id_) if id_.isalnum() else None
        if held is None:
            raise UsageError(f"{name} holds no {id_!r}.")
    if as_json:
        print_json(held._asdict())
        return
    typer.echo(f"{held.id}  {held.name}  {held.verdict or '待决定 / waits for a decision'}")
    for reason in held.reasons:
        typer.echo(f"  {reason}")
    typer.echo("  " + ", ".join(f"{what} {count:,}" for what, count in held.counts.items()))
    for row in held.preview:
        typer.echo(f"  - {row}")


@app.command("release")
def release(name: Name, id_: Id, by: By, reason: Reason) -> None:
    """Lets it through, once. What it takes back is taken back."""
    with errors_as_sentences():
        _decide(name, id_, "released", by, reason)
    typer.echo(f"{id_}: 已放行 / released; the intake takes it up by itself")


@app.command("discard")
def discard(name: Name, id_: Id, by: By, reason: Reason) -> None:
    """Drops it; the table is read anew and judged again."""
    with errors_as_sentences():
        _decide(name, id_, "discarded", by, reason)
    typer.echo(f"{id_}: 已丢弃 / discarded; the table is read anew")


def _decide(name: str, id_: str, verdict: Verdict, by: str, reason: str) -> None:
    from hub.cli.on_record import on_record  # it brings the wiring, which `list` does not need

    held = _held(name)
    if not by.strip() or not reason.strip():
        raise UsageError("A decision needs who decides and why.")
    kind = "sources.held-release" if verdict == "released" else "sources.held-discard"
    with on_record(settings_of(), kind, f"{name}/{id_}", reason, by=by):
        held.decide(id_, verdict, by=by, reason=reason)
