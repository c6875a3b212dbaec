"""``hub sources status`` and ``hub sources manifest``: whether sources are alive, and sent what they say they sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import wiring
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.domain.plain import instant_text
from hub.errors import UsageError
from hub.intake.facts.testimony import read_witnesses
from hub.intake.guards.log import ManifestTaken
from hub.intake.guards.watch import SourcesWatch

manifests = typer.Typer(help="来源日清单 / what departments say that they sent", no_args_is_help=True)
Source = Annotated[str | None, typer.Argument(metavar="NAME", help="来源名称 / of this source alone")]
Day = Annotated[str | None, typer.Option("--date", help="日期 / of this day alone, like 2026-03-02")]


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _watch(data: Path | None) -> Iterator[SourcesWatch]:
    settings = settings_of(data)
    catalog = wiring.open_catalog(settings)
    with closing(wiring.sources_guard(settings, wiring.open_map(settings, catalog), catalog)) as guard:
        yield guard.read()


def _text(moment: datetime | None) -> str:
    return instant_text(moment) if moment is not None else ""


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Every source: verdict, last heard, last row or signed nothing, by when it has to speak, last manifest; and the
    alerts that are open. Exit 1 if a source is silent or an alert is open."""
    with errors_as_sentences(), _watch(data) as watch:
        found, alerts = watch.status(_now()), watch.open_alerts()
    if as_json:
        print_json({
            "sources": [
                {
                    "source": each.source, "verdict": each.verdict, "said": each.heartbeat and each.heartbeat.said,
                    "heard_at": each.heartbeat and each.heartbeat.heard_at,
                    "spoke_at": each.heartbeat and each.heartbeat.spoke_at, "speaks_by": each.speaks_by,
                    "last_manifest": each.last_manifest,
                }
                for each in found
            ],
            "alerts": [{name: getattr(each, name) for name in each.__slots__} for each in alerts],
        })
    else:
        for each in found:
            beat = each.heartbeat
            typer.echo("\t".join((
                each.source, each.verdict, beat.said if beat else "", _text(beat.heard_at if beat else None),
                _text(beat.spoke_at if beat else None), _text(each.speaks_by),
                each.last_manifest.isoformat() if each.last_manifest else "",
            )))
        for raised in alerts:
            typer.echo("\t".join((raised.source, raised.kind, raised.about, raised.reason)))
    raise typer.Exit(1 if alerts or any(each.verdict == "silent" for each in found) else 0)


def conflicts(
    everything: Annotated[bool, typer.Option("--all", help="包括内容一致的 / also those that say the same")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Facts that two sources report with other content, the newest first: who says it, which fields differ, whose
    content counts. Exit 1 if there is one."""
    with errors_as_sentences():
        settings = settings_of(data)
        found = read_witnesses(settings.bootstrap, wiring.open_catalog(settings))
    is_found = any(each["kind"] == "conflict" for each in found)
    shown = [each for each in found if everything or each["kind"] == "conflict"]
    if as_json:
        print_json(shown)
    else:
        for each in shown:
            typer.echo("\t".join((
                instant_text(each["recorded_at"]), each["kind"], each["subject"], each["source"], each["first_source"],
                f"{each['in_force']} counts", ",".join(each["differs"]), each["first_event_id"],
            )))
    raise typer.Exit(1 if is_found else 0)


def _chosen(watch: SourcesWatch, name: str | None, day: str | None) -> list[ManifestTaken]:
    names = [each.source for each in watch.status(_now())]
    if name is not None and name not in names:
        raise UsageError(f"There is no source {name!r}; there are: {', '.join(names) or 'none'}.")
    return [
        taken for each in names if name in (None, each) for taken in watch.manifests(each)
        if day in (None, taken.day.isoformat())
    ]


def _files(watch: SourcesWatch, taken: ManifestTaken) -> int | None:
    """How many files it names; ``None`` where events or rows of a table are counted."""
    files = taken.manifest.files
    return len(files) if files is not None and not watch.counts_rows(taken.source) else None


@manifests.command("list")
def list_manifests(name: Source = None, day: Day = None, data: Data = None, as_json: AsJson = False) -> None:
    """The manifest in force of each source and day, the newest first: what it announces, when it came."""
    with errors_as_sentences(), _watch(data) as watch:
        shown: list[dict[str, Any]] = [
            {
                "source": taken.source, "date": taken.day, "count": taken.manifest.count,
                "files": _files(watch, taken),
                "is_signed": taken.signature is not None, "received_at": taken.received_at,
                "manifest_id": taken.manifest_id,
            }
            for taken in _chosen(watch, name, day)
        ]
    if as_json:
        print_json(shown)
        return
    for each in shown:
        files = "" if each["files"] is None else f"{each['files']} files"
        vouched = "signed" if each["is_signed"] else "by key"
        typer.echo("\t".join((
            each["source"], each["date"].isoformat(), str(each["count"]), files, vouched,
            instant_text(each["received_at"]), each["manifest_id"],
        )))


@manifests.command("check")
def check(name: Source = None, day: Day = None, data: Data = None, as_json: AsJson = False) -> None:
    """Compares manifests with what the hub took, and names the working days whose manifest is missing. Exit 1 if
    anything differs or is missing."""
    with errors_as_sentences(), _watch(data) as watch:
        chosen = [(taken, watch.compare(taken)) for taken in _chosen(watch, name, day)]
        names = [each.source for each in watch.status(_now()) if name in (None, each.source)]
        missing = [
            (source, gone) for source in names for gone in watch.missing_days(source, _now())
            if day in (None, gone.isoformat())
        ]
    shown: list[dict[str, Any]] = [
        {
            "source": taken.source, "date": taken.day, "verdict": found.verdict, "announced": found.announced,
            "taken": found.taken, "short": found.rows_short, "missing_files": list(found.missing), "says": found.says,
        }
        for taken, found in chosen
    ]
    shown += [{"source": source, "date": gone, "verdict": "missing", "says": "no manifest"} for source, gone in missing]
    if as_json:
        print_json(shown)
    else:
        for each in shown:
            counts = f"{each['taken']} of {each['announced']}" if "taken" in each else ""
            typer.echo("\t".join((each["source"], each["date"].isoformat(), each["verdict"], counts, each["says"])))
    raise typer.Exit(0 if all(each["verdict"] == "agrees" for each in shown) else 1)
