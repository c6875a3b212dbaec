"""``hub rebuild``: the due index made anew from the log, or held against it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.clocks.rebuild import PartitionReport, whole_digest
from hub.wiring import clocks_rebuild


def rebuild(
    verify: Annotated[bool, typer.Option("--verify", help="只核对，不写入 / compare only, write nothing")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """重建到期索引 / makes the due index anew from clock.states.v1; exit 1 if --verify finds a difference."""
    with errors_as_sentences():
        work = clocks_rebuild(settings_of(data))
        if not verify:
            clocks = {partition: work.rebuild(partition) for partition in _shown(work.partitions())}
            if as_json:
                print_json({"clocks": sum(clocks.values()), "partitions": clocks})
            else:
                typer.echo(f"已重建 {len(clocks)} 个分区，{sum(clocks.values())} 个时限 (rebuilt)")
            return
        reports = [work.verify(partition) for partition in _shown(work.partitions())]
        if as_json:
            print_json(_as_json(reports))
        else:
            _print(reports)
        if not all(report.is_same for report in reports):
            raise typer.Exit(1)


def _as_json(reports: list[PartitionReport]) -> dict[str, object]:
    return {
        "is_same": all(report.is_same for report in reports),
        "topic_digest": whole_digest(report.topic_digest for report in reports),
        "index_digest": whole_digest(report.index_digest for report in reports),
        "partitions": [report._asdict() for report in reports],
    }


def _print(reports: list[PartitionReport]) -> None:
    for report in reports:
        word = "一致 same" if report.is_same else "不一致 DIFFERENT"
        typer.echo(f"{report.partition}\t{report.clocks}\t{report.topic_digest[:16]}\t{report.index_digest[:16]}\t{word}")
        for name, (count, clock_ids) in (
            ("缺少 missing", report.missing), ("多余 extra", report.extra), ("时刻不同 moved", report.moved),
        ):
            if count:
                typer.echo(f"\t{name}: {count}, {' '.join(clock_ids)}")
    typer.echo(f"日志 topic {whole_digest(report.topic_digest for report in reports)}")
    typer.echo(f"索引 index {whole_digest(report.index_digest for report in reports)}")


def _shown(partitions: Iterable[int]) -> Iterator[int]:
    """A bar on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield from partitions
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(list(partitions), description="分区 partitions", console=Console(stderr=True))
