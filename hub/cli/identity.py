"""``hub identity``: the register of enterprises, and rows that wait until a person says whose they are."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import machine_user, on_record
from hub.domain.matching import Match, Party
from hub.domain.plain import instant_text
from hub.intake.identity.desk import IdentityDesk
from hub.intake.identity.load import load_register
from hub.intake.identity.register_log import read_register
from hub.intake.identity.waits import Decision, Wait
from hub.settings import Settings

app = typer.Typer(help="主体识别 / whose a row is: the register, and what a person decides", no_args_is_help=True)
waiting = typer.Typer(help="待人工确认的行 / rows that wait for a person", no_args_is_help=True)
app.add_typer(waiting, name="waiting")

WaitId = Annotated[str, typer.Argument(metavar="ID", help="编号或其开头 / id of the row, or its beginning")]
By = Annotated[str | None, typer.Option("--by", help="决定人 / who decides; otherwise the user of this machine")]
Reason = Annotated[str, typer.Option("--reason", help="理由 / why; it stays on record")]


def _now() -> datetime:
    return datetime.now(UTC)


@app.command()
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="名录 / the register, CSV in UTF-8 or GB18030")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Loads the register of enterprises from a file. Entries that are the same are passed over, those that are not
    in the file stay. Exit 1 if a row was wrong; the others are loaded all the same."""
    with errors_as_sentences():
        settings = settings_of(data)
        catalog = wiring.open_catalog(settings)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-identity")) as publisher:
            done = load_register(file, settings.bootstrap, catalog, publisher, _now())
    if as_json:
        print_json({
            "loaded": done.loaded, "unchanged": done.unchanged, "total": done.total,
            "faults": [fault._asdict() for fault in done.faults],
        })
    else:
        for fault in done.faults:
            typer.echo(f"{file.name}\t第{fault.row}行\t{fault.column}\t{fault.problem}\t{fault.remedy}", err=True)
        typer.echo(f"loaded {done.loaded}, unchanged {done.unchanged}, faults {len(done.faults)}, total {done.total}")
    raise typer.Exit(1 if done.faults else 0)


@app.command()
def ask(
    name: Annotated[str, typer.Argument(metavar="NAME", help="名称 / name as a row would have it")],
    code: Annotated[str | None, typer.Option(help="代码 / code as it is written")] = None,
    region: Annotated[str | None, typer.Option(help="行政区划代码 / region, six digits")] = None,
    person: Annotated[str | None, typer.Option(help="法定代表人 / legal representative")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Asks the register whose a row would be, and shows the evidence. Exit 1 unless it is certain."""
    with errors_as_sentences():
        settings = settings_of(data)
        register = read_register(settings.bootstrap, wiring.open_catalog(settings))
    found = register.match(Party(name, code, None, region, person))
    if as_json:
        print_json(_answer(found))
    else:
        typer.echo(f"{found.verdict}\t{found.reason}")
        for each in found.candidates:
            enterprise = each.enterprise
            typer.echo(f"{each.points / 100:.2f}\t{enterprise.uscc}\t{enterprise.name}\t{each.explanation()}")
    raise typer.Exit(0 if found.verdict == "match" else 1)


def _answer(found: Match) -> dict[str, Any]:
    return {
        "verdict": found.verdict, "reason": found.reason,
        "candidates": [
            {"uscc": each.enterprise.uscc, "name": each.enterprise.name, "points": each.points,
             "evidence": [piece._asdict() for piece in each.evidence]}
            for each in found.candidates
        ],
    }


def _desk(settings: Settings, publisher: KafkaPublisher) -> IdentityDesk:
    return IdentityDesk(settings.bootstrap, wiring.open_catalog(settings), publisher, _now)


def _described(wait: Wait, decision: Decision | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: getattr(wait, name) for name in (
            "wait_id", "state", "source", "topic", "version", "event_id", "event_type", "party_name", "given_code",
            "region_code", "reason", "file", "sheet", "row", "since", "changed_at", "uscc", "decided_by",
            "decision_reason",
        )
    }  # fmt: skip
    shown["candidates"] = [offer._asdict() for offer in wait.candidates]
    shown["decision"] = decision and {"verdict": decision.verdict, "uscc": decision.uscc, "by": decision.decided_by}
    return shown


@waiting.command("list")
def list_waits(
    everything: Annotated[bool, typer.Option("--all", help="包括已处理的 / also those that are over")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Rows that wait, the oldest first, each with its likeliest enterprise. Exit 1 if one waits for a person."""
    with errors_as_sentences():
        settings = settings_of(data)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-identity")) as publisher:
            waits, made = _desk(settings, publisher).waits()
    shown = [wait for wait in waits if everything or wait.state == "waiting"]
    if as_json:
        print_json([_described(wait, made.get(wait.wait_id)) for wait in shown])
    else:
        for wait in shown:
            decision = made.get(wait.wait_id)
            state = f"decided by {decision.decided_by}" if decision else wait.state
            likeliest = wait.candidates[0] if wait.candidates else None
            offer = f"{likeliest.points / 100:.2f} {likeliest.uscc} {likeliest.name}" if likeliest else ""
            typer.echo("\t".join((
                wait.wait_id, state, instant_text(wait.since), wait.source, wait.party_name, wait.given_code or "",
                offer,
            )))
    is_open = any(wait.state == "waiting" and wait.wait_id not in made for wait in waits)
    raise typer.Exit(1 if is_open else 0)


@waiting.command()
def show(wait: WaitId, data: Data = None, as_json: AsJson = False) -> None:
    """One row: what it says, who may be meant, and the evidence for each."""
    with errors_as_sentences():
        settings = settings_of(data)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-identity")) as publisher:
            desk = _desk(settings, publisher)
            found = desk.find(wait)
            decision = desk.waits()[1].get(found.wait_id)
    shown = _described(found, decision)
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        if name not in ("candidates", "decision") and value is not None:
            typer.echo(f"{name}\t{instant_text(value) if isinstance(value, datetime) else value}")
    for offer in found.candidates:
        typer.echo(f"candidate\t{offer.points / 100:.2f}\t{offer.uscc}\t{offer.name}\t{offer.explanation}")


@waiting.command()
def match(
    wait: WaitId,
    code: Annotated[str, typer.Argument(metavar="CODE", help="统一社会信用代码 / code of whoever is meant")],
    reason: Reason,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Says which enterprise is meant. Intake then publishes the event under it, within seconds while it runs."""
    _decide(wait, code, by, reason, data, as_json)


@waiting.command()
def reject(wait: WaitId, reason: Reason, by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Says that nobody can tell who is meant: the row goes back to its sender."""
    _decide(wait, None, by, reason, data, as_json)


def _decide(wait: str, code: str | None, by: str | None, reason: str, data: Path | None, as_json: bool) -> None:
    with errors_as_sentences():
        settings = settings_of(data)
        kind, details = ("identity.reject", []) if code is None else ("identity.match", [("code", code)])
        with (
            on_record(settings, kind, wait, reason, by=by, details=details),
            closing(KafkaPublisher(settings.bootstrap, client_id="hub-identity")) as publisher,
        ):
            decision = _desk(settings, publisher).decide(wait, code, by=by or machine_user(), reason=reason)
    shown = {name: getattr(decision, name) for name in decision.__slots__}
    if as_json:
        print_json(shown)
    else:
        typer.echo(f"{decision.wait_id}\t{decision.verdict}\t{decision.uscc or ''}\t{decision.decision_id}")
