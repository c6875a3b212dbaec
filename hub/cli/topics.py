"""``hub topics``: the map against the live cluster."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hub import wiring
from hub.bus.access import AccessChange
from hub.bus.reader import read_topics
from hub.bus.topics import Change
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import machine_user
from hub.contracts.map import HubMap
from hub.domain.plain import instant_text
from hub.errors import HubError
from hub.ops.holdings import HOLDINGS, holders_of
from hub.ops.map_log import changes_of
from hub.settings import Settings

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
app = typer.Typer(help="主题地图 / the map of topics", no_args_is_help=True)


@app.command("plan")
def plan_topics(data: Data = None, as_json: AsJson = False) -> None:
    """What `apply` would change: topics, and the rights of departments that read Kafka themselves.

    Exit 0 if nothing differs, 1 if something does: a right that the map does not give is a difference too.
    """
    with errors_as_sentences():
        settings = settings_of(data)
        changes, access = wiring.plan_cluster(settings, wiring.open_map(settings))
        gone = _warn_of_holders(settings)
    _print([*changes, *access], as_json, "The cluster is as the map says.")
    raise typer.Exit(1 if gone or access or any(change.kind != "unknown" for change in changes) else 0)


@app.command("apply")
def apply_topics(
    allow: Annotated[
        list[str] | None, typer.Option(help="允许对该主题做不安全的更改 / a topic whose unsafe change is meant")
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option(help="收回该用户在地图之外的权限 / a user who keeps only what the map gives")
    ] = None,
    reason: Annotated[
        str, typer.Option(help="主题图为何变更，记入版本记录 / why the map was changed, for its record of versions")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes the cluster as the map says. Never deletes; refuses what would lose data or move keys.

    Takes no right away either, unless its user is named with --revoke. Puts the version of the map on record, with
    who and why.
    """
    with errors_as_sentences():
        settings = settings_of(data)
        hub_map = wiring.open_map(settings)
        changes, access = wiring.apply_cluster(settings, hub_map, allow or (), revoke or ())
        _warn_of_holders(settings)
        _note(settings, hub_map, reason.strip())
    _print([*changes, *access], as_json, "Nothing to change.", are_made=True)


@app.command("history")
def history(data: Data = None, as_json: AsJson = False) -> None:
    """Every version of the map that was in use, the latest first: who, when, why, and what it changed."""
    with errors_as_sentences():
        with wiring.open_map_log(settings_of(data)) as found:
            versions = found.read()
        shown = [(each, changes_of(versions, each.number)) for each in reversed(versions)]
    if as_json:
        print_json([
            {**{name: value for name, value in each._asdict().items() if name != "content"},
             "changes": [{**change._asdict(), "fields": [field._asdict() for field in change.fields]}
                         for change in changes]}
            for each, changes in shown
        ])  # fmt: skip
        return
    for each, changes in shown:
        typer.echo(f"{each.version}\t{instant_text(each.noted_at)}\t{each.noted_by}\t{each.reason}")
        for change in changes:
            typer.echo(f"  {_MARKS[change.kind]} {change.section} {change.name}  {change.title}".rstrip())
            for name, before, after in change.fields:
                typer.echo(f"      {name}: {before or '—'} → {after or '—'}")


@app.command("check")
def check_map(as_json: AsJson = False) -> None:
    """Reads the map and says all that is wrong with it, with lines; no cluster is needed."""
    with errors_as_sentences():
        hub_map = wiring.open_map(settings_of())
    if as_json:
        print_json({"version": hub_map.version, "topics": len(hub_map.topics)})
        return
    typer.echo(
        f"map {hub_map.version}: {len(hub_map.topics)} topics, {len(hub_map.routes)} routes, "
        f"{len(hub_map.subscriptions)} subscriptions, {len(hub_map.clocks)} clocks"
    )


def _note(settings: Settings, hub_map: HubMap, reason: str) -> None:
    """What was applied is in force whether or not this can be noted: it is said, and noted when routing begins."""
    try:
        with wiring.open_map_log(settings) as found:
            found.note(hub_map, by=machine_user(), reason=reason or "未注明 (none given)")
    except HubError as error:
        typer.echo(f"! 版本未记录 / the version of the map is not on record: {error}", err=True)


def _warn_of_holders(settings: Settings) -> bool:
    """Names on stderr who holds facts and is not in the map any more; whether there is any."""
    catalog = wiring.open_catalog(settings)
    known = wiring.open_map(settings, catalog).subscriptions
    counts = holders_of(read_topics(settings.bootstrap, [HOLDINGS]), catalog)
    gone = {name: count for name, count in sorted(counts.items()) if name not in known}
    for name, count in gone.items():
        typer.echo(
            f"! 订阅 {name} 不在地图中，仍持有 {count:,} 件 / is not in the map and still holds facts: recalls cannot "
            "reach it. Put it back with ended_on.",
            err=True,
        )
    return bool(gone)


def _print(changes: list[Change | AccessChange], as_json: bool, nothing: str, *, are_made: bool = False) -> None:
    if as_json:
        print_json([asdict(change) for change in changes])
        return
    lines = [
        f"- {change.user}: {change.detail}" if are_made and isinstance(change, AccessChange) and change.is_extra
        else str(change)
        for change in changes
    ]
    typer.echo("\n".join(lines) or nothing)
