"""``hub clocks drill``: a year of deadlines in minutes, and whether it adds up."""

from __future__ import annotations

import time
from datetime import date
from typing import Annotated

import typer

from hub.cli import clocks_common as common
from hub.cli.clocks_report import parse_day, plain_rows, print_table
from hub.cli.common import settings_of
from hub.errors import UsageError

app = typer.Typer()

_CHECKS = "通过 ok", "不符 FAILED"


@app.command("drill")
def drill(
    seed: Annotated[int, typer.Option(help="相同种子，相同结果 / same seed, same result")] = 1,
    events: Annotated[int, typer.Option(min=1, help="触发事件数 / triggers")] = 60_000,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="首日 / first day")] = "2026-01-01",
    days: Annotated[int, typer.Option(min=1, max=3660, help="天数 / days")] = 365,
    as_json: common.AsJson = False,
) -> None:
    """A year of a prefecture's traffic through the clocks, on simulated time and without Kafka.

    Exit 1 if a check does not hold. Clocks per period, which no event starts, are left out.
    """
    with common.errors():
        from hub.clocks.drill import Drill
        from hub.contracts.calendars import load_calendars
        from hub.wiring import clock_parts, open_catalog, open_map

        settings = settings_of()
        begin = parse_day(first)
        if begin is None or not date(1971, 1, 1) <= begin <= date(9000, 1, 1):
            raise UsageError(f"{first}: 1971-01-01 … 9000-01-01")
        catalog = open_catalog(settings)
        rules, departments = clock_parts(settings, open_map(settings, catalog))
        started = time.monotonic()
        made = Drill(rules, load_calendars(settings.home), catalog, departments).run(
            seed=seed, events=events, first=begin, days=days
        )
        seconds = time.monotonic() - started
        names = common.department_names()
    if as_json:
        typer.echo(common.dump({
            "seed": seed, "from": begin, "days": days, "triggers": made.triggers, "signals": made.signals,
            "clocks": made.clocks, "alerts": made.alerts, "seconds": round(seconds, 1), "digest": made.digest,
            "rules": plain_rows(made.by_rule, names), "departments": plain_rows(made.by_department, names),
            "sum": made.by_rule.sum.plain(), "checks": [check._asdict() for check in made.checks],
        }))
    else:
        print_table(made.by_rule, names)
        typer.echo()
        print_table(made.by_department, names)
        said = "，".join(f"{common.CHANGES[kind]} {count}" for kind, count in made.alerts.items()) or "无"
        typer.echo(f"\n提醒      {said}")
        typer.echo(f"规模      触发 {made.triggers}，信号 {made.signals}，时限 {made.clocks}")
        typer.echo(f"用时      模拟 {days} 天，实际 {seconds:.1f} 秒")
        typer.echo(f"摘要      {made.digest}")
        for check in made.checks:
            typer.echo(f"{_CHECKS[not check.is_passed]}  {check.name}: {check.found}")
    if not all(check.is_passed for check in made.checks):
        raise typer.Exit(1)
