"""``hub subscriptions``: how each department receives. Every change is an event with who and why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import machine_user, on_record
from hub.delivery.gate import MAX_RATE_PER_MINUTE
from hub.delivery.settings import SubscriptionSettings, digest_of, new_key, new_token, shown_url
from hub.delivery.settings_desk import Change, SettingsDesk
from hub.domain.direct import SCRAM, group_of, inbox_of, new_password, user_of
from hub.domain.office_hours import parse_office_hours
from hub.domain.plain import instant_text
from hub.domain.webhook import parse_public, parse_secret
from hub.errors import UsageError
from hub.settings import Settings

app = typer.Typer(help="订阅的传输设置 / how each department receives", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="订阅 / the subscription, as the map names it")]
By = Annotated[str | None, typer.Option("--by", help="操作人 / who asks; otherwise the user of this machine")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")]


def _now() -> datetime:
    return datetime.now(UTC)


def _desk(settings: Settings, publisher: KafkaPublisher) -> SettingsDesk:
    return wiring.settings_desk(settings, wiring.open_catalog(settings), publisher)


def _method_of(settings: Settings, name: str) -> str:
    known = wiring.open_map(settings).subscriptions
    if name not in known:
        raise UsageError(f"There is no subscription {name!r}; there are: {', '.join(known)}.")
    return known[name].delivery


def _describe(
    settings: Settings, name: str, found: SubscriptionSettings | None, method: str,
    direct: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``direct`` is how a department comes in by Kafka, where that is its way."""
    found = found or SubscriptionSettings(name)
    blocked = found.why_blocked(is_pushed=method == "webhook")
    if direct is not None:
        # Nothing is signed on this way, so no key is missed; what it takes is a password.
        is_open = not found.is_paused and direct["has_password"]
        blocked = None if is_open else "paused by a person" if found.is_paused else "no password is set"
    return {
        "subscription": name,
        "delivery": method,
        "state": blocked or "open",
        "kafka": direct,
        "revision": found.revision,
        "url": shown_url(found.url) if found.url else None,
        "folder": str(settings.drop / name) if method == "file" else None,
        "is_verified": found.is_verified,
        "is_paused": found.is_paused,
        "rate_per_minute": found.rate_per_minute,
        "office_hours": found.office_hours,
        "contact": found.contact,
        "keys": [
            {
                "key_id": key.key_id, "kind": key.kind, "public": key.public,
                "created_at": instant_text(key.created_at),
                "retires_at": instant_text(key.retires_at) if key.retires_at else None,
            }
            for key in found.keys
        ],
        "has_token": found.token_digest is not None,
        "receiver_keys": list(found.receiver_keys),
        "changed_by": found.changed_by or None,
        "changed_at": instant_text(found.changed_at) if found.revision else None,
        "reason": found.reason or None,
    }


@app.command("list")
def list_settings(data: Data = None, as_json: AsJson = False) -> None:
    """Every subscription of the map: whether it is open, its address or folder, who changed it last, and its way.
    Exit 1 if one is not open."""
    with errors_as_sentences():
        settings = settings_of(data)
        names = wiring.open_map(settings).subscriptions
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-subscriptions")) as publisher:
            found = _desk(settings, publisher).read()
        direct = wiring.direct_state(settings, wiring.open_map(settings).delivered_by("kafka"))
        shown = [
            _describe(settings, name, found.get(name), entry.delivery, direct.get(name))
            for name, entry in names.items()
        ]
    if as_json:
        print_json(shown)
    else:
        for each in shown:
            where = each["folder"] or each["url"] or ""
            if kafka := each["kafka"]:
                where = f"kafka {kafka['topic']} user {kafka['user']}, {kafka['unacknowledged']} not acknowledged"
            shown_as = (each["subscription"], each["state"], where, each["changed_by"] or "", each["delivery"])
            typer.echo("\t".join(shown_as))
    raise typer.Exit(0 if all(each["state"] == "open" for each in shown) else 1)


@app.command()
def show(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """One subscription's settings and who changed them when. No secret is shown."""
    with errors_as_sentences():
        settings = settings_of(data)
        method = _method_of(settings, name)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-subscriptions")) as publisher:
            desk = _desk(settings, publisher)
            found, history = desk.read().get(name), desk.history(name)
        direct = wiring.direct_state(settings, [name]) if method == "kafka" else {}
    described = _describe(settings, name, found, method, direct.get(name))
    described["history"] = [
        {"revision": each.revision, "changed_at": instant_text(each.changed_at), "changed_by": each.changed_by,
         "reason": each.reason}
        for _, each in history
    ]
    if as_json:
        print_json(described)
        return
    for field, value in {**described, **(described["kafka"] or {})}.items():
        if not isinstance(value, list | dict):
            typer.echo(f"{field}\t{'' if value is None else value}")
    for number, at in (described["kafka"] or {"position": {}})["position"].items():
        typer.echo(f"partition\t{number}\tacknowledged {at['acknowledged'] or 0} of {at['end']}")
    for key in described["keys"]:
        typer.echo(f"key\t{key['kind']}\t{key['public'] or key['key_id']}\t{key['retires_at'] or ''}")
    for line in described["history"]:
        typer.echo("\t".join(("history", *map(str, line.values()))))


@app.command()
def address(
    name: Name, url: Annotated[str, typer.Argument(help="where the department listens, https://…")], reason: Reason,
    by: By = None, data: Data = None, as_json: AsJson = False,
) -> None:
    """Sets where notices go. Whoever listens there is asked first: a challenge is posted and has to come back."""

    def change(settings: Settings) -> Change:
        def apply(current: SubscriptionSettings) -> SubscriptionSettings:
            asyncio.run(wiring.verify_address(settings, current, url))
            return replace(current, url=url, is_verified=True, disabled_reason=None)

        return apply

    _change(name, "address", change, by, reason, data, as_json)


@app.command()
def pause(name: Name, reason: Reason, by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Stops deliveries; the queue stays in the inbox."""
    _change(name, "pause", lambda settings: lambda current: replace(current, is_paused=True), by, reason, data, as_json)


@app.command()
def resume(name: Name, reason: Reason, by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Goes on with deliveries. An endpoint that had said 410 is asked again whether it agrees."""

    def change(settings: Settings) -> Change:
        def apply(current: SubscriptionSettings) -> SubscriptionSettings:
            if current.disabled_reason is not None and current.url is not None:
                asyncio.run(wiring.verify_address(settings, current, current.url))
            return replace(current, is_paused=False, disabled_reason=None)

        return apply

    _change(name, "resume", change, by, reason, data, as_json)


@app.command("set")
def set_limits(
    name: Name,
    reason: Reason,
    rate: Annotated[
        int | None, typer.Option(min=0, max=MAX_RATE_PER_MINUTE, help="most in a minute; 0: no limit")
    ] = None,
    office_hours: Annotated[str | None, typer.Option(help="08:30-12:00,14:30-18:00; empty: at any time")] = None,
    contact: Annotated[str | None, typer.Option(help="whom to call; a desk, not a private number")] = None,
    receiver_key: Annotated[
        list[str] | None, typer.Option(help="whpk_… that the department signs its answers with; again for more")
    ] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Sets rate, office hours, contact or the keys that the department signs its answers with."""
    news: dict[str, Any] = {}
    with errors_as_sentences():
        if rate is not None:
            news["rate_per_minute"] = rate or None
        if office_hours is not None:
            parse_office_hours(office_hours) if office_hours else None
            news["office_hours"] = office_hours or None
        if contact is not None:
            news["contact"] = contact or None
        if receiver_key is not None:
            for text in receiver_key:
                parse_public(text)
            news["receiver_keys"] = tuple(receiver_key)
        if not news:
            raise UsageError("Name at least one of --rate, --office-hours, --contact, --receiver-key.")
    _change(name, "set", lambda settings: lambda current: replace(current, **news), by, reason, data, as_json)


@app.command()
def rotate(
    name: Name,
    reason: Reason,
    kind: Annotated[str, typer.Option(help="ed25519 | hmac")] = "ed25519",
    keep_hours: Annotated[int, typer.Option(min=0, max=24 * 90, help="so long the old keys sign beside it")] = 24,
    secret_file: Annotated[
        Path | None, typer.Option(help="write an hmac secret into this new file instead of printing it")
    ] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes a new signing key, the first one also. Shown is what the department verifies with; an hmac secret once."""
    with errors_as_sentences():
        if kind not in ("ed25519", "hmac"):
            raise UsageError("--kind is ed25519 or hmac.")
        text = new_key("hmac" if kind == "hmac" else "ed25519")
        if secret_file is not None:
            if kind != "hmac":
                raise UsageError("--secret-file is for hmac: the secret of ed25519 never leaves the hub.")
            _write_new(secret_file, text)
    keep = timedelta(hours=keep_hours)

    def change(settings: Settings) -> Change:
        sealed = wiring.vault(settings)
        return lambda current: current.with_key(text, sealed, _now(), keep=keep)

    shown: dict[str, Any] = {"public": parse_secret(text).public} if kind == "ed25519" else {"secret": text}
    if secret_file is not None:
        shown = {"secret_file": str(secret_file)}
    try:
        _change(name, "rotate", change, by, reason, data, as_json, **shown)
    except BaseException:
        if secret_file is not None:  # nothing signs with it
            secret_file.unlink()
        raise


def _write_new(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written as a new file: {error.strerror}.") from error


@app.command()
def token(name: Name, reason: Reason, by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Makes the token by which the department pulls and sees its settings. It is shown once; an older one ends."""
    text = new_token()

    def apply(current: SubscriptionSettings) -> SubscriptionSettings:
        return replace(current, token_digest=digest_of(text))

    _change(name, "token", lambda settings: apply, by, reason, data, as_json, token=text)


@app.command()
def credentials(
    name: Name,
    reason: Reason,
    secret_file: Annotated[
        Path | None, typer.Option(help="write the password into this new file instead of printing it")
    ] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes the password by which the department reads its inbox on Kafka. It is shown once; the one before ends."""
    with errors_as_sentences():
        settings = settings_of(data)
        if _method_of(settings, name) != "kafka":
            raise UsageError(f"{name} is not delivered by Kafka (delivery: kafka in the map).")
        if not reason.strip():
            raise UsageError("A new password needs a --reason.")
    password = new_password()
    if secret_file is not None:
        with errors_as_sentences():
            _write_new(secret_file, password)
    shown = {"password": password} if secret_file is None else {"secret_file": str(secret_file)}
    access = {
        "bootstrap": settings.departments_bootstrap or "", "mechanism": SCRAM, "user": user_of(name),
        "group": group_of(name), "topic": inbox_of(name),
    }
    is_set = False

    def set_it() -> None:
        nonlocal is_set
        wiring.change_password(settings, name, password)
        is_set = True

    try:
        # On record first: no password is ever set of which nobody knows who set it and why.
        why = f"{user_of(name)} gets a new password: {reason}"
        _change(name, "credentials", lambda _: lambda current: current, by, why, data, as_json, then=set_it, **access,
                **shown)
    except BaseException:
        if secret_file is not None and not is_set:  # nothing opens with it
            secret_file.unlink()
        raise


def _change(
    name: str, what: str, make: Callable[[Settings], Change], by: str | None, reason: str, data: Any, as_json: bool,
    then: Callable[[], object] = lambda: None, **shown: str,
) -> None:
    """Puts a change into force, does what belongs to it on the cluster, and shows what came of it."""
    with errors_as_sentences():
        settings = settings_of(data)
        method = _method_of(settings, name)
        with (
            on_record(settings, f"subscriptions.{what}", name, reason, by=by),
            closing(KafkaPublisher(settings.bootstrap, client_id="hub-subscriptions")) as publisher,
        ):
            changed = _desk(settings, publisher).change(name, make(settings), by=by or machine_user(), reason=reason)
            then()
        direct = wiring.direct_state(settings, [name]) if method == "kafka" else {}
    described = _describe(settings, name, changed, method, direct.get(name))
    if as_json:
        print_json({**described, **shown})
        return
    typer.echo(f"{name}\t{described['state']}\trevision {changed.revision}")
    for field, value in shown.items():
        typer.echo(f"{field}\t{value}")
