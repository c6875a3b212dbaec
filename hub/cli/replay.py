"""``hub replay``: the notices of a time range once more, to one subscription."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, moment_of, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.delivery.replay_desk import Plan, Range
from hub.domain.plain import instant_text
from hub.errors import UsageError


def replay(
    subscription: Annotated[str | None, typer.Option(help="订阅 / the one that gets them again")] = None,
    since: Annotated[str | None, typer.Option("--from", help="起 / notices from this day or moment on")] = None,
    until: Annotated[str | None, typer.Option("--to", help="止 / notices before this day or moment")] = None,
    event_type: Annotated[list[str] | None, typer.Option(help="事件类型 / of this type; again for more")] = None,
    with_superseded: Annotated[
        bool, typer.Option("--with-superseded", help="包括已被取代的版本 / also versions that a later one replaced")
    ] = False,
    request: Annotated[str | None, typer.Option(metavar="ID", help="执行已批准的申请 / what was approved")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只预览 / shows what would be sent")] = False,
    reason: Annotated[str, typer.Option(help="原因 / why; it stays on record")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """重发通知 / sends notices again, marked as replayed. A second person approves first: the command asks (exit 1),
    and with --request it does what was approved (exit 0)."""
    with errors_as_sentences():
        settings = settings_of(data)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-replay")) as publisher:
            replays = wiring.replays(settings, publisher)
            if request is not None:
                if subscription or since or until or event_type or with_superseded or dry_run:
                    raise UsageError("--request says by itself what is sent again: name nothing else.")
                with wiring.open_acts(settings) as acts:
                    asked = acts.find(request)
                plan = replays.carry_out(asked, this_actor())
                _print(plan, asked.asked.request_id, as_json)
                return
            if subscription is None or since is None or until is None:
                raise UsageError("Name --subscription, --from and --to; or --request.")
            wanted = _range(since, until, event_type or [], with_superseded)
            plan = replays.plan(subscription, wanted)
            if dry_run:
                _print(plan, None, as_json)
                return
            if not reason.strip():
                raise UsageError("--reason must say why.")
            request_id = replays.ask(plan, wanted, this_actor(), reason).asked.request_id
    _print(plan, request_id, as_json)
    if not as_json:
        typer.echo(f"等待另一人批准 / another person has to approve: hub acts approve {request_id} --reason WHY")
        typer.echo(f"批准后 / then: hub replay --request {request_id}")
    raise typer.Exit(1)


def _range(since: str, until: str, event_types: list[str], with_superseded: bool) -> Range:
    first, last = moment_of(since), moment_of(until)
    assert first is not None and last is not None
    # What comes after it was asked for nobody has looked at.
    return Range(first, min(last, datetime.now(UTC)), tuple(event_types), with_superseded)


def _print(plan: Plan, request_id: str | None, as_json: bool) -> None:
    counts: dict[str, Any] = {
        "count": plan.count, "superseded": plan.superseded, "under_way": plan.under_way,
        "unreadable": plan.unreadable, "done_before": plan.done,
    }
    if as_json:
        print_json({
            "subscription": plan.subscription, "request": request_id, **counts, "by_type": dict(plan.by_type),
            "oldest": plan.oldest, "newest": plan.newest,
        })  # fmt: skip
        return
    typer.echo(f"{plan.subscription}\t重发 / again: {plan.count}" + (f"\t{request_id}" if request_id else ""))
    if plan.oldest is not None and plan.newest is not None:
        typer.echo(f"  {instant_text(plan.oldest)} … {instant_text(plan.newest)}")
    for name, count in plan.by_type.items():
        typer.echo(f"  {name}\t{count}")
    for words, count in (
        ("已被取代，不发 / superseded, left out", plan.superseded),
        ("尚在送达，不发 / on their way anyway", plan.under_way),
        ("无法读取 / cannot be read", plan.unreadable),
        ("此前已写入 / put there before", plan.done),
    ):
        if count:
            typer.echo(f"  {words}\t{count}")
