"""``hub bench routing``: the lane that every event goes through, alone and beside stages that watch it."""

from __future__ import annotations

from typing import Annotated, Any

import redis
import typer

from hub import wiring
from hub.bench.beside import Beside
from hub.bench.ledger import machine_load
from hub.bench.routing import MAP, bench_routing
from hub.bus.lag import read_ends
from hub.bus.topics import admin
from hub.cli.bench_house import embedded, stage_command
from hub.cli.common import AsJson, errors_as_sentences, print_json
from hub.errors import UsageError
from hub.ops.ledger.reading import followed_topics
from hub.settings import Settings
from hub.state.ledger_index import LedgerIndex

_STAGES = ("ops", "ledger")


def routing(
    count: Annotated[int, typer.Option(min=1000, help="事件数 / events a round")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="轮数 / rounds of each")] = 3,
    beside: Annotated[
        str, typer.Option(help="同时运行的阶段 / stages that run beside it in every second run: ops,ledger")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """The routing lane beside a plain confluent-kafka loop that writes the same outputs; and what other stages cost."""
    with errors_as_sentences():
        stages = [name.strip() for name in beside.split(",") if name.strip()]
        if unknown := [name for name in stages if name not in _STAGES]:
            raise UsageError(f"--beside: {', '.join(unknown)} is none of {', '.join(_STAGES)}.")
        with embedded(MAP) as (settings, _), redis.Redis.from_url(settings.redis_url) as client:
            found = bench_routing(
                settings.bootstrap, wiring.open_catalog(settings), settings.home / "reference", count, rounds,
                _beside(settings, client, stages) if stages else None,
            )
    if as_json:
        print_json(found)
    else:
        _say(found)


def _beside(settings: Settings, client: redis.Redis, stages: list[str]) -> Beside:
    topics, index = followed_topics(wiring.open_map(settings)), LedgerIndex(client)
    has_ledger = "ledger" in stages

    def followed() -> int:
        return sum(index.offsets().values()) if has_ledger else 0

    def unread() -> int:
        if not has_ledger:
            return 0
        with admin(settings.bootstrap) as kafka:
            return sum(read_ends(kafka, topics).values()) - followed()

    return Beside({name: stage_command(settings, name) for name in stages}, settings.data, unread, followed)


def _say(found: dict[str, Any]) -> None:
    typer.echo(
        f"routing: {found['events']:,} events of {found['value_bytes']} bytes, {found['outputs_per_event']} outputs "
        f"each (notice, decision, holding), median of {found['rounds']}\n"
        f"  reference loop  {found['reference_events_per_second']:>9,.0f} events/s  "
        f"{found['reference_cpu_micros']:.1f} µs CPU an event\n"
        f"  routing lane    {found['lane_events_per_second']:>9,.0f} events/s  "
        f"{found['lane_cpu_micros']:.1f} µs CPU an event\n"
        f"  ratio           {found['ratio']:>9.2f}\n"
        f"  the decision alone: {found['decision_cpu_micros']:.1f} µs CPU"
    )
    if "beside_ratios" not in found:
        return
    used = ", ".join(f"{name} {micros:.0f} µs CPU an event" for name, micros in found["beside_stages"].items())
    typer.echo(
        f"  lane beside     {found['beside_events_per_second']:>9,.0f} events/s  "
        f"{found['beside_cpu_micros']:.1f} µs CPU an event; {used}; load of the machine {machine_load():.1f}\n"
        f"  of its rate     {' '.join(f'{each:.2f}' for each in found['beside_ratios'])}, CPU an event "
        f"{' '.join(f'{each:.2f}' for each in found['beside_cpu_ratios'])} of that alone, pair by pair\n"
        f"  the ledger had followed {found['beside_followed']:.0%} of what the lane wrote when that was done"
    )
