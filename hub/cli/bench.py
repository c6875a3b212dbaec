"""``hub bench``: what the README claims, measured here, beside a reference."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated

import redis
import typer

from hub import wiring
from hub.bench.clocks import bench_clocks
from hub.bench.databases import PASSWORD, postgresql
from hub.bench.delivery import CONNECTIONS, ENDPOINTS, ISOLATED, RATE, DeliveryBench
from hub.bench.intake import bench_intake, bench_table
from hub.bench.intake_plain import PLAIN_TOPIC
from hub.bench.intake_rows import made_up_code
from hub.bench.ledger import LedgerBench, machine_load
from hub.bus.topics import TopicSpec, admin, apply
from hub.cli import bench_routing, bench_web
from hub.cli.bench_house import embedded
from hub.cli.common import AsJson, errors_as_sentences, print_json
from hub.domain.check_digits import ALPHABET
from hub.errors import UsageError

app = typer.Typer(help="测量 / measurements", no_args_is_help=True)
app.command()(bench_routing.routing)
app.command()(bench_web.web)


@app.command()
def intake(
    rows: Annotated[int, typer.Option(min=1000, help="行数 / rows of the CSV or the table")] = 1_000_000,
    sql: Annotated[bool, typer.Option("--sql", help="读 PostgreSQL 的表 / a table of a PostgreSQL instead")] = False,
    mode: Annotated[str, typer.Option(help="表的读取方式 / how: increasing or snapshot")] = "increasing",
    as_json: AsJson = False,
) -> None:
    """A CSV (or a table) of that many rows through its connector to the broker: rows a second, peak memory; beside a
    plain loop over the same rows."""
    with errors_as_sentences(), embedded() as (settings, _):
        with admin(settings.bootstrap) as client:
            apply(client, [TopicSpec(PLAIN_TOPIC, 12, 1, {})])
        folder = settings.data / "bench"
        folder.mkdir()
        means = (settings.home, settings.bootstrap, settings.redis_url, folder)
        if not sql:
            found = bench_intake(*means, rows=rows)
        elif mode not in ("increasing", "snapshot"):
            raise UsageError("--mode is increasing or snapshot.")
        else:
            with postgresql() as server:
                found = bench_table(*means, server.url, PASSWORD, rows=rows, mode=mode)
    if as_json:
        print_json(found.as_json())
    else:
        typer.echo(f"intake: {found.line()}")


@app.command()
def clocks(
    count: Annotated[int, typer.Option("--clocks", min=1000, help="时限数 / clocks held")] = 200_000,
    due: Annotated[int, typer.Option(min=100, help="同一秒到期 / clocks due in the same second")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Clocks started, held, taken up anew and due together, beside plain ZADDs to the same index."""
    with errors_as_sentences(), embedded() as (settings, _), redis.Redis.from_url(settings.redis_url) as client:
        found = bench_clocks(settings.bootstrap, client, settings.home, count=count, due=due)
    if as_json:
        print_json(found._asdict() | {"ratio": found.ratio})
        return
    typer.echo(
        f"clocks: {found.clocks:,} started, {found.starts_per_second:,.0f} a second, "
        f"{found.start_cpu_micros:.1f} µs CPU each\n"
        f"  plain ZADDs        {found.floor_per_second:>9,.0f} a second, {found.floor_bytes / 1e6:.0f} MB; "
        f"ratio {found.ratio:.2f}\n"
        f"  index              {found.index_bytes / 1e6:>9,.0f} MB; memory of the stage "
        f"{found.process_bytes / 1e6:,.0f} MB; both anew from the topic in {found.rebuild_seconds:.1f} s\n"
        f"  due in one second  {found.due:>9,}: late by {found.lateness_p50:.2f} s (p50), {found.lateness_p99:.2f} s "
        f"(p99), {found.alerts_per_second:,.0f} alerts a second"
    )


@app.command()
def delivery(
    count: Annotated[int, typer.Option("--notices", min=1000, help="通知数 / notices a round")] = 20_000,
    as_json: AsJson = False,
) -> None:
    """Signed notices to one endpoint and to twenty, beside a plain client loop; and how soon one arrives."""
    with errors_as_sentences(), embedded() as (settings, _):
        with admin(settings.bootstrap) as client:
            apply(client, [TopicSpec(f"inbox.bench-{number}", 3, 1, {}) for number in range(ENDPOINTS)])
        found = DeliveryBench(settings.bootstrap, wiring.open_catalog(settings)).run(count)
    if as_json:
        print_json(found._asdict() | {"ratio": found.ratio, "isolation": found.isolation})
        return
    typer.echo(
        f"delivery: {found.notices:,} signed notices over {CONNECTIONS} connections\n"
        f"  plain client loop  {found.floor_per_second:>9,.0f} a second, {found.floor_cpu_micros:.0f} µs CPU each\n"
        f"  one endpoint       {found.one_per_second:>9,.0f} a second, {found.one_cpu_micros:.0f} µs CPU each; "
        f"ratio {found.ratio:.2f}\n"
        f"  {ENDPOINTS} endpoints       {found.many_per_second:>9,.0f} a second, "
        f"{found.many_cpu_micros:.0f} µs CPU each\n"
        f"  one of {ISOLATED} down      {found.beside_dead_per_second:>9,.0f} a second to the others, "
        f"{found.isolation:.0%} of their rate while it is up\n"
        f"  at {RATE} a second    from publish to receipt {found.latency_p50:.1f} ms (p50), "
        f"{found.latency_p99:.1f} ms (p99)"
    )


@app.command()
def ledger(
    events: Annotated[int, typer.Option(min=100, help="事件数 / events")] = 200_000,
    traces: Annotated[int, typer.Option(min=10, help="查询数 / traces asked for")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Everything of so many events followed into the index, and traces of some of them at random."""
    with errors_as_sentences(), embedded() as (settings, hub_map), redis.Redis.from_url(settings.redis_url) as client:
        found = LedgerBench(settings.bootstrap, client, hub_map, wiring.open_catalog(settings)).run(events, traces)
    if as_json:
        print_json(found._asdict())
        return
    typer.echo(
        f"ledger: {found.events:,} events, {found.records:,} records, {found.records_per_second:,.0f} a second\n"
        f"  following          {found.cpu_micros:>9.1f} µs CPU a record, {found.server_cpu_micros:.1f} µs in Valkey; "
        f"load of the machine {machine_load():.1f}\n"
        f"  bytes an event     {found.index_bytes:>9,.0f} of ways ({found.estimated_bytes:,.0f} by its own account), "
        f"{found.desk_bytes:,.0f} of desks\n"
        f"  trace              {found.trace_p50_ms:>9.1f} ms (p50), {found.trace_p99_ms:.1f} ms (p99), "
        f"{found.trace_max_ms:.1f} ms at most, over {found.traces:,} of {found.steps:.1f} steps each"
    )


@app.command()
def ids(
    count: Annotated[int, typer.Option(min=1000, help="代码数 / codes")] = 100_000, as_json: AsJson = False
) -> None:
    """`hub ids check -` over that many codes, the start of the program included."""
    codes = "".join(f"{_code(number)}\n" for number in range(count))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli.main", "ids", "check", "-"],
        input=codes,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    lines = done.stdout.count("\n")
    if as_json:
        print_json({"codes": lines, "seconds": seconds})
    else:
        typer.echo(f"ids: {lines:,} codes judged in {seconds:.2f} s, start included")
    raise typer.Exit(0 if lines == count else 1)


def _code(number: int) -> str:
    """A code of an enterprise that cannot exist; every tenth with a wrong last character."""
    code = made_up_code(number)
    return code[:-1] + ALPHABET[(ALPHABET.index(code[-1]) + 1) % len(ALPHABET)] if number % 10 == 0 else code
