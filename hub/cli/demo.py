"""``hub demo``: the main job from exports to every end, on a real Kafka, on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import AsJson, errors_as_sentences, print_json, settings_of
from hub.cli.look import print_tally, read_tally
from hub.cli.trace import print_trace, read_trace
from hub.demo import channel_stats, disclosure_stats, prepare, sum_reports, wait_for_intake, wait_for_rest
from hub.domain.calendar import local_date
from hub.errors import HubError
from hub.house import House
from hub.ops.tally import Tally
from hub.sandbox.generate.manifest import Manifest


def demo(
    rows: Annotated[int, typer.Option(min=600, max=200_000, help="行数 / rows of the season")] = 5000,
    seed: Annotated[int, typer.Option(help="随机种子 / seed of the generator")] = 20260701,
    data: Annotated[Path, typer.Option("--data", help="数据目录，会先清空 / data folder, emptied first")] = Path(
        ".hub-demo"
    ),
    as_json: AsJson = False,
) -> None:
    """Runs a season of three departments through the hub, prints what went where, and ends.

    Exit 0 if the numbers add up: rows = accepted + rejected + repeated, and every accepted event has an end.
    """

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text)

    with errors_as_sentences():
        settings = settings_of(data, log_level="error")
        if data.exists():
            if any(data.iterdir()) and not (data / "manifest.json").exists() and not (data / "exports").exists():
                raise HubError(f"{data} is not a folder of an earlier demo; name another with --data.")
            shutil.rmtree(data)
        began = time.perf_counter()
        seconds: dict[str, float] = {}

        def timed(name: str, since: float) -> float:
            now = time.perf_counter()
            seconds[name] = now - since
            return now

        manifest = prepare(data, seed=seed, size=rows, ends_on=local_date(datetime.now(UTC)))
        at = timed("exports", began)
        say(
            f"甘南州三个部门的一季数据 / a season of three departments: {len(manifest.files)} files, "
            f"{manifest.totals['rows']:,} rows\n"
        )
        with House(settings, with_sandbox=True) as house:
            seconds |= house.seconds
            at = time.perf_counter()
            say("枢纽运行中：收集 → 分发 → 公示、送达、计时 / intake, routing, disclosure, delivery, clocks ...")
            wait_for_intake(data, manifest, lambda: None)
            at = timed("intake", at)
            wait_for_rest(house, settings, lambda: None)
            at = timed("to rest", at)
            found, stats = read_tally(settings), disclosure_stats(house)
            others = channel_stats(house)
            way = read_trace(settings, subject=manifest.traced.uscc)
            at = timed("counting", at)
            read = sum_reports(data)
            faults = _faults(manifest, read, found, [stats, *others.values()], house.restarts)
            if not as_json:
                _print_rows(manifest, read)
                print_tally(found)
                say(f"\n一户企业的全程 / the way of one enterprise: {manifest.traced.name} {manifest.traced.uscc}")
                print_trace(way)
        timed("stopping", at)
        seconds["in all"] = time.perf_counter() - began
    if as_json:
        print_json({
            "rows": read, "tally": found.as_dict(), "public": stats, "channels": others, "seconds": seconds,
            "faults": faults,
        })  # fmt: skip
    else:
        say("\n用时（秒） / seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
        for fault in faults:
            typer.echo(f"不符 / does not add up: {fault}", err=True)
        if not faults:
            say("\n账目相符 / it adds up: every row was accepted, rejected or repeated; every event has its end.")
        say(f"退回给部门的错误清单 / error files for the senders: {data}/exports/*/done/*.errors.xlsx")
        say("接着看 / next: make up (everything kept running, with pages to open), hub trace, hub clocks list")
    raise typer.Exit(1 if faults else 0)


def _print_rows(manifest: Manifest, read: dict[str, object]) -> None:
    accepted, rejected = read["accepted"], read["rejected"]
    assert isinstance(accepted, dict) and isinstance(rejected, dict)
    total = sum(accepted.values()) + sum(rejected.values()) + int(str(read["repeated"]))
    typer.echo(
        f"\n行 / rows read: {read['read']:,} = accepted {sum(accepted.values()):,} + rejected "
        f"{sum(rejected.values()):,} + repeated {read['repeated']:,}" + ("" if total == read["read"] else "  (!)")
    )
    for title, counts in (
        ("接受 / accepted", accepted),
        ("退回 / rejected", rejected),
        ("提示 / warnings", read["warnings"]),
    ):
        assert isinstance(counts, dict)
        typer.echo(f"  {title}: " + (", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "0"))


def _faults(
    manifest: Manifest, read: dict[str, object], found: Tally, stats: Sequence[dict[str, object]], restarts: int
) -> list[str]:
    """Everything that is not as it must be; empty if it adds up."""
    truth, faults = manifest.totals, list[str]()
    accepted, rejected = read["accepted"], read["rejected"]
    assert isinstance(accepted, dict) and isinstance(rejected, dict)

    def expect(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            faults.append(f"{what}: {got}, expected {wanted}")

    expect("rows read", read["read"], truth["rows"])
    expect("rows accepted", sum(accepted.values()), truth["new"] + truth["amended"])
    expect("rows rejected", sum(rejected.values()), truth["rejected"])
    expect("rows repeated", read["repeated"], truth["repeated"])
    # Each department of the season speaks for itself, by valid codes or names.
    expect("rows that wait or bear witness", (read["waiting"], read["witnessed"]), (0, 0))
    expect("events on the log", found.accepted, sum(accepted.values()))
    expect("rejections on the log", sum(found.rejected.values()), sum(rejected.values()))
    expect("events without a decision", found.undecided, 0)
    expect("outputs without an end", dict(+found.open), {})
    expect("dead letters", dict(found.dead_letters), {})
    most = max(int(str(each.get("max_publications_per_order"))) for each in stats)
    expect("publications of one order, at most", most, 1)
    expect("stages that had to be started again", restarts, 0)
    return faults
