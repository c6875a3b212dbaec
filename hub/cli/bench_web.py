"""``hub bench web``: the web side under people."""

from __future__ import annotations

import socket
from typing import Annotated

import redis
import typer

from hub import wiring
from hub.bench.ledger import machine_load
from hub.bench.web import PROGRAMS, Size, WebBench, WebMeasured
from hub.cli.bench_house import embedded, stage_command
from hub.cli.common import AsJson, errors_as_sentences, print_json

#: One address asks for more than one person would.
_NO_LIMITS = {"HUB_RATE_PER_MINUTE_ADDRESS": 0, "HUB_RATE_PER_MINUTE": 0}


def web(
    events: Annotated[int, typer.Option(min=100, help="事件数 / events that stand there")] = 5_000,
    people: Annotated[int, typer.Option(min=1, max=500, help="同时在线人数 / people at once")] = 50,
    think: Annotated[float, typer.Option(min=0.5, help="每页停留秒数 / seconds that one looks at a page")] = 5.0,
    seconds: Annotated[float, typer.Option(min=5, max=600, help="测量秒数 / how long is measured")] = 60.0,
    traces: Annotated[int, typer.Option(min=10, help="查询数 / traces asked for")] = 300,
    as_json: AsJson = False,
) -> None:
    """People at the pages of a real web process, what they wait for each; and the trace of any event."""
    with errors_as_sentences(), embedded() as (settings, hub_map), redis.Redis.from_url(settings.redis_url) as client:
        # Nobody is delivered to.
        settings.endpoints.write_text("{}\n", encoding="utf-8")
        catalog, port = wiring.open_catalog(settings), _free_port()
        watch = wiring.lag_watch(settings, hub_map, catalog, wiring.all_groups(settings, hub_map))
        command = stage_command(settings, "web", HUB_WEB_PORT=port, **_NO_LIMITS)
        bench = WebBench(
            settings.bootstrap, client, hub_map, catalog, watch, command, f"http://127.0.0.1:{port}", settings.data
        )
        found = bench.run(Size(events, people, think, seconds, traces))
    if as_json:
        print_json(_plain(found))
    else:
        _say(found)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _plain(found: WebMeasured) -> dict[str, object]:
    spreads = {name: each._asdict() for name, each in found._asdict().items() if name in ("constant", "saturated")}
    return found._asdict() | spreads | {
        "size": found.size._asdict() | {"acts": found.size.acts},
        "pages": {name: each._asdict() for name, each in found.pages.items()}, "trace": found.trace._asdict(),
    }


def _say(found: WebMeasured) -> None:
    size = found.size
    typer.echo(
        f"web: {size.events:,} events, {found.records:,} records, {size.acts:,} acts, as many dead letters, "
        f"{found.index_bytes / 1e6:,.0f} MB in Valkey\n"
        f"  {size.people} people, a page each {size.think_seconds:g} s with its live parts open, and {PROGRAMS} "
        f"programs: {found.pages_per_second:.1f} pages a second, {found.streams:,} live parts opened,\n"
        f"  {found.server_cpu:.0%} of one core of the web process; load of the machine {machine_load():.1f}"
    )
    width = max(map(len, found.pages))
    for name, each in found.pages.items():
        typer.echo(f"  {name:<{width}} {each}")
    typer.echo(f"  {'constant page beside':<{width}} {found.constant}")
    typer.echo(
        f"  without a pause    {found.saturated_per_second:,.0f} pages a second, {found.saturated}\n"
        f"  constant page      {found.constant_per_second:,.0f} a second from as many\n"
        f"  trace              {found.trace}; {found.steps:.1f} steps each"
    )
