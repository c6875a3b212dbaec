"""``hub lag`` and ``hub ops``: who is behind, for how long, and which deadlines that endangers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from math import ceil
from typing import Annotated, Any

import typer

from hub import wiring
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.domain.lag import COMMIT_RHYTHM_SECONDS
from hub.errors import IndexUnavailableError
from hub.ops.lag_watch import Watch
from hub.ops.report import at_risk_lines, lag_lines, screen
from hub.ops.snapshot import Snapshot
from hub.settings import Settings
from hub.state.snapshot_store import SnapshotStore

#: Between the looks that make a pace, where something is unread.
LOOK_SECONDS = 1.0
#: So many tell a standstill from the time between two commits.
_MOST_LOOKS = ceil(COMMIT_RHYTHM_SECONDS / LOOK_SECONDS)
OnAndOn = Annotated[bool, typer.Option("--watch", help="持续刷新 / again and again, until Ctrl-C")]
Every = Annotated[float, typer.Option(min=0.2, help="刷新间隔，秒 / seconds between two looks with --watch")]


def lag(data: Data = None, as_json: AsJson = False, watch: OnAndOn = False, every: Every = 2.0) -> None:
    """How far each group is behind, in records and seconds, and which deadlines that endangers. Exit 1 if any is."""
    with errors_as_sentences():
        settings = settings_of(data)
        with watching(settings) as looking, contextlib.suppress(KeyboardInterrupt):
            while True:
                found = look(looking)
                if as_json:
                    print_json(_rows(found))
                else:
                    for line in lag_lines(found):
                        typer.echo(line)
                    for line in at_risk_lines(found):
                        typer.echo(line)
                if not watch:
                    break
                time.sleep(every)
    raise typer.Exit(1 if any(group.unread for group in found.groups) else 0)


def ops(data: Data = None, as_json: AsJson = False, watch: OnAndOn = False, every: Every = 2.0) -> None:
    """The whole hub on one screen: stages, verdicts, pace, deadlines at risk, dead letters, silent sources.

    Shows the snapshot of ``hub run ops`` where that runs, else looks by itself. Exit 1 if a group is stalled or
    stopped, or a deadline at risk.
    """
    with errors_as_sentences():
        settings = settings_of(data)
        with watching(settings) as looking, contextlib.suppress(KeyboardInterrupt):
            while True:
                found = published(settings) or look(looking, is_whole=True)
                if as_json:
                    print_json(found.as_dict())
                else:
                    for line in screen(found):
                        typer.echo(line)
                if not watch:
                    break
                time.sleep(every)
    is_ill = any(group.verdict in ("stalled", "stopped") for group in found.groups)
    raise typer.Exit(1 if is_ill or found.deadlines_at_risk else 0)


@contextlib.contextmanager
def watching(settings: Settings) -> Iterator[Watch]:
    """A watch over all groups of the map, closed at the end."""
    catalog = wiring.open_catalog(settings)
    hub_map = wiring.open_map(settings, catalog)
    watch = wiring.lag_watch(settings, hub_map, catalog, wiring.all_groups(settings, hub_map))
    try:
        yield watch
    finally:
        watch.close()


def look(watch: Watch, *, is_whole: bool = False) -> Snapshot:
    """Twice where something is unread, so that there is a pace; and again while a group that does not move may be
    between two commits."""
    lags = watch.observe()
    if any(lag.unread for lag in lags):
        for _ in range(_MOST_LOOKS):
            if not any(lag.drain_rate is None or lag.is_undecided for lag in lags):
                break
            time.sleep(LOOK_SECONDS)
            lags = watch.observe()
        is_whole = True
    return watch.describe(lags) if is_whole else watch.describe_groups(lags)


def published(settings: Settings) -> Snapshot | None:
    """The latest snapshot of the service, if there is one that is still good."""
    client = wiring.open_redis(settings)
    try:
        found = SnapshotStore(client).get()
    except IndexUnavailableError:
        return None
    finally:
        client.close()
    return Snapshot.from_dict(found) if found else None


def _rows(found: Snapshot) -> list[dict[str, Any]]:
    """One a partition, with what its group is at."""
    rows = []
    for group in found.groups:
        at_risk = sum(each.count for each in found.risk_counts if each.group == group.group)
        for place in group.places:
            rows.append({
                "group": group.group, **vars(place), "verdict": group.verdict, "members": group.members,
                "observed_seconds": group.observed_seconds, "drain_rate": group.drain_rate,
                "arrival_rate": group.arrival_rate, "drain_seconds": group.drain_seconds,
                "catch_up_seconds": group.catch_up_seconds, "waits_until": group.waits_until,
                "deadlines_at_risk": at_risk,
            })  # fmt: skip
    return rows
