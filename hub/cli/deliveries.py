"""``hub deliveries``: notices that wait apart from their inbox, and what a person does about them."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import machine_user, on_record
from hub.delivery.alerts import ALERTS_TOPIC, open_alerts
from hub.delivery.commands import Command, write_command
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.waits import Waiting
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.settings import Settings

app = typer.Typer(help="送达中的通知 / notices on their way that wait", no_args_is_help=True)

Subscription = Annotated[str | None, typer.Option(help="订阅 / of this subscription alone")]
By = Annotated[str | None, typer.Option("--by", help="操作人 / who asks; otherwise the user of this machine")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")]
NoticeId = Annotated[str | None, typer.Argument(help="notice id, as `list` prints it")]


def _find(settings: Settings, subscription: str | None) -> list[Waiting]:
    known = wiring.open_map(settings).subscriptions
    if subscription is not None and subscription not in known:
        raise UsageError(f"There is no subscription {subscription!r}; there are: {', '.join(known)}.")
    return [each for each in wiring.waiting_notices(settings) if subscription in (None, each.subscription)]


def _describe(waiting: Waiting) -> dict[str, Any]:
    wait = waiting.wait
    return {
        "notice_id": waiting.notice_id,
        "subscription": waiting.subscription,
        "state": wait.state,
        "attempts": wait.attempts,
        "next_attempt_at": instant_text(wait.next_attempt_at) if wait.next_attempt_at else None,
        "deliver_by": instant_text(waiting.deliver_by) if waiting.deliver_by else None,
        "reason": wait.reason,
        "place": f"{waiting.record.topic}:{waiting.record.partition}:{waiting.record.offset}",
    }


@app.command("list")
def list_waiting(subscription: Subscription = None, data: Data = None, as_json: AsJson = False) -> None:
    """Every notice that waits, in the order of its inbox. Exit 1 if one waits for a person (parked)."""
    with errors_as_sentences():
        found = [_describe(each) for each in _find(settings_of(data), subscription)]
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("没有搁置的通知 / nothing waits")
    else:
        for each in found:
            names = ("notice_id", "subscription", "state", "attempts", "next_attempt_at", "deliver_by", "reason")
            typer.echo("\t".join(str(each[name] or "") for name in names))
        counts = Counter(each["state"] for each in found)
        typer.echo("\t".join(f"{state} {count}" for state, count in sorted(counts.items())))
    raise typer.Exit(1 if any(each["state"] == "parked" for each in found) else 0)


@app.command("alerts")
def list_alerts(data: Data = None, as_json: AsJson = False) -> None:
    """Notices that have not arrived while their period of law ends. Exit 1 if there is one."""
    with errors_as_sentences():
        settings = settings_of(data)
        records = read_topics(settings.bootstrap, [ALERTS_TOPIC, RECEIPTS_TOPIC])
        found = open_alerts(records, wiring.open_catalog(settings))
    if as_json:
        print_json([dict(each) for each in found])
    elif not found:
        typer.echo("没有临期未送达的通知 / no notice is about to be late")
    else:
        for each in found:
            said = (
                instant_text(each["deliver_by"]), each["subscription"], each["notice_id"], each["kind"],
                str(each["attempts"]), each["reason"], each["contact"] or "",
            )
            typer.echo("\t".join(said))
    raise typer.Exit(1 if found else 0)


@app.command()
def release(
    reason: Reason,
    notice_id: NoticeId = None,
    subscription: Subscription = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Tries one notice again now, and those behind it; or all that wait for a subscription."""
    _give("release", notice_id, subscription, by, reason, data, as_json)


@app.command()
def drop(
    notice_id: Annotated[str, typer.Argument(help="notice id, as `list` prints it")],
    reason: Reason,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Gives one notice up for good: it ends as dropped, with who and why, and those behind it go on."""
    _give("drop", notice_id, None, by, reason, data, as_json)


def _give(
    kind: Literal["release", "drop"], notice_id: str | None, subscription: str | None, by: str | None, reason: str,
    data: Any, as_json: bool,
) -> None:
    with errors_as_sentences():
        settings = settings_of(data)
        if (notice_id is None) == (subscription is None):
            raise UsageError("Name either one notice or --subscription.")
        if not reason.strip():
            raise UsageError("--reason must say why.")
        found = [each for each in _find(settings, subscription) if notice_id in (None, each.notice_id)]
        if not found:
            raise UsageError(f"Nothing waits under {notice_id or subscription}; see `hub deliveries list`.")
        name = found[0].subscription
        asked = Command(kind, name, notice_id, by or machine_user(), reason.strip(), datetime.now(UTC))
        partitions = sorted({each.record.partition for each in found})
        details = [("subscription", name), ("notices", str(len(found)))]
        with (
            on_record(settings, f"delivery.{kind}", notice_id or name, asked.reason, by=by, details=details),
            closing(KafkaPublisher(settings.bootstrap, client_id="hub-deliveries")) as publisher,
        ):
            publisher.publish(write_command(asked, partitions, wiring.open_catalog(settings)))
    if as_json:
        print_json({"kind": kind, "subscription": name, "notices": len(found)})
    else:
        typer.echo(f"{name}: {kind} asked for {len(found)}")
