"""``hub sources``: who hands in by HTTP, and by which keys. Every change is an event with who and why."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.cli import sources_guard
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import machine_user, on_record
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.intake.http_sources import HttpSource
from hub.intake.source_keys import SourceKeys, new_key
from hub.intake.source_keys_desk import Change
from hub.settings import Settings

app = typer.Typer(help="来源：状态、日清单、接口密钥 / sources: how they are, manifests, keys", no_args_is_help=True)
app.command("status")(sources_guard.status)
app.command("conflicts")(sources_guard.conflicts)
app.add_typer(sources_guard.manifests, name="manifest")

Name = Annotated[str, typer.Argument(metavar="NAME", help="来源名称 / name of the source")]
By = Annotated[str | None, typer.Option("--by", help="操作人 / who asks; otherwise the user of this machine")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")]


def _now() -> datetime:
    return datetime.now(UTC)


def _source(settings: Settings, name: str) -> HttpSource:
    sources = wiring.http_sources(settings, wiring.open_map(settings))
    if name not in sources:
        known = ", ".join(sources) or "none"
        raise UsageError(f"There is no source {name!r} with `connector: http`; there are: {known}.")
    return sources[name]


def _described(name: str, source: HttpSource | None, found: SourceKeys | None) -> dict[str, Any]:
    found, now = found or SourceKeys(name), _now()
    keys = [
        {
            "key_id": key.key_id, "department_code": key.department_code, "region_code": key.region_code,
            "events": list(key.events), "created_at": instant_text(key.created_at),
            "retires_at": instant_text(key.retires_at) if key.retires_at else None,
            "opens": key.opens_at(now) and source is not None and key.fits(source),
        }
        for key in found.keys
    ]
    return {
        "source": name,
        "department_name": source.department_name if source else None,
        "events": list(source.events) if source else [],
        "keys": keys,
        "is_open": any(key["opens"] for key in keys),
        "revision": found.revision,
        "changed_by": found.changed_by or None,
        "changed_at": instant_text(found.changed_at) if found.revision else None,
        "reason": found.reason or None,
    }


@app.command("list")
def list_sources(data: Data = None, as_json: AsJson = False) -> None:
    """Every source that hands in by HTTP: department, whether a key opens, events, who changed the keys last.
    Exit 1 if a source has no key, or a key has no source."""
    with errors_as_sentences():
        settings = settings_of(data)
        sources = wiring.http_sources(settings, wiring.open_map(settings))
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-sources")) as publisher:
            keys = wiring.keys_desk(settings, wiring.open_catalog(settings), publisher).read()
    names = [*sources, *(name for name, each in keys.items() if name not in sources and each.keys)]
    shown = [_described(name, sources.get(name), keys.get(name)) for name in names]
    if as_json:
        print_json(shown)
    else:
        for each in shown:
            state = "open" if each["is_open"] else "no key" if each["department_name"] else "not in sources.yaml"
            typer.echo("\t".join((
                each["source"], state, each["department_name"] or "", ",".join(each["events"]),
                each["changed_by"] or "",
            )))
    raise typer.Exit(0 if all(each["is_open"] for each in shown) else 1)


@app.command()
def show(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """One source's keys and who changed them when. No key is shown."""
    with errors_as_sentences():
        settings = settings_of(data)
        source = wiring.http_sources(settings, wiring.open_map(settings)).get(name)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-sources")) as publisher:
            history = [
                keys for _, keys in wiring.keys_desk(settings, wiring.open_catalog(settings), publisher).history()
                if keys.source == name
            ]
        if source is None and not history:
            raise UsageError(f"There is no source {name!r} that hands in by HTTP.")
    described = _described(name, source, history[-1] if history else None)
    described["history"] = [
        {"revision": each.revision, "changed_at": instant_text(each.changed_at), "changed_by": each.changed_by,
         "reason": each.reason}
        for each in history
    ]
    if as_json:
        print_json(described)
        return
    typer.echo(f"{name}\t{'open' if described['is_open'] else 'no key'}\trevision {described['revision']}")
    for key in described["keys"]:
        typer.echo(f"key\t{key['key_id']}\t{','.join(key['events'])}\t{key['retires_at'] or ''}")
    for line in described["history"]:
        typer.echo("\t".join(("history", *map(str, line.values()))))


@app.command()
def key(
    name: Name,
    reason: Reason,
    keep_hours: Annotated[
        int, typer.Option(min=0, max=24 * 90, help="旧密钥继续有效的小时数 / so long the keys before it open beside it")
    ] = 24,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes a key of the source, the first one also. It is shown once; those before it open for --keep-hours more."""
    text = new_key()

    def change(source: HttpSource) -> Change:
        return lambda current: current.with_key(text, source, _now(), keep=timedelta(hours=keep_hours))

    with errors_as_sentences():
        settings = settings_of(data)
        source = _source(settings, name)
        _change(settings, name, source, change(source), by, reason, as_json, text, kind="sources.key")


@app.command()
def revoke(
    name: Name,
    reason: Reason,
    key_id: Annotated[str | None, typer.Option("--key-id", help="只停用这一个 / this key alone; otherwise all")] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Ends a key, or all keys of the source; also of one that does not stand in sources.yaml any more."""
    with errors_as_sentences():
        settings = settings_of(data)
        source = wiring.http_sources(settings, wiring.open_map(settings)).get(name)
        _change(
            settings, name, source, lambda current: current.without(key_id), by, reason, as_json, kind="sources.revoke"
        )


def _change(
    settings: Settings, name: str, source: HttpSource | None, change: Change, by: str | None, reason: str,
    as_json: bool, text: str | None = None, *, kind: str,
) -> None:
    with (
        on_record(settings, kind, name, reason, by=by),
        closing(KafkaPublisher(settings.bootstrap, client_id="hub-sources")) as publisher,
    ):
        desk = wiring.keys_desk(settings, wiring.open_catalog(settings), publisher)
        changed = desk.change(name, change, by=by or machine_user(), reason=reason)
    described = _described(name, source, changed) | ({"key": text} if text else {})
    if as_json:
        print_json(described)
        return
    typer.echo(f"{name}\t{'open' if described['is_open'] else 'no key'}\trevision {changed.revision}")
    if text:
        typer.echo(f"key\t{text}")
